//! What the thread of a stream shows of itself.
//!
//! Owns: [`Shown`], which the thread writes and its handle reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::Semaphore;

use super::limits::StreamLimits;

/// What the thread shows of itself.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) begun: Instant,
    /// When the last byte came, in milliseconds since `begun`.
    pub(super) heard_ms: AtomicU64,
    /// The sink has no room, so nothing is read; or the stream is over.
    pub(super) deaf: AtomicBool,
    /// Room in the sink, in bytes, and how much of it there is.
    pub(super) room: Arc<Semaphore>,
    pub(super) room_bytes: u32,
}

impl Shown {
    pub(super) fn new(limits: &StreamLimits) -> Shown {
        let room_bytes = u32::try_from(limits.wire_bytes_max)
            .unwrap_or(u32::MAX)
            .max(1);
        Shown::with(Arc::new(Semaphore::new(room_bytes as usize)), room_bytes)
    }

    pub(super) fn with(room: Arc<Semaphore>, room_bytes: u32) -> Shown {
        Shown {
            begun: Instant::now(),
            heard_ms: AtomicU64::new(0),
            deaf: AtomicBool::new(false),
            room,
            room_bytes,
        }
    }

    pub(super) fn hear(&self, now: Instant) {
        let heard_ms = now.saturating_duration_since(self.begun).as_millis() as u64;
        self.heard_ms.store(heard_ms, Relaxed);
    }
}
