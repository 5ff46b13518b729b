//! pgoutput's messages, as values that borrow the received bytes. Their boxes are in `parser`.
//!
//! Owns the names of the fields. Never: parses, or copies.
//! Invariant: times are in microseconds since 1970, whatever the wire says.
//! Source: PostgreSQL documentation, "Logical Replication Message Formats".

use walferry_event::Lsn;

use crate::{RelationMessage, Tuple};

/// One message of the output plugin. A change has an `xid` only inside a streamed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins.
    Begin(Begin),
    /// It ends.
    Commit(Commit),
    /// It was replicated in from elsewhere.
    Origin(Origin<'a>),
    /// A table's shape.
    Relation(RelationMessage<'a>),
    /// A type that is not built in.
    Type(TypeMessage<'a>),
    /// INSERT.
    Insert(Insert<'a>),
    /// UPDATE.
    Update(Update<'a>),
    /// DELETE.
    Delete(Delete<'a>),
    /// TRUNCATE.
    Truncate(Truncate<'a>),
    /// `pg_logical_emit_message`.
    Logical(LogicalMessage<'a>),
    /// A piece of a transaction in progress begins.
    StreamStart(StreamStart),
    /// It ends.
    StreamStop,
    /// A streamed transaction commits.
    StreamCommit {
        /// Its id.
        xid: u32,
        /// As of a plain commit.
        commit: Commit,
    },
    /// A streamed transaction, or a subtransaction of it, is rolled back.
    StreamAbort(StreamAbort),
    /// A prepared transaction begins.
    BeginPrepare(BeginPrepare<'a>),
    /// PREPARE TRANSACTION.
    Prepare(Prepare<'a>),
    /// COMMIT PREPARED.
    CommitPrepared(Prepared<'a>),
    /// ROLLBACK PREPARED.
    RollbackPrepared(RolledBack<'a>),
    /// PREPARE TRANSACTION of a streamed transaction.
    StreamPrepare(Prepare<'a>),
}

impl Message<'_> {
    /// The message's name in PostgreSQL's documentation.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Begin(_) => "Begin",
            Message::Commit(_) => "Commit",
            Message::Origin(_) => "Origin",
            Message::Relation(_) => "Relation",
            Message::Type(_) => "Type",
            Message::Insert(_) => "Insert",
            Message::Update(_) => "Update",
            Message::Delete(_) => "Delete",
            Message::Truncate(_) => "Truncate",
            Message::Logical(_) => "Message",
            Message::StreamStart(_) => "Stream Start",
            Message::StreamStop => "Stream Stop",
            Message::StreamCommit { .. } => "Stream Commit",
            Message::StreamAbort(_) => "Stream Abort",
            Message::BeginPrepare(_) => "Begin Prepare",
            Message::Prepare(_) => "Prepare",
            Message::CommitPrepared(_) => "Commit Prepared",
            Message::RollbackPrepared(_) => "Rollback Prepared",
            Message::StreamPrepare(_) => "Stream Prepare",
        }
    }
}

/// A transaction begins. All of its changes follow, then its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// LSN of its commit record.
    pub final_lsn: Lsn,
    /// When it committed, microseconds since 1970.
    pub commit_us: i64,
    /// Its id.
    pub xid: u32,
}

/// A transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Unused; zero.
    pub flags: u8,
    /// LSN of the commit record.
    pub commit_lsn: Lsn,
    /// Where the next transaction may begin.
    pub end_lsn: Lsn,
    /// When it committed, microseconds since 1970.
    pub commit_us: i64,
}

/// The transaction was replicated in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// LSN of its commit at the origin.
    pub commit_lsn: Lsn,
    /// Name of the origin.
    pub name: &'a str,
}

/// A type that is not built in. A domain comes with its own oid and the name of its base type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeMessage<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// `pg_type.oid`.
    pub oid: u32,
    /// Schema name; empty for `pg_catalog`.
    pub schema: &'a str,
    /// Type name.
    pub name: &'a str,
}

/// INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insert<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// Oid of the table.
    pub relation: u32,
    /// The new row.
    pub new: Tuple<'a>,
}

/// The old row of an update or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old<'a> {
    /// The identity's columns; all others are NULL.
    Key(Tuple<'a>),
    /// All columns: replica identity full.
    Full(Tuple<'a>),
}

/// UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// Oid of the table.
    pub relation: u32,
    /// The old row: with identity full always, otherwise when the identity changed.
    pub old: Option<Old<'a>>,
    /// The new row.
    pub new: Tuple<'a>,
}

/// DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// Oid of the table.
    pub relation: u32,
    /// The old row.
    pub old: Old<'a>,
}

/// TRUNCATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncate<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// CASCADE was given.
    pub cascade: bool,
    /// RESTART IDENTITY was given.
    pub restart_identity: bool,
    /// Whole big-endian oids.
    pub(crate) oids: &'a [[u8; 4]],
}

impl<'a> Truncate<'a> {
    /// Oids of the tables, in order.
    pub fn relations(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.oids.iter().map(|oid| u32::from_be_bytes(*oid))
    }
}

/// `pg_logical_emit_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogicalMessage<'a> {
    /// Transaction id, inside a streamed transaction.
    pub xid: Option<u32>,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// LSN of the message.
    pub lsn: Lsn,
    /// Its prefix.
    pub prefix: &'a str,
    /// Its content.
    pub content: &'a [u8],
}

/// A piece of a transaction in progress begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStart {
    /// Id of the transaction.
    pub xid: u32,
    /// Whether this is its first piece.
    pub first: bool,
}

/// A streamed transaction, or a subtransaction of it, is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamAbort {
    /// Id of the transaction.
    pub xid: u32,
    /// Id of what is rolled back; the same when it is the whole.
    pub subxid: u32,
    /// LSN and time of the abort (microseconds since 1970), when parallel streaming was asked for.
    pub at: Option<(Lsn, i64)>,
}

/// A prepared transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginPrepare<'a> {
    /// LSN of the prepare record.
    pub prepare_lsn: Lsn,
    /// Where it ends.
    pub end_lsn: Lsn,
    /// When it was prepared, microseconds since 1970.
    pub prepare_us: i64,
    /// Its id.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a str,
}

/// PREPARE TRANSACTION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepare<'a> {
    /// Unused; zero.
    pub flags: u8,
    /// LSN of the prepare record.
    pub prepare_lsn: Lsn,
    /// Where it ends.
    pub end_lsn: Lsn,
    /// When it was prepared, microseconds since 1970.
    pub prepare_us: i64,
    /// Its id.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a str,
}

/// COMMIT PREPARED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// Unused; zero.
    pub flags: u8,
    /// LSN of the commit record.
    pub commit_lsn: Lsn,
    /// Where it ends.
    pub end_lsn: Lsn,
    /// When it committed, microseconds since 1970.
    pub commit_us: i64,
    /// Its id.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a str,
}

/// ROLLBACK PREPARED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack<'a> {
    /// Unused; zero.
    pub flags: u8,
    /// Where the prepare record ended.
    pub prepare_end_lsn: Lsn,
    /// Where the rollback record ends.
    pub rollback_end_lsn: Lsn,
    /// When it was prepared, microseconds since 1970.
    pub prepare_us: i64,
    /// When it was rolled back, microseconds since 1970.
    pub rollback_us: i64,
    /// Its id.
    pub xid: u32,
    /// Its global id.
    pub gid: &'a str,
}
