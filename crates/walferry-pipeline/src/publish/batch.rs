//! When a Kafka transaction is committed: a pure decision, time is an argument.
//!
//! Owns the rule, and the account of what the open Kafka transaction holds. Never touches Kafka.
//! The rule: commit at the first end of a PostgreSQL transaction after the budget of bytes or time is used up, or when
//! nothing more waits. Changes of the stream that share a batch with rows of a snapshot, of which more always waits, have
//! half of the time. Inside a PostgreSQL transaction only when that one alone has used the budget, when the batch has
//! reached twice the budget, or when the Kafka transaction would grow too old.
//! Invariant: a PostgreSQL transaction smaller than the budget is never cut, but for age; `bytes <= 2 * budget + one block`.

use std::time::{Duration, Instant};

use crate::encode::block::Cut;

/// How long a Kafka transaction may be open before it is cut wherever it stands. Far below `transaction.timeout.ms`
/// (60 s), after which the broker aborts it.
pub(crate) const OPEN_MAX: Duration = Duration::from_secs(10);

/// What the open Kafka transaction holds.
#[derive(Debug)]
pub(crate) struct Batch {
    budget_bytes: u64,
    interval: Duration,
    shared: bool,
    opened: Option<Instant>,
    bytes: u64,
    unfinished_bytes: u64,
    last: Option<Cut>,
}

impl Batch {
    /// An empty batch under these limits.
    pub(crate) fn new(budget_bytes: u64, interval: Duration) -> Batch {
        Batch {
            budget_bytes,
            interval,
            shared: false,
            opened: None,
            bytes: 0,
            unfinished_bytes: 0,
            last: None,
        }
    }

    /// The batch holds changes of the stream among rows of a snapshot.
    pub(crate) fn share(&mut self) {
        self.shared = true;
    }

    /// Records of `bytes` were handed to Kafka, and `cut` stands behind them. Says whether to commit there.
    pub(crate) fn add(&mut self, bytes: u64, cut: Cut, now: Instant) -> bool {
        self.opened.get_or_insert(now);
        self.bytes += bytes;
        self.unfinished_bytes += bytes;
        self.last = Some(cut);
        if cut.whole {
            self.unfinished_bytes = 0;
        }
        self.due(now)
    }

    /// Whether the batch has to be committed at its last cut by now.
    pub(crate) fn due(&self, now: Instant) -> bool {
        let (Some(opened), Some(cut)) = (self.opened, self.last) else {
            return false;
        };
        let age = now.saturating_duration_since(opened);
        if cut.whole {
            self.bytes >= self.budget_bytes || age >= self.interval()
        } else {
            self.unfinished_bytes >= self.budget_bytes
                || self.bytes >= 2 * self.budget_bytes
                || age >= OPEN_MAX
        }
    }

    fn interval(&self) -> Duration {
        self.interval / if self.shared { 2 } else { 1 }
    }

    /// Whether the batch should be committed because nothing more waits.
    pub(crate) fn complete(&self) -> bool {
        self.last.is_some_and(|cut| cut.whole)
    }

    /// When [`Batch::due`] may turn true without more records.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let limit = if self.last?.whole {
            self.interval()
        } else {
            OPEN_MAX
        };
        Some(self.opened? + limit)
    }

    /// Where the batch would end.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.last
    }

    /// Bytes of records in it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The batch was committed: the next one is empty. What is unfinished goes on in it.
    pub(crate) fn clear(&mut self) {
        self.opened = None;
        self.shared = false;
        self.bytes = 0;
        self.unfinished_bytes = 0;
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::{Lsn, Position};

    use super::*;

    fn cut(whole: bool) -> Cut {
        Cut {
            position: Position::at(Lsn(1)),
            whole,
        }
    }

    fn batch() -> (Batch, Instant) {
        (Batch::new(100, Duration::from_millis(200)), Instant::now())
    }

    #[test]
    fn it_ends_at_the_first_transaction_end_after_the_budget() {
        let (mut batch, now) = batch();
        assert!(!batch.add(90, cut(true), now));
        assert!(
            !batch.add(60, cut(false), now),
            "150 bytes, but inside a small transaction"
        );
        assert!(batch.add(1, cut(true), now));
    }

    #[test]
    fn a_transaction_larger_than_the_budget_is_cut_inside() {
        let (mut batch, now) = batch();
        assert!(!batch.add(99, cut(false), now));
        assert!(batch.add(1, cut(false), now));
        batch.clear();
        assert!(!batch.add(99, cut(false), now));
    }

    #[test]
    fn it_never_grows_beyond_twice_the_budget() {
        let (mut batch, now) = batch();
        assert!(!batch.add(99, cut(true), now));
        assert!(!batch.add(99, cut(false), now));
        assert!(batch.add(2, cut(false), now));
    }

    #[test]
    fn time_ends_it_at_a_transaction_end_and_age_anywhere() {
        let (mut batch, now) = batch();
        assert!(!batch.add(1, cut(true), now));
        assert!(batch.due(now + Duration::from_millis(200)));
        assert!(!batch.add(1, cut(false), now + Duration::from_millis(200)));
        assert!(!batch.due(now + Duration::from_secs(9)));
        assert!(batch.due(now + OPEN_MAX));
        assert_eq!(batch.deadline(), Some(now + OPEN_MAX));
    }

    #[test]
    fn changes_among_rows_of_a_snapshot_have_half_of_the_time() {
        let (mut batch, now) = batch();
        let half = now + Duration::from_millis(100);
        batch.share();
        assert!(!batch.add(1, cut(true), now));
        assert_eq!(batch.deadline(), Some(half));
        assert!(batch.due(half));
        batch.clear();
        assert!(!batch.add(1, cut(true), now) && !batch.due(half));
    }

    #[test]
    fn an_empty_batch_is_never_due() {
        let (mut batch, now) = batch();
        assert!(!batch.due(now + OPEN_MAX) && !batch.complete() && batch.deadline().is_none());
        batch.add(1, cut(true), now);
        batch.clear();
        assert!(!batch.due(now + OPEN_MAX));
    }
}
