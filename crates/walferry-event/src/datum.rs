//! One value of a row, as PostgreSQL wrote it.
//!
//! Owns nothing: a datum borrows the received block. An unchanged TOAST value is its own variant from decode to encode,
//! never null, because the two mean opposite things.

/// One column's value in a row of the stream or of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datum<'a> {
    /// SQL NULL.
    Null,
    /// A TOASTed value that the update did not touch, so that PostgreSQL did not send it.
    Unchanged,
    /// The value in its type's text output form.
    Text(&'a [u8]),
    /// The value in its type's binary send form; only when binary was asked for.
    Binary(&'a [u8]),
}
