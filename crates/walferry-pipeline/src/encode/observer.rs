//! What the encoder tells while a stream passes: the order of the calls is the order of the stream.
//!
//! Owns `Observer`, whose `E` is the encoder: snapshots beside the stream are one, and write their rows into the same blocks.
//! Never: decides about a change; every change is published whatever an observer does.
//! Invariants: `Observer::before` comes before every change of its transaction, `Observer::described` before the first change of
//! the version that it describes and while the one before is in use, `Observer::touch` once for each change, published or not, before
//! anything is asked or written for it, `Observer::mark` while the transaction is open, and `Observer::boundary` only after the last
//! change of what it ends, when the position of the encoder stands behind it. `encode/tests.rs` holds each of them.

use std::sync::Arc;

use walferry_event::{Lsn, Relation};

use crate::{encode::change_records::Change, error::Error, position::snapshot_progress::Progress};

/// Sees what the stream brings, on the encode thread. Each call has to be cheap when nothing is to be seen.
pub(crate) trait Observer<E> {
    /// The stream brings a transaction that commits there, after all that commits before.
    fn before(&mut self, encoder: &mut E, commit_lsn: Lsn) -> Result<(), Error>;

    /// The stream describes a relation.
    fn described(&mut self, encoder: &mut E, relation: &Relation) -> Result<(), Error>;

    /// The stream brings a change of the transaction `xid`, which commits at `commit_lsn`. What has to stand in the next mark
    /// because of it, if anything has to.
    fn touch(
        &mut self,
        relation: u32,
        change: &Change<'_>,
        xid: u32,
        commit_lsn: Lsn,
    ) -> Option<Arc<Progress>>;

    /// A mark is about to stand behind the changes of the open transaction: what is new with them goes with it.
    fn mark(&mut self, encoder: &mut E) -> Result<(), Error>;

    /// The stream stands between two transactions, and has brought everything before `at`.
    fn boundary(&mut self, encoder: &mut E, at: Lsn) -> Result<(), Error>;
}
