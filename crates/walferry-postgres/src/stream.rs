//! The slot's stream on its own thread: bytes in bursts, feedback in time.
//!
//! Owns [`spawn`] and what it hands on. Never: looks into a message of the plugin.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol".

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::{Error, Feedback, session::Session};

/// A stream that has begun and is not read yet: give it to [`spawn`].
pub struct Stream {
    session: Session,
    slot: String,
}

impl Stream {
    pub(crate) fn new(session: Session, slot: &str) -> Stream {
        Stream {
            session,
            slot: slot.to_owned(),
        }
    }
}

/// Bounds of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Bytes in blocks that have not been dropped.
    pub wire_bytes_max: u64,
    /// The longest message that is believed.
    pub frame_bytes_max: u64,
    /// Feedback is sent at least this often.
    pub feedback_ms: u64,
    /// How soon a new flush is told to the server.
    pub confirm_ms: u64,
    /// Without a byte for this long, an answer is asked for.
    pub probe_ms: u64,
    /// Without a byte for this long, the peer counts as gone.
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

/// What a stream hands on.
#[derive(Debug)]
pub enum StreamEvent {
    /// Bytes of the stream.
    Block(Block),
    /// Nothing follows. `Ok`: it was asked to stop.
    Ended(Result<(), Error>),
}

/// Whole CopyData frames, for `walferry_pgoutput::frames`. Dropping it makes room for the next ones.
#[derive(Debug)]
pub struct Block {
    /// The frames; none in a block that only says that the flow has paused.
    pub bytes: Bytes,
    /// Whether more is known to be on its way. The last block before a pause says no.
    pub more_follows: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A running stream.
#[derive(Debug)]
pub struct StreamHandle {}

impl StreamHandle {
    /// Asks the stream to end in order, and waits until it has: last feedback, CopyDone, good-bye.
    pub async fn stop(&self) {}

    /// Milliseconds since the last byte; `None` while the sink is blocked, because then nothing is read.
    pub fn silent_ms(&self) -> Option<u64> {
        None
    }
}

/// Follows a stream on a thread of its own.
pub fn spawn(
    stream: Stream,
    limits: StreamLimits,
    feedback: Arc<Feedback>,
) -> (StreamHandle, mpsc::UnboundedReceiver<StreamEvent>) {
    let (_send, receive) = mpsc::unbounded_channel();
    drop((stream.session, stream.slot, limits, feedback));
    (StreamHandle {}, receive)
}
