//! Snapshots that cannot go on from where they stood: begun again, held back, or ended, each for a reason that is told.
//!
//! Owns what becomes of a table whose contents are not the ones that its ranges are of, and of one that the server refuses to
//! read. With a key a table is simply read again. Without one nothing tells the rows that are in the topic from those that
//! are not, so its topic is ended first (`anew`).
//! Never: loses a reason; what keeps a table back is in the checkpoint or is found anew after a restart.
//! Start reading at `Engine::replaced`.

use std::time::Duration;

use tokio::time;
use walferry_postgres::{Contents, Replaced};

use crate::{
    config::{Envelope, Operation},
    encode::Encoder,
    error::{Error, Labels},
    position::{published_record::Lack, snapshot_progress::TableState},
    snapshot::{
        engine::{Engine, held_back::HeldBack},
        mailbox::Event,
    },
};

/// Pauses between two tries of a table that the server refuses to read.
const HELD_MIN: Duration = Duration::from_secs(1);
const HELD_MAX: Duration = Duration::from_secs(60);

impl Engine {
    /// The ranges of a table are of other contents than it has now.
    pub(super) fn replaced(
        &mut self,
        encoder: &mut Encoder,
        job: usize,
        why: Replaced,
        now: &Contents,
    ) -> Result<(), Error> {
        self.let_go(job);
        let config = self.config.now();
        let truncates = !config.skipped_operations.contains(&Operation::Truncate)
            && config.format.envelope != Envelope::Flat;
        let table = &mut self.progress.tables[job];
        let name = table.shown.name.clone();
        let by_place = table.contents.as_ref().is_some_and(Contents::by_place) || now.by_place();
        if table.condition.is_some() {
            let reason = format!(
                "table {name}: {why} while a part of its rows was read: ask for the snapshot again"
            );
            return self.give_up(encoder, job, &reason);
        }
        if by_place && !truncates {
            let reason = format!(
                "table {name}: {why} while its rows were read, and without a key it cannot be told which of them are in the \
                 topic; its topic would have to be ended by a truncate, which is not published (format.skipped_operations, \
                 format.envelope): give the table a key, or a new topic, and run `walferry resync -c FILE`"
            );
            table.shown.state = TableState::Paused;
            table.shown.reason = Some(reason.clone());
            self.status.findings.set(&name, Lack::Incomplete, reason);
            return self.mark(encoder);
        }
        table.begin_again(encoder.builder.course().position().end_lsn);
        table.truncate |= by_place;
        let (id, ends_topic) = (table.shown.id.clone(), table.truncate);
        tracing::warn!(target: "audit", table = name, %id, reason = %why, ends_topic,
            "the snapshot of a table begins again");
        self.mark(encoder)
    }

    /// Ends a snapshot that was asked for, with its reason.
    pub(super) fn give_up(
        &mut self,
        encoder: &mut Encoder,
        job: usize,
        reason: &str,
    ) -> Result<(), Error> {
        let id = self.progress.tables[job].shown.id.clone();
        tracing::error!(target: "audit", reason, %id, "a snapshot that was asked for cannot go on");
        for at in 0..self.progress.tables.len() {
            let table = &mut self.progress.tables[at];
            if table.shown.id == id && !table.ended() {
                table.give_up(reason);
                self.let_go(at);
            }
        }
        self.mark(encoder)
    }

    /// What is being read of a table is of no use.
    pub(super) fn let_go(&mut self, job: usize) {
        self.windows.retain(|open| open.job != job);
        self.sweeps.retain(|sweep| sweep.job != job);
        self.described.remove(&job);
        self.rows_max.remove(&job);
        self.unclear.remove(&job);
        self.anew.remove(&job);
    }

    /// The server refuses to read a table for a reason that others do not share: it waits, and is tried again.
    pub(super) fn hold_back(&mut self, job: usize, reason: &str, kind: &'static str) {
        let table = &self.progress.tables[job];
        if table.ended() {
            return; // It was cancelled while it was asked for.
        }
        let name = &table.shown.name;
        let reason = format!("its snapshot waits, and is tried again: {reason}");
        self.status.findings.set(name, Lack::Incomplete, reason);
        let stage = "snapshot";
        self.status.count_error(Labels { stage, kind });
        let held = self.held_back.entry(job).or_insert(HeldBack {
            pause: HELD_MIN,
            due: false,
        });
        let pause = held.pause;
        (held.pause, held.due) = ((pause * 2).min(HELD_MAX), false);
        let events = self.events.clone();
        self.runtime.spawn(async move {
            time::sleep(pause).await;
            let _ = events.send(Event::Due(job));
        });
    }

    /// A table that was held back may be tried again.
    pub(super) fn due(&mut self, job: usize) {
        if let Some(held) = self.held_back.get_mut(&job) {
            held.due = true;
        }
    }

    /// Whether a table waits until it is tried again.
    pub(super) fn is_held_back(&self, job: usize) -> bool {
        self.held_back.get(&job).is_some_and(|held| !held.due)
    }

    /// A table was read: what kept it back is over.
    pub(super) fn was_read(&mut self, job: usize) {
        if self.held_back.remove(&job).is_some()
            && let Some(table) = self.progress.tables.get(job)
        {
            self.status.findings.clear(&table.shown.name);
        }
    }

    /// Tells again what a table was held for before the restart.
    pub(super) fn tell_held(&self) {
        for table in self.progress.tables.iter().filter(|it| !it.ended()) {
            if let Some(reason) = &table.shown.reason {
                let findings = &self.status.findings;
                findings.set(&table.shown.name, Lack::Incomplete, reason.clone());
            }
        }
    }
}
