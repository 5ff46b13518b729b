//! What every checkpoint record of this process says besides the position: where it belongs and who wrote it.
//!
//! Owns the counter. Invariant: the counter only grows, over restarts too, because it starts at the one that was read.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use walferry_event::Position;
use walferry_kafka::{Checkpoint, KnownTopics};

use crate::{
    config::Source,
    position::{
        published_record::Record, recovery, snapshot_progress::Progress, table_positions::Held,
    },
};

/// The writer of checkpoint records.
#[derive(Debug)]
pub(crate) struct CheckpointWriter {
    inner: Mutex<Inner>,
    snapshot_finished: watch::Sender<bool>,
    slot: String,
    instance: String,
    topics: Arc<KnownTopics>,
}

#[derive(Debug)]
struct Inner {
    server: recovery::Server,
    counter: u64,
    durable: Held,
    /// What is followed.
    tables: Arc<[String]>,
    /// What is published of the tables, as it was written last, and whether it has still to be written.
    published: Option<Arc<Record>>,
    published_due: bool,
}

impl CheckpointWriter {
    pub(crate) fn new(
        server: recovery::Server,
        source: &Source,
        instance: &str,
        counter: u64,
        topics: Arc<KnownTopics>,
    ) -> CheckpointWriter {
        CheckpointWriter {
            inner: Mutex::new(Inner {
                server,
                counter,
                durable: Held::at(Position::default()),
                tables: source.tables.as_slice().into(),
                published: None,
                published_due: false,
            }),
            snapshot_finished: watch::Sender::new(false),
            slot: source.slot.clone(),
            instance: instance.to_owned(),
            topics,
        }
    }

    /// Who writes.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The next checkpoint record. Without a position it is an intent.
    pub(crate) fn next(&self, held: Option<&Held>, snapshot: Option<&Progress>) -> Checkpoint {
        let mut inner = self.lock();
        inner.counter += 1;
        let due = std::mem::take(&mut inner.published_due);
        let published = inner.published.as_deref().filter(|_| due);
        let published = published.and_then(|it| serde_json::to_value(it).ok());
        Checkpoint {
            published,
            version: 1,
            system_id: inner.server.system_id.clone(),
            timeline: inner.server.timeline,
            database: inner.server.database.clone(),
            slot: self.slot.clone(),
            position: held.map(|held| held.position),
            last_commit_lsn: held.and_then(|held| held.last_commit),
            events: held.and_then(|held| held.events.as_deref().cloned()),
            parked: held.map(|held| held.parked.to_vec()).unwrap_or_default(),
            snapshot: snapshot.and_then(|s| serde_json::to_value(s).ok()),
            instance: self.instance.clone(),
            counter: inner.counter,
            written_at: walferry_kafka::now_rfc3339(),
            walferry: env!("CARGO_PKG_VERSION").to_owned(),
            tables: inner.tables.to_vec(),
            topics: self.topics.accepted(),
        }
    }

    /// Other tables are followed from the next checkpoint on.
    pub(crate) fn set_tables(&self, tables: Arc<[String]>) {
        self.lock().tables = tables;
    }

    /// What is published from the next checkpoint on.
    pub(crate) fn set_published(&self, published: &Arc<Record>) {
        let mut inner = self.lock();
        let same = |it: &Arc<Record>| Arc::ptr_eq(it, published);
        if !inner.published.as_ref().is_some_and(same) {
            inner.published = Some(published.clone());
            inner.published_due = true;
        }
    }

    /// What is published, as the newest checkpoint has it.
    pub(crate) fn published(&self) -> Option<Arc<Record>> {
        self.lock().published.clone()
    }

    /// What the newest committed checkpoint covers.
    pub(crate) fn durable(&self) -> Held {
        self.lock().durable.clone()
    }

    pub(crate) fn set_durable(&self, held: Held) {
        self.lock().durable = held;
    }

    /// The checkpoint of a finished snapshot is committed.
    pub(crate) fn finish_snapshot(&self) {
        self.snapshot_finished.send_replace(true);
    }

    /// Says when the checkpoint of a finished snapshot is committed.
    pub(crate) fn snapshot_finished(&self) -> watch::Receiver<bool> {
        self.snapshot_finished.subscribe()
    }

    /// The durable position as the recovery table wants it.
    pub(crate) fn written(&self) -> recovery::Written {
        let inner = self.lock();
        recovery::Written {
            position: inner.durable.position,
            needed: inner.durable.needed(),
            timeline: inner.server.timeline,
            home: recovery::Home {
                system_id: inner.server.system_id.clone(),
                database: inner.server.database.clone(),
                slot: self.slot.clone(),
            },
        }
    }

    /// The timeline on which everything since the start was read.
    pub(crate) fn timeline(&self) -> u32 {
        self.lock().server.timeline
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Each field is replaced whole, so that a holder that panicked left no half of a value.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a checkpoint record says that the topics hold.
pub(crate) fn held(checkpoint: &Checkpoint) -> Option<Held> {
    Some(Held {
        position: checkpoint.position?,
        last_commit: checkpoint.last_commit_lsn,
        events: checkpoint.events.clone().map(Arc::new),
        parked: checkpoint.parked.as_slice().into(),
    })
}

/// A checkpoint record as the recovery table wants it.
pub fn evidence(checkpoint: Option<&Checkpoint>) -> recovery::Checkpoint {
    let Some(checkpoint) = checkpoint else {
        return recovery::Checkpoint::None;
    };
    let home = recovery::Home {
        system_id: checkpoint.system_id.clone(),
        database: checkpoint.database.clone(),
        slot: checkpoint.slot.clone(),
    };
    match held(checkpoint) {
        None => recovery::Checkpoint::Intent(home),
        Some(held) => recovery::Checkpoint::Position(recovery::Written {
            position: held.position,
            needed: held.needed(),
            timeline: checkpoint.timeline,
            home,
        }),
    }
}
