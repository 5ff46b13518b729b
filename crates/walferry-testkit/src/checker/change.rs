//! The words of the checker: what a row holds, what the database did, what a topic shows.
//!
//! Owns: [`Value`], [`Row`], [`Change`] (the witness's word) and [`Observed`] (the topic's word).
//! Never: I/O. Values are canonical text (see `canonical`), so that two sources can be compared byte by byte.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// One column's value in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// NULL.
    Null,
    /// Canonical text.
    Text(String),
    /// A TOAST value that the change did not touch.
    Unchanged,
}

/// A row's columns in any order. Names are as the Avro schema would have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(pub Vec<(Arc<str>, Value)>);

impl Row {
    /// The value of a column, if the row has it.
    pub fn column(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(column, _)| column.as_ref() == name)
            .map(|(_, value)| value)
    }

    /// The same columns, ordered by name.
    pub fn sorted(mut self) -> Row {
        self.0.sort_by(|left, right| left.0.cmp(&right.0));
        self
    }

    /// Only the named columns, in the given order; one that the row lacks is left out.
    pub fn restricted(&self, columns: &[Arc<str>]) -> Row {
        let pick = |name: &Arc<str>| Some((name.clone(), self.column(name)?.clone()));
        Row(columns.iter().filter_map(pick).collect())
    }

    /// A hash of names and values that does not depend on the order of columns.
    pub fn fingerprint(&self) -> u64 {
        self.0.iter().fold(0, |sum, (name, value)| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            value.hash(&mut hasher);
            sum.wrapping_add(hasher.finish())
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            match value {
                Value::Null => write!(out, "{gap}{name}=null")?,
                Value::Unchanged => write!(out, "{gap}{name}=(unchanged)")?,
                Value::Text(text) => {
                    let shown: String = text.chars().take(40).collect();
                    let more = if shown.len() < text.len() { "…" } else { "" };
                    write!(out, "{gap}{name}={shown}{more}")?;
                }
            }
        }
        Ok(())
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Read by a snapshot.
    Read,
    /// Inserted, or the second half of a key change.
    Create,
    /// Updated.
    Update,
    /// Deleted, or the first half of a key change.
    Delete,
    /// The table was truncated.
    Truncate,
}

impl Op {
    /// From the envelope's letter; none for letters that are no row change.
    pub fn from_code(code: &str) -> Option<Op> {
        Some(match code {
            "r" => Op::Read,
            "c" => Op::Create,
            "u" => Op::Update,
            "d" => Op::Delete,
            "t" => Op::Truncate,
            _ => return None,
        })
    }

    /// The envelope's letter.
    pub fn code(self) -> char {
        match self {
            Op::Read => 'r',
            Op::Create => 'c',
            Op::Update => 'u',
            Op::Delete => 'd',
            Op::Truncate => 't',
        }
    }
}

/// One change as the witness tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `schema.table`, unquoted.
    pub table: Arc<str>,
    /// Create, update, delete or truncate.
    pub op: Op,
    /// The old tuple, as far as the replica identity gives it (NULLs are left out by `test_decoding`).
    pub old: Option<Row>,
    /// The new tuple.
    pub new: Option<Row>,
    /// LSN of the change.
    pub lsn: u64,
    /// Transaction id.
    pub xid: u32,
}

/// One event as a topic shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `schema.table` from the source block.
    pub table: Arc<str>,
    /// What the event says happened.
    pub op: Op,
    /// The record's key.
    pub key: Option<Row>,
    /// The row before.
    pub before: Option<Row>,
    /// The row after.
    pub after: Option<Row>,
    /// `source.lsn`.
    pub lsn: u64,
    /// `source.txId`.
    pub xid: u32,
    /// `source.ts_us`, the commit time, in microseconds since 1970.
    pub commit_us: i64,
}

/// What a record of a topic turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An event.
    Event(Event),
    /// A record without a value.
    Tombstone {
        /// Its key.
        key: Option<Row>,
    },
    /// Something that is not about a row (a message, a transaction mark).
    Other,
}

/// A record and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// What it says.
    pub record: Record,
}

/// Writes an LSN as PostgreSQL does.
pub fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// Reads an LSN as PostgreSQL writes it.
pub fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some((u64::from_str_radix(high, 16).ok()? << 32) | u64::from_str_radix(low, 16).ok()?)
}
