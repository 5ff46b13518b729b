//! What was counted over a time, of all transactions.
//!
//! Owns: [`Figures`], and how long what is said goes back.

use std::time::Duration;

use crate::status::latency::{
    spread::Spread,
    stage::{Parts, STAGES},
    work::Work,
};

/// What is said is of the last minute.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// What was counted over a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) transactions: u64,
    /// Microseconds in each stage, of all transactions.
    pub(super) sums: Parts,
    pub(super) work: Work,
    pub(super) spreads: [Spread; STAGES],
    /// The whole way.
    pub(super) whole: Spread,
}

impl Figures {
    /// All of another.
    pub(super) fn merge(&mut self, other: &Figures) {
        self.transactions += other.transactions;
        for (sum, more) in self.sums.0.iter_mut().zip(other.sums.0) {
            *sum += more;
        }
        self.work += other.work;
        for (spread, more) in self.spreads.iter_mut().zip(&other.spreads) {
            spread.merge(more);
        }
        self.whole.merge(&other.whole);
    }
}
