//! What a commit tells about itself.
//!
//! Owns: [`CommitReport`].

use std::sync::Arc;

/// How a commit went.
#[derive(Clone, Debug, Default)]
pub struct CommitReport {
    /// Records that were committed to each topic, without the checkpoint.
    pub records: Vec<(Arc<str>, u64)>,
    /// Until the last record was acknowledged, in microseconds.
    pub flush_us: u64,
    /// EndTxn alone, in microseconds.
    pub end_txn_us: u64,
    /// Whether the producer had to be replaced on the way.
    pub replaced: bool,
}
