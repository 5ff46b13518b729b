//! A table whose topic has to be ended before it is read, and the place in the stream at which it is.
//!
//! Owns `Anew`. Never: writes the end; the engine does.

use walferry_event::Lsn;

/// A table whose topic is to be ended.
pub(crate) struct Anew {
    pub(crate) oid: u32,
    /// The last commit in the stream that touched the table.
    pub(crate) touched: Lsn,
    pub(crate) place: Place,
    /// Places that the stream had passed with a change of the table.
    pub(crate) missed: u32,
}

/// Where the topic is to be ended.
pub(crate) enum Place {
    Wanted,
    Asked,
    /// The rows that precede it, and where it is.
    Known(String, Lsn),
}
