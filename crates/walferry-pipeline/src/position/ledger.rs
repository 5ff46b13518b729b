//! The ledger of positions: how far each stage of the ring has come.
//!
//! Owns four log positions, and where the connection began that moves the first. Never moves one backwards, and never lets one pass the one before it.
//! Invariant: `confirmed <= checkpointed <= published <= received`; a breach is our own mistake and asserts.

use std::sync::atomic::{AtomicU64, Ordering};

use walferry_event::Lsn;

/// The four positions, from the socket to the confirmation.
#[derive(Debug, Default)]
pub struct Ledger {
    received: AtomicU64,
    published: AtomicU64,
    checkpointed: AtomicU64,
    confirmed: AtomicU64,
    stream_began: AtomicU64,
}

/// The ledger at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Positions {
    /// Read off the socket and decoded.
    pub received: Lsn,
    /// Handed to Kafka, in a transaction that may still be open.
    pub published: Lsn,
    /// Covered by a committed checkpoint.
    pub checkpointed: Lsn,
    /// Told to PostgreSQL, which may forget what is before it.
    pub confirmed: Lsn,
}

impl Ledger {
    /// A ledger that starts at a checkpoint: all stand there, but what is confirmed may be kept back for tables that wait.
    pub fn start(&self, at: Lsn, confirmed: Lsn) {
        for position in [&self.received, &self.published, &self.checkpointed] {
            position.store(at.0, Ordering::SeqCst);
        }
        self.confirmed.store(confirmed.min(at).0, Ordering::SeqCst);
    }

    /// A connection streams from this position on.
    pub fn stream_begins(&self, at: Lsn) {
        self.stream_began.store(at.0, Ordering::SeqCst);
    }

    /// Where the present connection, or the last one, began to stream.
    pub fn stream_began(&self) -> Lsn {
        Lsn(self.stream_began.load(Ordering::SeqCst))
    }

    /// The stream has brought everything up to `lsn`.
    pub fn receive(&self, lsn: Lsn) {
        self.received.fetch_max(lsn.0, Ordering::SeqCst);
    }

    /// Kafka has been given everything up to `lsn`.
    pub fn publish(&self, lsn: Lsn) {
        advance(
            &self.published,
            lsn,
            &self.received,
            "published",
            "received",
        );
    }

    /// A committed checkpoint covers everything up to `lsn`.
    pub fn checkpoint(&self, lsn: Lsn) {
        advance(
            &self.checkpointed,
            lsn,
            &self.published,
            "checkpointed",
            "published",
        );
    }

    /// PostgreSQL has been told that everything up to `lsn` is durable.
    pub fn confirm(&self, lsn: Lsn) {
        advance(
            &self.confirmed,
            lsn,
            &self.checkpointed,
            "confirmed",
            "checkpointed",
        );
    }

    /// All four, read from the last to the first so that the invariant holds in what is returned.
    pub fn positions(&self) -> Positions {
        let confirmed = Lsn(self.confirmed.load(Ordering::SeqCst));
        let checkpointed = Lsn(self.checkpointed.load(Ordering::SeqCst));
        let published = Lsn(self.published.load(Ordering::SeqCst));
        let received = Lsn(self.received.load(Ordering::SeqCst));
        Positions {
            received,
            published,
            checkpointed,
            confirmed,
        }
    }
}

fn advance(position: &AtomicU64, lsn: Lsn, bound: &AtomicU64, name: &str, bound_name: &str) {
    let limit = Lsn(bound.load(Ordering::SeqCst));
    assert!(
        lsn <= limit,
        "{name} position {lsn} would pass the {bound_name} position {limit}"
    );
    position.fetch_max(lsn.0, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The model: plain numbers, moved by the same plan of actions.
    #[derive(Default)]
    struct Model([u64; 4]);

    proptest! {
        #[test]
        fn any_plan_of_actions_keeps_the_order(plan in prop::collection::vec((0usize..4, 0u64..50), 1..200)) {
            let ledger = Ledger::default();
            let mut model = Model::default();
            for (stage, lsn) in plan {
                let allowed = stage == 0 || lsn <= model.0[stage - 1];
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match stage {
                    0 => ledger.receive(Lsn(lsn)),
                    1 => ledger.publish(Lsn(lsn)),
                    2 => ledger.checkpoint(Lsn(lsn)),
                    _ => ledger.confirm(Lsn(lsn)),
                }));
                prop_assert_eq!(outcome.is_ok(), allowed);
                if allowed {
                    model.0[stage] = model.0[stage].max(lsn);
                }
                let seen = ledger.positions();
                prop_assert_eq!([seen.received.0, seen.published.0, seen.checkpointed.0, seen.confirmed.0], model.0);
                prop_assert!(seen.confirmed <= seen.checkpointed && seen.checkpointed <= seen.published
                    && seen.published <= seen.received);
            }
        }
    }
}
