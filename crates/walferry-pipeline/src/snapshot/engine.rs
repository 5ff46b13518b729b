//! Snapshots beside the stream: chunks are read by tasks, judged by their windows, and given between two transactions.
//!
//! Owns `Engine`, which lives on the encode thread: the windows that are open, the order of jobs, and the moment at which a
//! chunk may be given. Never: asks a server itself; decides about a row (`window` does).
//! Invariants: a chunk is given only outside a transaction, and only when the stream has passed the WAL insert position read just after
//! the chunk's snapshot was taken;
//! the cursor goes with the last row before it; a chunk that cannot be judged is read again; a table is read by one job at a time, and
//! each gives its rows at a later place of the stream than the one before, so that a key is told once at a place.
//! Start reading at `Engine::give_what_may_be`.

mod again;
mod anew;
mod held_back;
mod open_window;
mod opening;
mod pending;
mod reloading;
mod requests;
mod sweeping;
mod topic_end;

use std::{collections::HashMap, sync::Arc};

use tokio::sync::mpsc;
use walferry_event::{Lsn, Relation, RowRange};
use walferry_postgres::parse_copy_row;
use walferry_registry::Registry;

use crate::{
    config::InForce,
    encode::{Encoder, change_records::Change, relations::message_keys::KeyNews},
    error::{Error, Labels, Passing},
    position::{published_record::Record, snapshot_id::SnapshotId, snapshot_progress::Progress},
    retry::Retry,
    snapshot::{
        chunk::{Chunk, Read, Sessions},
        engine::{
            held_back::HeldBack,
            open_window::{Open, is_unclear, read_row},
            pending::Pending,
            topic_end::Anew,
        },
        goal::goal,
        mailbox::Event,
        readers::{cancelled, is_of_table},
        shape::{Described, identity_of},
        sweep::Sweep,
        window::{Verdict, Void},
    },
    status::{Status, strange::Strange},
};

/// All snapshots beside the stream.
pub(crate) struct Engine {
    config: InForce,
    status: Arc<Status>,
    /// What the stream brings under names of others, for the next look at the tables.
    strange: Arc<Strange>,
    registry: Arc<Registry>,
    runtime: tokio::runtime::Handle,
    sessions: Sessions,
    events: mpsc::UnboundedSender<Event>,
    progress: Progress,
    /// `None` while it is being asked for.
    described: HashMap<usize, Option<Described>>,
    rows_max: HashMap<usize, u64>,
    /// How often in a row a chunk was read again because it was not clear which of its rows was removed.
    unclear: HashMap<usize, u32>,
    windows: Vec<Open>,
    sweeps: Vec<Sweep>,
    /// Tables whose topics have to be ended before they are read.
    anew: HashMap<usize, Anew>,
    /// Tables that the server refused to read when it was last asked.
    held_back: HashMap<usize, HeldBack>,
    /// A [`Event::GoOn`] is on its way.
    going_on: bool,
    pending: Pending,
    /// Tables that were added and are not in the publication yet.
    unpublished: Vec<String>,
    /// Message keys of tables that are not in the record of what is published yet, in the order of their use.
    unrecorded: Vec<KeyNews>,
    /// The relation that the stream has described just now: the next change is made in it.
    said: Option<u32>,
    next_id: u64,
    stream_at: Lsn,
    retry: Retry,
    finished_told: bool,
}

/// Why the snapshot of a table ends that there is no more.
const GONE: &str = "there is no table of that name any more: it was dropped or renamed";
/// Rows of a chunk when the stream has overtaken larger ones again and again.
const CHUNK_ROWS_MIN: u64 = 64;
/// Where rows without a key are removed all the time, the count of the equal ones has to do after so many readings.
const UNCLEAR_MAX: u32 = 5;

impl Engine {
    pub(crate) fn new(
        config: InForce,
        status: Arc<Status>,
        strange: Arc<Strange>,
        registry: Arc<Registry>,
        runtime: tokio::runtime::Handle,
        events: mpsc::UnboundedSender<Event>,
        published: Option<Arc<Record>>,
    ) -> Engine {
        Engine {
            sessions: Sessions::new(config.clone()),
            retry: config.now().errors.retry(),
            config,
            strange,
            registry,
            runtime,
            events,
            progress: Progress {
                serial: status.snapshot_serial(),
                published,
                ..Progress::default()
            },
            described: HashMap::new(),
            rows_max: HashMap::new(),
            unclear: HashMap::new(),
            windows: Vec::new(),
            sweeps: Vec::new(),
            anew: HashMap::new(),
            held_back: HashMap::new(),
            going_on: false,
            pending: Pending::default(),
            unpublished: Vec::new(),
            unrecorded: Vec::new(),
            status,
            said: None,
            next_id: 0,
            stream_at: Lsn::ZERO,
            finished_told: true,
        }
    }

    /// Goes on with what is left of these snapshots.
    pub(crate) fn resume(
        &mut self,
        encoder: &mut Encoder,
        progress: Progress,
    ) -> Result<(), Error> {
        self.finished_told = progress.finished();
        self.progress.tables = progress.tables;
        self.tell_held();
        self.begins(encoder)?;
        let at = encoder.builder.course().position().end_lsn;
        self.give_what_may_be(encoder, at)
    }

    /// A stream begins: what has to stand before everything that it brings.
    pub(crate) fn begins(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        self.truncate(encoder)
    }

    /// The stream brings a change. Called for every one, so it has to be cheap when no snapshot runs.
    pub(super) fn change(&mut self, oid: u32, change: &Change<'_>, xid: u32, commit_lsn: Lsn) {
        self.touch_anew(oid, commit_lsn);
        for open in &mut self.windows {
            if open.table.oid == oid {
                open.window.touch(change, xid);
            }
        }
        for sweep in &mut self.sweeps {
            if sweep.oid == oid {
                sweep.touch(change);
            }
        }
    }

    /// The stream describes a table: what was touched by its columns' places before means something else from here on.
    pub(super) fn relation(
        &mut self,
        encoder: &mut Encoder,
        relation: &Relation,
    ) -> Result<(), Error> {
        for open in &mut self.windows {
            open.changed |= open.table.oid == relation.oid && open.table.relation != *relation;
        }
        for sweep in &mut self.sweeps {
            if sweep.oid == relation.oid && sweep.relation != *relation {
                sweep.give_up();
            }
        }
        self.said = Some(relation.oid);
        self.strange(encoder, relation)
    }

    /// The stream stands between two transactions and has brought everything before `at`.
    pub(super) fn give_what_may_be(&mut self, encoder: &mut Encoder, at: Lsn) -> Result<(), Error> {
        self.stream_at = self.stream_at.max(at);
        let asked = self.pending.is_anything() || encoder.relations().keys.has_news();
        if self.windows.is_empty() && self.finished_told && !asked {
            return Ok(());
        }
        // Inside a transaction that is handed over in part, the position is not one to begin or give anything at.
        if encoder.in_transaction() || encoder.builder.course().position().ordinal.is_some() {
            return Ok(());
        }
        self.reload(encoder)?;
        self.record_keys(encoder)?;
        let at = self.stream_at;
        let course = encoder.builder.course();
        // A table that is parked, or catches up, is not where the stream is.
        let place = course.position().end_lsn;
        let ready = |open: &Open| {
            let passed = |chunk: &Chunk| at >= goal(chunk.wal_insert);
            open.chunk.as_ref().is_some_and(passed)
                && Some(place) > self.progress.tables[open.job].beyond
                && !course.has(&open.table.relation.qualified_name())
        };
        let mut ready: Vec<u64> = self
            .windows
            .iter()
            .filter(|it| ready(it))
            .map(|it| it.id)
            .collect();
        while let Some(id) = ready.pop() {
            let Some(i) = self.windows.iter().position(|open| open.id == id) else {
                continue;
            };
            let open = self.windows.swap_remove(i);
            self.settle(encoder, open)?;
        }
        self.end_topics(encoder, at)?;
        self.sweep(encoder)?;
        self.open(encoder)?;
        if self.progress.finished() && !self.finished_told {
            self.finished_told = true;
            tracing::info!(target: "audit", "snapshots beside the stream are complete");
        }
        Ok(())
    }

    /// Records an event; acts on it at the next transaction boundary.
    pub(crate) fn event(&mut self, encoder: &mut Encoder, event: Event) -> Result<(), Error> {
        match event {
            Event::Described(job, Ok(Some(described))) => self.known(encoder, job, *described)?,
            Event::Described(job, Ok(None)) => {
                self.described.remove(&job);
                if let Some(table) = self.progress.tables.get_mut(job) {
                    tracing::warn!(target: "audit", table = table.shown.name,
                        "the table is gone: its snapshot ends");
                    table.give_up(GONE);
                    self.mark(encoder)?;
                }
            }
            Event::Described(job, Err(error)) => {
                self.failed(encoder, job, error)?;
            }
            Event::Chunk(id, Ok(read)) => {
                self.retry.reset();
                if let Some(i) = self.windows.iter().position(|open| open.id == id) {
                    let job = self.windows[i].job;
                    match read {
                        Read::Chunk(chunk) => {
                            self.windows[i].chunk = Some(*chunk);
                            self.was_read(job);
                        }
                        Read::Replaced(why, now) => self.replaced(encoder, job, why, &now)?,
                    }
                }
            }
            Event::Place(job, place) => self.place_is(job, place),
            Event::Due(job) => self.due(job),
            Event::Chunk(id, Err(error)) => {
                if let Some(i) = self.windows.iter().position(|open| open.id == id) {
                    let open = self.windows.swap_remove(i);
                    self.failed(encoder, open.job, error)?;
                }
            }
            Event::Searched(id, found) => self.searched(id, *found)?,
            Event::GoOn => self.going_on = false,
            Event::Reload(reload) => self.pending.reload = Some(*reload),
            Event::Follow(follow) => self.pending.follows.push(*follow),
            Event::Published(added, refused, change) => {
                self.published(encoder, &added, &refused, &change)?;
            }
            Event::Renew => encoder.renewal = true,
            Event::Start(request) => request.examine(&self.runtime, &self.sessions, &self.events),
            Event::Accepted(request) => self.accept(encoder, request)?,
            Event::Cancel(id, reply) => {
                let found = self.cancel(&id);
                if found {
                    self.mark(encoder)?;
                }
                let _ = reply.send(found);
            }
            Event::Hold(id, held, reply) => {
                let found = self.hold(&id, held);
                if found {
                    self.mark(encoder)?;
                }
                let _ = reply.send(found);
            }
        }
        self.give_what_may_be(encoder, self.stream_at)
    }

    /// A table was looked at, for its windows. What its ranges are of, and what rows have to be as old as, holds over a crash, and no
    /// row is read before.
    fn known(
        &mut self,
        encoder: &mut Encoder,
        job: usize,
        mut described: Described,
    ) -> Result<(), Error> {
        let Some(table) = self.progress.tables.get_mut(job) else {
            return Ok(());
        };
        if table.ended() {
            // It was cancelled while it was asked for.
            self.described.remove(&job);
            return Ok(());
        }
        let why = table.contents.as_ref();
        let why = why.and_then(|it| it.replaced(&described.contents));
        if let Some(why) = why {
            return self.replaced(encoder, job, why, &described.contents);
        }
        let base = described.base.take();
        let fresh = base.is_some() || table.contents.is_none();
        table.contents = Some(described.contents.clone());
        table.base = base.or_else(|| table.base.take());
        self.described.insert(job, Some(described));
        match fresh {
            true => self.mark(encoder),
            false => Ok(()),
        }
    }

    /// An error of a reader that may pass is waited out, its chunk is read again. One that concerns a table alone holds that one
    /// back. Any other ends the snapshot that was asked for, and the connector when its tables would be without their history.
    fn failed(
        &mut self,
        encoder: &mut Encoder,
        job: usize,
        error: walferry_postgres::Error,
    ) -> Result<(), Error> {
        self.described.remove(&job);
        let asked = self
            .progress
            .tables
            .get(job)
            .is_some_and(|it| it.condition.is_some());
        // The table is looked at again.
        let shape = error.is_stale()
            || error.sqlstate() == Some("42P01")
            || error.sqlstate() == Some("42703") && !asked;
        // A slot is needed for a moment only, and one may become free.
        let no_slot = error.sqlstate() == Some("53400");
        let may_pass = error.may_pass() || error.is_shut_out() || cancelled(&error);
        if !may_pass && !no_slot && !shape {
            let Some(id) = self.progress.tables.get(job).map(|it| &it.shown.id) else {
                return Ok(());
            };
            let (reason, kind) = (error.to_string(), error.kind());
            if matches!(id, SnapshotId::Asked(_) | SnapshotId::Attached) {
                let stage = "snapshot";
                self.status.count_error(Labels { stage, kind });
                self.lacks(job, &reason);
                return self.give_up(encoder, job, &reason);
            }
            if is_of_table(&error) {
                self.hold_back(job, &reason, kind);
                return Ok(());
            }
            return Err(error.into());
        }
        let _ = self.retry.failed(false);
        tracing::warn!(%error, "a chunk is read again");
        self.status.count_retries("snapshot", 1);
        Ok(())
    }

    /// The stream has passed the chunk's snapshot: its rows are judged and given.
    fn settle(&mut self, encoder: &mut Encoder, open: Open) -> Result<(), Error> {
        let Some(chunk) = &open.chunk else {
            return Ok(());
        };
        let name = open.table.relation.qualified_name();
        let changed = open.changed
            || chunk.relation != open.table.relation
            || (!chunk.scan.has_key() && self.progress.tables[open.job].base.is_none())
            || identity_of(&chunk.relation, &chunk.scan) != open.table.identity;
        if changed {
            self.described.remove(&open.job);
            tracing::info!(table = name, "the table has changed: a chunk is read again");
            return Ok(());
        }
        if let Some(void) = open.window.void() {
            if void == Void::Full {
                let rows = self
                    .rows_max
                    .entry(open.job)
                    .or_insert(self.config.now().snapshot.chunk_rows);
                *rows = (*rows / 2).max(CHUNK_ROWS_MIN);
            }
            let reason = match void {
                Void::Truncated => "the table was truncated",
                Void::Full => "more rows of it changed meanwhile than are kept",
            };
            tracing::info!(table = name, reason, "a chunk is read again");
            return Ok(());
        }
        if is_unclear(&open.window, chunk)? {
            let readings = self.unclear.entry(open.job).or_default();
            *readings += 1;
            if *readings < UNCLEAR_MAX {
                tracing::info!(
                    table = name,
                    "a row without a key was removed: a chunk is read again"
                );
                return Ok(());
            }
        }
        self.unclear.remove(&open.job);
        self.give(encoder, open)
    }

    fn give(&mut self, encoder: &mut Encoder, open: Open) -> Result<(), Error> {
        let Open {
            job,
            range,
            mut window,
            streamed,
            chunk: Some(chunk),
            ..
        } = open
        else {
            return Ok(());
        };
        encoder.recent.ended(&streamed, &chunk.visibility);
        let oid = chunk.relation.oid;
        if !chunk.blocks.is_empty() && !encoder.relations().follows(&chunk.relation) {
            // The stream has not described this version; it will, before its next change.
            encoder.relations().learn(chunk.relation.clone());
        }
        let at = encoder.builder.course().position().end_lsn;
        let Some(place) = self.place(job, &range) else {
            return Ok(());
        };
        let columns = chunk.relation.columns.len();
        for line in chunk.blocks.iter().flat_map(|block| block.lines()) {
            let (mut scratch, mut row) = (Vec::new(), Vec::with_capacity(columns + 2));
            parse_copy_row(line, &mut scratch, &mut row)?;
            let given = match window.judge(&row[..columns], &chunk.visibility) {
                Verdict::Drop => false,
                Verdict::Give => read_row(encoder, oid, &row[..columns], at)?,
                Verdict::GiveAs(row) => read_row(encoder, oid, &row, at)?,
            };
            self.progress.tables[job].shown.rows += u64::from(given);
            if encoder.builder.is_full() {
                let key = chunk.scan.key_of(&row)?;
                self.progress.tables[job].advance(place, key);
                self.mark(encoder)?;
            }
        }
        let table = &mut self.progress.tables[job];
        table.contents = Some(chunk.contents);
        match chunk.end {
            Some(key) => table.advance(place, key),
            None => {
                table.left.remove(place);
                table.settle();
            }
        }
        self.mark(encoder)
    }

    fn place(&self, job: usize, range: &RowRange) -> Option<usize> {
        let left = &self.progress.tables.get(job)?.left;
        left.iter().position(|it| it.until == range.until)
    }

    /// Puts the cursor behind what stands in the block.
    fn mark(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        self.take_keys(encoder);
        self.mended();
        self.progress.serial += 1;
        let position = encoder.builder.course().position();
        let progress = Arc::new(self.progress.clone());
        if encoder.in_transaction() || position.ordinal.is_some() {
            // It goes with the next mark that there is.
            encoder.builder.carry(progress);
            return Ok(());
        }
        encoder.builder.snapshot(position, progress);
        encoder.seal(true)
    }
}
