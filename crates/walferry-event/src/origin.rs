//! Where a change came from: what the `source` block of its record says.

use crate::Lsn;

/// What a record says happened to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read by a snapshot: `r`.
    Read,
    /// Inserted: `c`.
    Create,
    /// Updated: `u`.
    Update,
    /// Deleted: `d`.
    Delete,
    /// The table was truncated: `t`.
    Truncate,
    /// A logical decoding message: `m`.
    Message,
}

impl Operation {
    /// The one-letter code of the envelope's `op` field.
    pub fn code(self) -> &'static str {
        match self {
            Operation::Read => "r",
            Operation::Create => "c",
            Operation::Update => "u",
            Operation::Delete => "d",
            Operation::Truncate => "t",
            Operation::Message => "m",
        }
    }
}

/// The place of a row within its snapshot: the `snapshot` field of `source`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotMark {
    /// Streamed: `false`.
    #[default]
    Streamed,
    /// First row of all: `first`.
    First,
    /// First row of its table: `first_in_data_collection`.
    FirstInTable,
    /// Any other row: `true`.
    Inner,
    /// Last row of its table: `last_in_data_collection`.
    LastInTable,
    /// Last row of all: `last`.
    Last,
    /// Of a watermarked snapshot: `incremental`.
    Incremental,
}

impl SnapshotMark {
    /// The text of the `snapshot` field.
    pub fn text(self) -> &'static str {
        match self {
            SnapshotMark::Streamed => "false",
            SnapshotMark::First => "first",
            SnapshotMark::FirstInTable => "first_in_data_collection",
            SnapshotMark::Inner => "true",
            SnapshotMark::LastInTable => "last_in_data_collection",
            SnapshotMark::Last => "last",
            SnapshotMark::Incremental => "incremental",
        }
    }
}

/// What is known about the source of one change. Times are microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Commit time of the transaction; for a snapshot row, the time of the read.
    pub commit_us: i64,
    /// When Walferry encoded the change.
    pub encoded_us: i64,
    /// Transaction id, 32 bits as pgoutput sends it.
    pub xid: u32,
    /// LSN of the change itself.
    pub lsn: Lsn,
    /// Commit LSN of the change's transaction; zero for a snapshot row.
    pub commit_lsn: Lsn,
    /// End LSN of the last transaction, or message outside of one, before this one that was seen, if any: the first half
    /// of `sequence`.
    pub last_commit_lsn: Option<Lsn>,
    /// The ordinal of the change within its transaction, from 1.
    pub ordinal: u64,
    /// The row's place in a snapshot.
    pub snapshot: SnapshotMark,
    /// Name of the replication origin that the transaction came from, if it was replicated in.
    pub origin: Option<&'a str>,
    /// Commit LSN of the transaction at its replication origin.
    pub origin_lsn: Option<Lsn>,
    /// The change's place among the events of its transaction, where that is told.
    pub block: Option<TransactionBlock<'a>>,
}

/// The place of an event in its transaction: the `transaction` block of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionBlock<'a> {
    /// The id that all records of the transaction share.
    pub id: &'a str,
    /// The event's number among all of the transaction, from 1.
    pub total_order: u64,
    /// Its number among those of its table, from 1.
    pub table_order: u64,
}

impl TransactionBlock<'_> {
    /// The place of the event of the same table that follows at once.
    pub fn next(self) -> Self {
        TransactionBlock {
            total_order: self.total_order + 1,
            table_order: self.table_order + 1,
            ..self
        }
    }
}
