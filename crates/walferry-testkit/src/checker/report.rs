//! The verdict: how many changes are lost, doubled, reordered, wrong or unexpected, with the first examples.
//!
//! Owns: [`Report`] and its text. Never: judgement; the judge counts.

use std::collections::BTreeMap;
use std::fmt;

/// How a topic differs from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Committed, and not in the topic.
    Lost,
    /// In the topic more than once.
    Doubled,
    /// In the topic after a change that was committed later.
    Reordered,
    /// In the topic with other values.
    Wrong,
    /// In the topic, and never committed.
    Unexpected,
}

impl Fault {
    /// The word for it in reports.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Lost => "lost",
            Fault::Doubled => "doubled",
            Fault::Reordered => "reordered",
            Fault::Wrong => "wrong",
            Fault::Unexpected => "unexpected",
        }
    }
}

/// One example.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What is the matter.
    pub fault: Fault,
    /// Where and what, in a sentence.
    pub story: String,
}

/// The verdict on a whole history.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Transactions that the witness told.
    pub transactions: u64,
    /// Events that the topics should hold, tombstones not counted.
    pub expected: u64,
    /// Events that the topics hold, tombstones not counted.
    pub observed: u64,
    /// Rows of a snapshot among the observed.
    pub snapshot_rows: u64,
    /// Tombstones that the topics hold.
    pub tombstones: u64,
    /// Observed events by table.
    pub tables: BTreeMap<String, u64>,
    /// Committed changes that no topic shows.
    pub lost: u64,
    /// Events that the topics show again.
    pub doubled: u64,
    /// Events behind a later one of their partition.
    pub reordered: u64,
    /// Events with other values than the database had.
    pub wrong: u64,
    /// Events without a committed change.
    pub unexpected: u64,
    /// The first differences.
    pub examples: Vec<Difference>,
}

impl Report {
    /// How many examples are kept.
    pub const EXAMPLES_MAX: usize = 20;

    /// Whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.faults() == 0
    }

    /// All differences together.
    pub fn faults(&self) -> u64 {
        self.lost + self.doubled + self.reordered + self.wrong + self.unexpected
    }

    /// The counts of a fault.
    pub fn count(&self, fault: Fault) -> u64 {
        match fault {
            Fault::Lost => self.lost,
            Fault::Doubled => self.doubled,
            Fault::Reordered => self.reordered,
            Fault::Wrong => self.wrong,
            Fault::Unexpected => self.unexpected,
        }
    }

    /// Counts one difference and keeps its story if it is among the first.
    pub(super) fn add(&mut self, fault: Fault, story: impl FnOnce() -> String) {
        match fault {
            Fault::Lost => self.lost += 1,
            Fault::Doubled => self.doubled += 1,
            Fault::Reordered => self.reordered += 1,
            Fault::Wrong => self.wrong += 1,
            Fault::Unexpected => self.unexpected += 1,
        }
        if self.examples.len() < Report::EXAMPLES_MAX {
            self.examples.push(Difference {
                fault,
                story: story(),
            });
        }
    }

    /// Fails the test that asks, with the whole report, unless it is clean and covers at least so many events.
    ///
    /// # Panics
    /// If anything differs, or if the history is shorter than the test believes.
    pub fn assert_clean(&self, expected_min: u64) {
        assert!(self.is_clean(), "{self}");
        assert!(
            self.expected + self.snapshot_rows >= expected_min,
            "the history has fewer than {expected_min} events: {self}"
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} transactions, {} changes expected, {} events read (and {} snapshot rows, {} tombstones): \
             lost {}, doubled {}, reordered {}, wrong {}, unexpected {}",
            self.transactions,
            self.expected,
            self.observed - self.snapshot_rows,
            self.snapshot_rows,
            self.tombstones,
            self.lost,
            self.doubled,
            self.reordered,
            self.wrong,
            self.unexpected
        )?;
        for example in &self.examples {
            write!(out, "\n  {}: {}", example.fault.word(), example.story)?;
        }
        let more = self.faults().saturating_sub(self.examples.len() as u64);
        if more > 0 {
            write!(out, "\n  and {more} more")?;
        }
        Ok(())
    }
}
