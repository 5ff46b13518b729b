//! What is published of each table: compared with what was known and committed, while running and at every start.
//!
//! Owns the comparison, and what follows from it; the record that is committed is `position::published_record`. `compare` finds what
//! has changed, `remedy` decides what is done about it (a table that is executed), `facts` gathers what that decision needs, `plan`
//! says what follows, `act` does it, at a start and while the connector runs, `watch` looks meanwhile; `renewal` is for servers that
//! go by what was.
//! Never: reads a row; publishes one. Snapshots beside the stream read what a plan says.
//! Invariant: the record that says that a difference is dealt with is in the same Kafka transaction as the snapshot that does it, so
//! that no crash forgets it.
//! Start reading at `compare`, then `remedy::ROWS`.

pub mod act;
mod compare;
mod facts;
mod look;
pub(crate) mod plan;
mod remedy;
mod renewal;
pub(crate) mod watch;
