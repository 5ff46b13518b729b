//! What the engine is told from outside the encode thread.
//!
//! Owns [`Event`]. Never: acts on one; the engine does at the next boundary.

use tokio::sync::oneshot;
use walferry_event::Lsn;

use crate::{
    error::Error,
    published::{Follow, RecordChange},
    reload::Reload,
    snapshot::{chunk::Read, control::Request, shape::Described, sweep::search::Found},
};

/// What the engine is told from outside the encode thread.
pub(crate) enum Event {
    /// A table was described, for its windows.
    Described(
        usize,
        Result<Option<Box<Described>>, walferry_postgres::Error>,
    ),
    /// A chunk was read, or not.
    Chunk(u64, Result<Read, walferry_postgres::Error>),
    /// What is gone from a table was found, or not; nothing when it has changed meanwhile.
    Searched(u64, Box<Result<Option<Found>, Error>>),
    /// A place at which the topic of a table can be ended was found, or not.
    Place(usize, Result<(String, Lsn), walferry_postgres::Error>),
    /// A table that the server refused to read may be tried again.
    Due(usize),
    /// There is more to give.
    GoOn,
    /// Another configuration is to be put in force.
    Reload(Box<Reload>),
    /// Something else is published of tables: what has to be done about it.
    Follow(Box<Follow>),
    /// The first are in the publication now, the others could not be added to it; and what is published now.
    Published(Vec<String>, Vec<String>, RecordChange),
    /// The stream is to begin anew where it stands.
    Renew,
    /// Somebody asks for a snapshot.
    Start(Request),
    /// A request has been looked at, and may begin.
    Accepted(Request),
    /// Somebody asks for the end of one; the answer says whether there was one.
    Cancel(String, oneshot::Sender<bool>),
    /// Somebody asks for one to be held, or to go on; the answer says whether there is one.
    Hold(String, bool, oneshot::Sender<bool>),
}
