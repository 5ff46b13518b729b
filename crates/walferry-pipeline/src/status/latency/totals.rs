//! How long transactions were in each stage since the start, as a histogram has it.
//!
//! Owns the buckets and their ends. A transaction counts once in each stage, whatever the size of its batch, and a batch costs the same
//! whatever it holds. Invariant: the sums of all stages are the time that all transactions took.

use crate::status::latency::stage::{Parts, STAGES, Stage};

/// Upper ends of the buckets, in seconds.
pub const SECONDS: [f64; ENDS] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0,
    10.0, 30.0, 60.0,
];
const ENDS: usize = 19;

/// All stages.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many transactions were counted.
    pub transactions: u64,
    stages: [StageTotals; STAGES],
}

/// One stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTotals {
    /// Transactions in each bucket, without those of the buckets before; what is above the last end is in none.
    pub counts: [u64; ENDS],
    /// Microseconds of all of them.
    pub sum_us: u64,
}

impl Totals {
    pub(super) fn add(&mut self, transactions: u64, parts: &Parts) {
        self.transactions += transactions;
        for (stage, us) in self.stages.iter_mut().zip(parts.0) {
            stage.sum_us += us.saturating_mul(transactions);
            let seconds = us as f64 / 1e6;
            if let Some(at) = SECONDS.iter().position(|end| seconds <= *end) {
                stage.counts[at] += transactions;
            }
        }
    }

    /// Each stage by its name, in the order of the way.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, &StageTotals)> {
        Stage::ALL.map(Stage::name).into_iter().zip(&self.stages)
    }

    #[cfg(test)]
    pub(super) fn stage(&self, stage: Stage) -> &StageTotals {
        &self.stages[stage as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_counts_once_in_each_stage() {
        let mut totals = Totals::default();
        let mut parts = Parts::default();
        *parts.of_mut(Stage::Send) = 1_000;
        *parts.of_mut(Stage::Commit) = 61_000_000;
        totals.add(7, &parts);
        for stage in Stage::ALL {
            let told = totals.stage(stage);
            let counted: u64 = told.counts.iter().sum();
            match stage {
                Stage::Commit => assert_eq!((counted, told.sum_us), (0, 427_000_000)),
                Stage::Send => assert_eq!((told.counts[0], told.sum_us), (7, 7_000)),
                _ => assert_eq!((told.counts[0], told.sum_us), (7, 0)),
            }
        }
    }
}
