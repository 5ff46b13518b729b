//! The opening of windows: what is read next, and the task that reads it.
//!
//! Owns the order of jobs and ranges. Never: waits; what the tasks find comes back as events.
//! Invariant: a window is open before its chunk's snapshot is taken, no range has two windows, and no table two jobs that read it.

use std::time::Duration;

use tokio::{sync::mpsc, time};
use walferry_event::{Lsn, RowRange};

use crate::{
    encode::Encoder,
    error::Error,
    position::snapshot_progress::TableState,
    snapshot::{
        chunk::{Order, Read, Sessions},
        engine::{Engine, open_window::Open},
        goal::goal,
        mailbox::Event,
        shape::{Described, describe},
        window::{Identity, Window},
    },
    status::Status,
};

/// How long the stream may take to pass a chunk before WAL that nobody flushes is suspected.
const NUDGE_AFTER: Duration = Duration::from_millis(500);
const NUDGES_MAX: u32 = 20;

impl Engine {
    /// Opens windows for what is left, as many as there are readers.
    pub(super) fn open(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        let readers = self.config.now().snapshot.readers.max(1) as usize;
        let mut taken: Vec<(String, usize)> = self.at_work();
        for job in self.progress.order() {
            let asking = self.described.values().filter(|it| it.is_none()).count();
            if self.windows.len() + self.sweeps.len() + asking >= readers {
                return Ok(());
            }
            let table = &self.progress.tables[job];
            let unpublished = self.unpublished.contains(&table.shown.name);
            if !table.due()
                || unpublished
                || self.is_held_back(job)
                || encoder.builder.course().has(&table.shown.name)
            {
                continue;
            }
            match taken.iter().find(|it| it.0 == table.shown.name) {
                Some(&(_, other)) if other != job => continue,
                Some(_) => {}
                None => taken.push((table.shown.name.clone(), job)),
            }
            match self.described.get(&job) {
                None => self.describe(job),
                Some(None) => {}
                Some(Some(described)) if self.progress.tables[job].truncate => {
                    let described = described.clone();
                    self.ask_place(job, &described);
                }
                Some(Some(described)) if self.progress.tables[job].left.is_empty() => {
                    let described = described.clone();
                    self.begin_sweep(encoder, job, &described)?;
                }
                Some(Some(described)) => {
                    let described = described.clone();
                    let ranges = self.progress.tables[job].left.clone();
                    for range in ranges {
                        let is_open =
                            |open: &Open| open.job == job && open.range.until == range.until;
                        if self.windows.len() < readers && !self.windows.iter().any(is_open) {
                            self.open_one(encoder, job, &described, range);
                        }
                        if described.identity == Identity::Bag {
                            // What is removed from a table without a key must be counted once.
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The tables that are being read or looked through, each with its job.
    fn at_work(&self) -> Vec<(String, usize)> {
        let windows = self.windows.iter().map(|it| it.job);
        let sweeps = self.sweeps.iter().map(|it| it.job);
        let jobs = windows.chain(sweeps).chain(self.anew.keys().copied());
        let name = |job: usize| self.progress.tables[job].shown.name.clone();
        jobs.map(|job| (name(job), job)).collect()
    }

    fn open_one(&mut self, encoder: &mut Encoder, job: usize, table: &Described, range: RowRange) {
        if table.identity == Identity::Bag && self.windows.iter().any(|open| open.job == job) {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let streamed = encoder.recent.before();
        let config = self.config.now();
        let bytes_max =
            config.publish.memory_bytes_max / 8 / u64::from(config.snapshot.readers.max(1));
        let order = Order {
            table: table.oid,
            range: range.clone(),
            rows_max: *self
                .rows_max
                .get(&job)
                .unwrap_or(&config.snapshot.chunk_rows),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            condition: self.progress.tables[job].condition.clone(),
            base: self.progress.tables[job].base.clone(),
            contents: self.progress.tables[job].contents.clone(),
            streamed: streamed.clone(),
            added_at: table.added_at.clone(),
        };
        self.windows.push(Open {
            id,
            job,
            range,
            window: Window::new(table.identity.clone()),
            table: table.clone(),
            streamed,
            chunk: None,
            changed: false,
        });
        self.progress.tables[job].shown.state = TableState::Running;
        let (sessions, events, status) = (
            self.sessions.clone(),
            self.events.clone(),
            self.status.clone(),
        );
        let pause = self.pause();
        let at = encoder.builder.course().position().end_lsn;
        self.progress.tables[job].begins_at(at);
        let beyond = self.progress.tables[job].beyond.map(|it| Lsn(it.0 + 1));
        self.runtime.spawn(async move {
            time::sleep(pause).await;
            if Some(status.ledger.positions().received) < beyond {
                let _ = sessions.nudge().await;
            }
            let read = sessions.read(&order).await;
            let passed = match &read {
                Ok(Read::Chunk(chunk)) => beyond.max(Some(goal(chunk.wal_insert))),
                _ => None,
            };
            if events.send(Event::Chunk(id, read)).is_err() {
                return;
            }
            if let Some(passed) = passed {
                follow(&sessions, &status, &events, passed).await;
            }
        });
    }

    /// After failures in a row, the next read waits.
    pub(super) fn pause(&self) -> Duration {
        match self.retry.tries() {
            0 => Duration::ZERO,
            tries => Duration::from_millis(100 << tries.min(4)),
        }
    }

    fn describe(&mut self, job: usize) {
        self.described.insert(job, None);
        let table = &self.progress.tables[job];
        let (name, added) = (table.shown.name.clone(), table.added);
        // A table that is read anew gets its base with the place at which its topic is ended.
        let based = table.base.is_some() || table.truncate;
        let sweeps = table.sweep && table.left.is_empty();
        let (sessions, events, pause) = (self.sessions.clone(), self.events.clone(), self.pause());
        let status = self.status.clone();
        self.runtime.spawn(async move {
            time::sleep(pause).await;
            let described = describe(&sessions, &name, added, based)
                .await
                .map(|it| it.map(Box::new));
            let passed = match &described {
                Ok(Some(it)) if sweeps => Some(goal(it.wal_insert)),
                _ => None,
            };
            let told = events.send(Event::Described(job, described));
            if let (Ok(()), Some(passed)) = (told, passed) {
                follow(&sessions, &status, &events, passed).await;
            }
        });
    }
}

/// Sees to it that the stream passes this position.
pub(super) async fn follow(
    sessions: &Sessions,
    status: &Status,
    events: &mpsc::UnboundedSender<Event>,
    passed: Lsn,
) {
    for _ in 0..NUDGES_MAX {
        time::sleep(NUDGE_AFTER).await;
        if status.ledger.positions().received >= passed || events.is_closed() {
            return;
        }
        // On an idle server the last page of the WAL may wait long for its flush, and the stream with it.
        let _ = sessions.nudge().await;
    }
}
