//! What a stream hands on.
//!
//! Owns: [`StreamEvent`] and [`Block`], which gives its room back when it is dropped.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::Error;

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
    /// Whether more was on its way when the block was cut. The last block before a pause says no.
    pub more_follows: bool,
    /// When the last byte came that had come when it was cut.
    pub received: Instant,
    /// How long it was held back behind that, for want of room; nothing was read meanwhile.
    pub held_back: Duration,
    /// None when there are no bytes.
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}
