//! What every checkpoint record of this process says besides the position: where it belongs and who wrote it.
//!
//! Owns the counter. Invariant: the counter only grows, over restarts too, because it starts at the one that was read.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use walferry_event::Position;
use walferry_kafka::Checkpoint;

use crate::{recovery, snapshot::Progress};

/// The writer of checkpoint records.
#[derive(Debug)]
pub(crate) struct Stamp {
    inner: Mutex<Inner>,
    snapshot_finished: watch::Sender<bool>,
    slot: String,
    instance: String,
}

#[derive(Debug)]
struct Inner {
    server: recovery::Server,
    counter: u64,
    durable: Position,
}

impl Stamp {
    pub(crate) fn new(server: recovery::Server, slot: &str, instance: &str, counter: u64) -> Stamp {
        Stamp {
            inner: Mutex::new(Inner {
                server,
                counter,
                durable: Position::default(),
            }),
            snapshot_finished: watch::Sender::new(false),
            slot: slot.to_owned(),
            instance: instance.to_owned(),
        }
    }

    /// The next checkpoint record. Without a position it is an intent; an unfinished snapshot has none either.
    pub(crate) fn next(
        &self,
        position: Option<Position>,
        snapshot: Option<&Progress>,
    ) -> Checkpoint {
        let mut inner = self.lock();
        inner.counter += 1;
        Checkpoint {
            version: 1,
            system_id: inner.server.system_id.clone(),
            timeline: inner.server.timeline,
            database: inner.server.database.clone(),
            slot: self.slot.clone(),
            position: position.filter(|_| snapshot.is_none_or(|s| s.finished)),
            snapshot: snapshot.and_then(|s| serde_json::to_value(s).ok()),
            instance: self.instance.clone(),
            counter: inner.counter,
            written_at: walferry_kafka::now_rfc3339(),
            walferry: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The newest position that a committed checkpoint covers.
    pub(crate) fn durable(&self) -> Position {
        self.lock().durable
    }

    pub(crate) fn set_durable(&self, position: Position) {
        self.lock().durable = position;
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
            position: inner.durable,
            system_id: inner.server.system_id.clone(),
            timeline: inner.server.timeline,
            database: inner.server.database.clone(),
            slot: self.slot.clone(),
        }
    }

    /// The server was promoted, and its history contains our position.
    pub(crate) fn follow(&self, server: recovery::Server) {
        self.lock().server = server;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Each field is replaced whole, so that a holder that panicked left no half of a value.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A checkpoint record as the recovery table wants it.
pub(crate) fn evidence(checkpoint: Option<&Checkpoint>) -> recovery::Checkpoint {
    match checkpoint {
        None => recovery::Checkpoint::None,
        Some(checkpoint) => match checkpoint.position {
            None => recovery::Checkpoint::Intent {
                snapshot_begun: checkpoint.snapshot.is_some(),
            },
            Some(position) => recovery::Checkpoint::Position(recovery::Written {
                position,
                system_id: checkpoint.system_id.clone(),
                timeline: checkpoint.timeline,
                database: checkpoint.database.clone(),
                slot: checkpoint.slot.clone(),
            }),
        },
    }
}
