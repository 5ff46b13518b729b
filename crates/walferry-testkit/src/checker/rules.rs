//! What a check compares: the tables with their keys, where the connector began, what it leaves out.
//!
//! Owns: [`Rules`], [`Start`], and what is known of a table from a position on. Never: judgement.

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
    /// What was committed up to this LSN is no part of the comparison; rows of snapshots are counted and not compared.
    Streamed(u64),
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

/// From a position on, a table and its topic are made to agree in other ways than by its changes alone: it was replaced or not
/// published for a while, or is read again. Its changes may be absent, and rows of snapshots and deletes that no transaction
/// made may come; every change that is there is judged as ever. What the topic says in the end is judged by `agreement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAgain {
    /// `schema.table`.
    pub table: String,
    /// LSN from which on.
    pub from: u64,
}

/// A time in which a table was a partition of another one, under whose name its changes are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// `schema.table` of the partition.
    pub leaf: String,
    /// `schema.table` of the root.
    pub root: String,
    /// LSN of the first change that is the root's.
    pub from: u64,
    /// LSN of the first change that is its own again.
    pub to: u64,
}

/// What to compare and how.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Key columns by `schema.table`; other tables are no part of the comparison.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Keys that are others later on, in order.
    pub key_changes: Vec<KeyChange>,
    /// Tables that are made to agree in other ways than by their changes.
    pub read_again: Vec<ReadAgain>,
    /// Partitions that are published under the name of their root.
    pub attached: Vec<Attached>,
    /// Tables whose keys pass from row to row within a statement (a deferrable key): a key that another row has is not deleted by
    /// the row that leaves it. The witness must have seen them from their first row on.
    pub passing_keys: BTreeSet<String>,
    /// Whether topics are looked through for keys that their tables have no more, and ended where nothing tells rows apart: deletes
    /// and truncates that no transaction made may come, also of keys that a truncate has ended. `agreement` judges the end.
    pub swept: bool,
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
            read_again: Vec::new(),
            attached: Vec::new(),
            passing_keys: BTreeSet::new(),
            swept: false,
            start: Start::Everything,
            tombstones: true,
            truncates: true,
            ignored_columns: BTreeSet::new(),
        }
    }
}
