//! What the encode thread hands to the publisher: records, the places where a batch may end, and the memory they hold.
//!
//! Owns the permits: bytes are taken from a budget when a block is sealed and come back when the last holder lets go.
//! Invariant: the sum over all living blocks is at most `encoded_bytes_max`, but for one record larger than that.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use walferry_event::Position;
use walferry_kafka::RecordBlock;

use crate::{
    encode::passage::Passage,
    position::{snapshot_progress::Progress, table_positions::Held},
};

/// Records of about this many bytes make a block.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;
/// Room for the record that makes a block full, so that its buffer seldom has to grow.
pub(crate) const BLOCK_ROOM_BYTES: usize = 16 * 1024;
/// Buffers of committed blocks that are kept for the next ones: what a batch of 200 ms holds at full speed.
pub(crate) const SPARE_BLOCKS_MAX: usize = 64;
/// Blocks that wait for the publisher: enough to encode on while a commit is in flight. The bound in bytes is [`Memory`];
/// this one keeps the encoder from running so far ahead that what it wrote has left the processor's caches.
pub(crate) const QUEUE_BLOCKS_MAX: usize = 16;

/// A place in a block where a batch may end.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Records of this block that belong before the mark.
    pub(crate) records_end: usize,
    /// Their bytes, from the start of the block.
    pub(crate) bytes_end: u64,
    /// What the topics hold when a batch ends here.
    pub(crate) held: Held,
    /// Whether a PostgreSQL transaction ends here.
    pub(crate) whole: bool,
    /// Of the transaction that ends here; none inside a transaction or a snapshot.
    pub(crate) times: Option<Times>,
    /// Transaction id, for the log.
    pub(crate) xid: u32,
    /// How far a snapshot has come, while one runs.
    pub(crate) snapshot: Option<Arc<Progress>>,
}

/// What the server's clock said of a transaction, in Unix microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// When it committed.
    pub(crate) commit_us: i64,
    /// When the server sent its end.
    pub(crate) sent_us: i64,
}

impl Mark {
    /// The place, for the rule that ends batches.
    pub(crate) fn cut(&self) -> Cut {
        Cut {
            position: self.held.position,
            whole: self.whole,
        }
    }
}

/// Records and marks, in order.
pub(crate) struct EncodedBlock {
    /// The records.
    pub(crate) records: Arc<RecordBlock>,
    /// The marks; the last one covers the last record.
    pub(crate) marks: Vec<Mark>,
    /// A later position without records: an idle stream has moved on to here.
    pub(crate) idle: Option<Held>,
    /// Whether the server waits for the idle position to be confirmed: it does so when it shuts down.
    pub(crate) urgent: bool,
    /// Whether nothing more waits behind this block.
    pub(crate) pause: bool,
    /// The memory that it holds.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// How it came here; none of what does not come off the stream.
    pub(crate) passage: Option<Passage>,
}

/// The budget of encoded bytes.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    semaphore: Arc<Semaphore>,
    total: u32,
}

impl Memory {
    /// A budget of `bytes`.
    pub(crate) fn new(bytes: u64) -> Memory {
        let total = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Memory {
            semaphore: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Takes `bytes`, waiting until they are there. More than the whole budget waits for the whole budget.
    pub(crate) fn take(
        &self,
        bytes: usize,
        runtime: &tokio::runtime::Handle,
    ) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes as u64 / UNIT_BYTES + 1)
            .unwrap_or(u32::MAX)
            .min(self.total);
        match self.semaphore.clone().try_acquire_many_owned(units) {
            Ok(permit) => permit,
            Err(_) => runtime
                .block_on(self.semaphore.clone().acquire_many_owned(units))
                .expect("the semaphore of a budget is never closed"),
        }
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> u64 {
        (u64::from(self.total) - self.semaphore.available_permits() as u64) * UNIT_BYTES
    }
}

/// Permits count KiB, so that 32 bits of them are enough for any budget.
const UNIT_BYTES: u64 = 1024;

/// A place where a batch may end: the changes up to here are all in the records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// What the topics hold when the batch ends here.
    pub position: Position,
    /// Whether a PostgreSQL transaction ends here.
    pub whole: bool,
}
