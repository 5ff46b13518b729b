//! What has been committed by now, and what follows from that: the one place where it is kept and the one function that applies it.
//!
//! Owns the value, and the order in which others learn of it: the ledger, the status, and last of all PostgreSQL. Never: writes a
//! checkpoint.
//! Invariant: what is confirmed to PostgreSQL is in the value already.
//! Start reading at `Durable::apply`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use walferry_postgres::Feedback;

use crate::{
    position::{committed::Committed, table_positions::Held},
    status::Status,
};

/// What has been committed by now. Shared by the parts of one ring.
pub(crate) struct Durable {
    now: Mutex<Committed>,
    snapshot_finished: watch::Sender<bool>,
    feedback: Arc<Feedback>,
    status: Arc<Status>,
}

impl Durable {
    /// A ring begins with what the newest checkpoint says.
    pub(crate) fn begin(committed: Committed, status: Arc<Status>) -> Durable {
        let held = &committed.held;
        let needed = held.needed();
        status.ledger.start(held.position.end_lsn, needed);
        if let Some(progress) = &committed.snapshot {
            status.set_snapshot(progress.clone());
        }
        Durable {
            now: Mutex::new(committed),
            snapshot_finished: watch::Sender::new(false),
            feedback: Arc::new(Feedback::new(needed)),
            status,
        }
    }

    /// A checkpoint that says this is committed.
    pub(crate) fn apply(&self, committed: Committed) {
        let (end, needed) = (committed.held.position.end_lsn, committed.held.needed());
        let snapshot = committed.snapshot.clone();
        self.status.ledger.checkpoint(end);
        *self.lock() = committed;
        if let Some(progress) = snapshot {
            let finished = progress.finished();
            self.status.set_snapshot(progress);
            if finished {
                self.snapshot_finished.send_replace(true);
            }
        }
        self.feedback.set_flushed(needed);
        self.status.ledger.confirm(needed);
    }

    /// What has been committed by now.
    pub(crate) fn now(&self) -> Committed {
        self.lock().clone()
    }

    /// What the topics hold by now.
    pub(crate) fn held(&self) -> Held {
        self.lock().held.clone()
    }

    /// Says when the checkpoint of a finished snapshot is committed.
    pub(crate) fn snapshot_finished(&self) -> watch::Receiver<bool> {
        self.snapshot_finished.subscribe()
    }

    /// What PostgreSQL is told.
    pub(crate) fn feedback(&self) -> &Arc<Feedback> {
        &self.feedback
    }

    fn lock(&self) -> MutexGuard<'_, Committed> {
        // It is replaced whole.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::{Lsn, Position};

    use super::*;
    use crate::position::{
        snapshot_id::SnapshotId,
        snapshot_progress::{Progress, TableJob},
    };

    #[test]
    fn everybody_learns_of_a_commit() {
        let status = Arc::new(Status::new("c"));
        let tables = ["public.*".to_owned()];
        let at = |lsn| Committed::at(Held::at(Position::at(Lsn(lsn))), &tables);
        let durable = Durable::begin(at(5), status.clone());
        assert_eq!(status.ledger.positions().confirmed, Lsn(5));
        status.ledger.receive(Lsn(9));
        status.ledger.publish(Lsn(9));

        let mut job = TableJob::new("public.t".into(), SnapshotId::Initial, 1);
        let mut committed = at(8);
        committed.carry(Arc::new(Progress {
            tables: vec![job.clone()],
            ..Progress::default()
        }));
        durable.apply(committed.clone());
        assert_eq!(durable.held(), committed.held);
        let positions = status.ledger.positions();
        assert_eq!([positions.checkpointed, positions.confirmed], [Lsn(8); 2]);
        assert_eq!(durable.feedback().flushed(), Lsn(8));
        assert_eq!(status.report().snapshot.len(), 1);
        assert!(!*durable.snapshot_finished().borrow());

        job.left.clear();
        job.settle();
        committed.carry(Arc::new(Progress {
            tables: vec![job],
            ..Progress::default()
        }));
        durable.apply(committed);
        assert!(*durable.snapshot_finished().borrow());
    }
}
