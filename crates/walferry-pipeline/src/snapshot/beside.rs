//! Snapshots beside the stream see what the stream brings.
//!
//! Owns the answers of `Engine` to what the encoder tells. Never: calls the encoder but to write rows and marks.
//! Invariant: each call is cheap when no snapshot runs.

use std::sync::Arc;

use walferry_event::{Lsn, Relation};

use crate::{
    encode::{Encoder, change_records::Change, observer::Observer},
    error::Error,
    position::snapshot_progress::Progress,
    snapshot::engine::Engine,
};

impl Observer<Encoder> for Engine {
    fn before(&mut self, encoder: &mut Encoder, commit_lsn: Lsn) -> Result<(), Error> {
        self.stream_brings(encoder, commit_lsn)
    }

    fn described(&mut self, encoder: &mut Encoder, relation: &Relation) -> Result<(), Error> {
        self.relation(encoder, relation)
    }

    fn touch(
        &mut self,
        relation: u32,
        change: &Change<'_>,
        xid: u32,
        commit_lsn: Lsn,
    ) -> Option<Arc<Progress>> {
        self.change(relation, change, xid, commit_lsn);
        self.misplaced(relation, change)
    }

    fn mark(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        self.record_keys(encoder)
    }

    fn boundary(&mut self, encoder: &mut Encoder, at: Lsn) -> Result<(), Error> {
        self.give_what_may_be(encoder, at)
    }
}
