//! pgoutput, the format of PostgreSQL's logical replication stream: bytes to messages, no copies.
//!
//! Owns the parsing of the CopyData payloads of streaming replication ([`frames`]) and of
//! pgoutput's messages, protocol versions 1 to 4 ([`parse`]).
//! Never: I/O, or state between messages; whether the stream is inside a streamed transaction is
//! the caller's to know.
//! Invariants: no bytes make it panic; what it returns borrows from what it was given; what it has
//! parsed once can be walked again without errors.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol" and "Logical Replication
//! Message Formats".
//!
//! Start reading at [`Message`], then [`parse`].

mod cursor;
mod error;
mod frame;
mod message;
mod parser;
mod relation;
mod shorten;
mod tuple;

pub use error::Error;
pub use frame::{Cut, Frame, Frames, Keepalive, XLogData, frames};
pub use message::{
    Begin, BeginPrepare, Commit, Delete, Insert, LogicalMessage, Message, Old, Origin, Prepare,
    Prepared, RolledBack, StreamAbort, StreamStart, Truncate, TypeMessage, Update,
};
pub use parser::parse;
pub use relation::{ColumnMessage, RelationMessage};
pub use shorten::{Shorten, VALUE_BYTES_MAX};
pub use tuple::{Datums, Tuple};

#[cfg(test)]
mod tests;

/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const EPOCH_US: i64 = 946_684_800_000_000;

/// PostgreSQL's microseconds since 2000 as microseconds since 1970.
fn unix_us(postgres_us: i64) -> i64 {
    postgres_us.saturating_add(EPOCH_US)
}
