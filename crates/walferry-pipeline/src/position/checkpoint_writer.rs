//! What every checkpoint record of this process says besides the position: where it belongs and who wrote it.
//!
//! Owns the counter. Invariant: the counter only grows, over restarts too, because it starts at the one that was read.

use std::sync::{Arc, Mutex, PoisonError};

use walferry_kafka::{Checkpoint, KnownTopics};

use crate::{
    config::Source,
    position::{committed::Committed, published_record::Record, recovery, table_positions::Held},
};

/// The writer of checkpoint records.
#[derive(Debug)]
pub(crate) struct CheckpointWriter {
    inner: Mutex<Inner>,
    server: recovery::Server,
    slot: String,
    instance: String,
    topics: Arc<KnownTopics>,
}

#[derive(Debug)]
struct Inner {
    counter: u64,
    /// What is published of the tables, as it was written last.
    published: Option<Arc<Record>>,
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
                counter,
                published: None,
            }),
            server,
            slot: source.slot.clone(),
            instance: instance.to_owned(),
            topics,
        }
    }

    /// Who writes.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The next checkpoint record. What is published is in it when that is another than in the one before.
    pub(crate) fn next(&self, committed: &Committed) -> Checkpoint {
        let mut inner = self.lock();
        let known = |it: &&Arc<Record>| {
            let before = inner.published.as_ref();
            !before.is_some_and(|before| Arc::ptr_eq(before, it))
        };
        let published = committed.published.as_ref().filter(known).cloned();
        if let Some(published) = &published {
            inner.published = Some(published.clone());
        }
        drop(inner);
        let held = &committed.held;
        let snapshot = committed.snapshot.as_deref();
        Checkpoint {
            published: published.and_then(|it| serde_json::to_value(&*it).ok()),
            position: Some(held.position),
            last_commit_lsn: held.last_commit,
            events: held.events.as_deref().cloned(),
            parked: held.parked.to_vec(),
            snapshot: snapshot.and_then(|it| serde_json::to_value(it).ok()),
            ..self.intent(&committed.followed)
        }
    }

    /// A checkpoint record without a position: the topics are about to be begun.
    pub(crate) fn intent(&self, followed: &[String]) -> Checkpoint {
        let mut inner = self.lock();
        inner.counter += 1;
        Checkpoint {
            published: None,
            version: 1,
            system_id: self.server.system_id.clone(),
            timeline: self.server.timeline,
            database: self.server.database.clone(),
            slot: self.slot.clone(),
            position: None,
            last_commit_lsn: None,
            events: None,
            parked: Vec::new(),
            snapshot: None,
            instance: self.instance.clone(),
            counter: inner.counter,
            written_at: walferry_kafka::now_rfc3339(),
            walferry: env!("CARGO_PKG_VERSION").to_owned(),
            tables: followed.to_vec(),
            topics: self.topics.accepted(),
        }
    }

    /// What the topics hold, as the recovery table wants it.
    pub(crate) fn written(&self, held: &Held) -> recovery::Written {
        recovery::Written {
            position: held.position,
            needed: held.needed(),
            timeline: self.server.timeline,
            home: recovery::Home {
                system_id: self.server.system_id.clone(),
                database: self.server.database.clone(),
                slot: self.slot.clone(),
            },
        }
    }

    /// The timeline on which everything since the start was read.
    pub(crate) fn timeline(&self) -> u32 {
        self.server.timeline
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
