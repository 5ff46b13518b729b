//! Whether Kafka answers: what the watch was told, and what the publisher is trying to mend.
//!
//! Owns the last word of each. Never decides what to do about it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Whether Kafka answers, and counters of what went wrong. Shared with the monitor.
#[derive(Debug, Default)]
pub struct Health {
    reason: Mutex<Option<String>>,
    mending: Mutex<Option<String>>,
    replaced: AtomicU64,
    retries: AtomicU64,
}

impl Health {
    /// Why Kafka does not answer, or nothing when it does.
    pub fn reason(&self) -> Option<String> {
        // That nobody answers explains whatever else is being mended.
        let unanswered = lock(&self.reason).clone();
        unanswered.or_else(|| lock(&self.mending).clone())
    }

    /// Producers that were replaced, by doubt or by the guard.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Attempts to mend that failed.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    pub(crate) fn answer(&self, outcome: Result<(), String>) {
        *lock(&self.reason) = outcome.err();
    }

    pub(crate) fn mending(&self, reason: Option<String>) {
        *lock(&self.mending) = reason;
    }

    pub(crate) fn count_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

fn lock(text: &Mutex<Option<String>>) -> std::sync::MutexGuard<'_, Option<String>> {
    // The text is replaced whole, so a holder that panicked left a valid one.
    text.lock().unwrap_or_else(PoisonError::into_inner)
}
