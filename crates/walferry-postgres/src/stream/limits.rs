//! Bounds of a stream.
//!
//! Owns: [`StreamLimits`] and its defaults.

/// Bounds of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Bytes in blocks that have not been dropped.
    pub wire_bytes_max: u64,
    /// The longest message that is kept whole; of a longer one the long values are passed over (`walferry_pgoutput::Cut`), so
    /// that it takes no memory. PostgreSQL's own limit is 1 GiB.
    pub frame_bytes_max: u64,
    /// Feedback is sent at least this often. It has to be well below `wal_sender_timeout`.
    pub feedback_ms: u64,
    /// A new flush is told to the server this soon, and not more often.
    pub confirm_ms: u64,
    /// Without a byte for this long, feedback asks for an answer.
    pub probe_ms: u64,
    /// Without a byte for this long, the peer counts as gone, unless the catalog says that its process is at work. It doubles with each connection in a row that ends so without
    /// having brought anything new, because a server can be busy for long with a transaction that nothing is sent of.
    pub silent_ms: u64,
    /// How long the server may take over an orderly end.
    pub stop_ms: u64,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            wire_bytes_max: 8 << 20,
            frame_bytes_max: 256 << 20,
            feedback_ms: 1_000,
            confirm_ms: 50,
            probe_ms: 1_000,
            silent_ms: 5_000,
            stop_ms: 2_000,
        }
    }
}
