//! What was asked of the snapshots beside the stream and waits for the end of the transaction that the stream is in.
//!
//! Owns the two lists. Never: does what was asked; the engine does.

use crate::snapshot::mailbox::{Follow, Reload};

/// What is done at the next boundary.
#[derive(Default)]
pub(super) struct Pending {
    /// Another configuration.
    pub(super) reload: Option<Reload>,
    /// Tables that are followed, or are no more.
    pub(super) follows: Vec<Follow>,
}

impl Pending {
    pub(super) fn is_anything(&self) -> bool {
        self.reload.is_some() || !self.follows.is_empty()
    }
}
