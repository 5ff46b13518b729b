//! What a check compares: the tables with their keys, where the connector began, what it leaves out.
//!
//! Owns: [`Rules`] and [`Start`]. Never: judgement.

use std::collections::{BTreeMap, BTreeSet};

/// Where the connector began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Every change that the witness tells is an event; a snapshot row is unexpected.
    #[default]
    Everything,
    /// What was committed up to this LSN is in the topics as rows of a snapshot, what came later as events. The
    /// witness must have seen the tables from their first row on.
    Snapshot(u64),
    /// What was committed up to this LSN was there when the stream began. Its rows come as rows of a snapshot before the events
    /// or between them: each at most once, as the row is at that place of the topic; at the end a reader of the topics
    /// knows every row whole.
    Beside(u64),
    /// Snapshot rows are counted and not compared.
    SnapshotUnchecked,
}

/// From a position on, a table's records have another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// `schema.table`.
    pub table: String,
    /// LSN of the first change that has it.
    pub from: u64,
    /// Its columns.
    pub key: Vec<String>,
}

/// A time in which the publication did not hold a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// `schema.table`.
    pub table: String,
    /// LSN of the first change that is not published.
    pub from: u64,
    /// LSN of the first change that is published again.
    pub to: u64,
}

/// What to compare and how.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Key columns by `schema.table`; other tables are no part of the comparison.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Keys that are others later on, in order.
    pub key_changes: Vec<KeyChange>,
    /// Changes that no topic shows.
    pub unpublished: Vec<Unpublished>,
    /// Where the connector began.
    pub start: Start,
    /// Whether a delete is followed by a tombstone.
    pub tombstones: bool,
    /// Whether truncates are events.
    pub truncates: bool,
    /// `schema.table.column` that the topics do not have.
    pub ignored_columns: BTreeSet<String>,
}

impl Rules {
    /// The rules of a connector with default settings over these tables.
    pub fn new(keys: BTreeMap<String, Vec<String>>) -> Rules {
        Rules {
            keys,
            key_changes: Vec::new(),
            unpublished: Vec::new(),
            start: Start::Everything,
            tombstones: true,
            truncates: true,
            ignored_columns: BTreeSet::new(),
        }
    }
}
