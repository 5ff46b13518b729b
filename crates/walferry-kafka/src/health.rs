//! Whether Kafka answers: what the watch was told, and what the publisher is trying to mend.
//!
//! Owns the last word of each. Never decides what to do about it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A commit that lasts longer than this is told of: what has ended is to be seen within five seconds, and what has begun.
const COMMIT_SLOW: Duration = Duration::from_secs(4);

/// Whether Kafka answers, and counters of what went wrong. Shared with the monitor.
#[derive(Debug, Default)]
pub struct Health {
    reason: Mutex<Option<String>>,
    /// When it last answered a question that was asked beside.
    answered: Mutex<Option<Instant>>,
    /// Since when and why the open batch is in doubt.
    mending: Mutex<Option<(Instant, String)>>,
    /// Since when a commit lasts.
    committing: Mutex<Option<Instant>>,
    steps: AtomicU64,
    replaced: AtomicU64,
    retries: AtomicU64,
}

impl Health {
    /// Why Kafka does not answer, or nothing when it does.
    pub fn reason(&self) -> Option<String> {
        self.reason_at(Instant::now())
    }

    fn reason_at(&self, now: Instant) -> Option<String> {
        // That nobody answers explains whatever else is being mended.
        if let Some(unanswered) = lock(&self.reason).clone() {
            return Some(unanswered);
        }
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs();
        if let Some((since, text)) = lock(&self.mending).as_ref() {
            return Some(format!(
                "publishing has been in doubt for {} s: {text}",
                seconds(*since)
            ));
        }
        let since = (*lock(&self.committing))?;
        (now.saturating_duration_since(since) > COMMIT_SLOW)
            .then(|| format!("a commit has lasted for {} s", seconds(since)))
    }

    /// Grows while the publisher waits for Kafka and is alive.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Producers that were replaced, by doubt or by the guard.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Tries after a failure.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    pub(crate) fn answer(&self, outcome: Result<(), String>) {
        if outcome.is_ok() {
            *lock(&self.answered) = Some(Instant::now());
        }
        *lock(&self.reason) = outcome.err();
    }

    /// Whether Kafka has answered a question that was asked beside within this time.
    pub(crate) fn answered_within(&self, time: Duration) -> bool {
        lock(&self.answered).is_some_and(|at| at.elapsed() <= time)
    }

    /// Whether the last question was answered.
    pub(crate) fn answers(&self) -> bool {
        lock(&self.reason).is_none()
    }

    /// The open batch is in doubt, for the first time or still.
    pub(crate) fn mending(&self, reason: String) {
        let mut mending = lock(&self.mending);
        let since = mending.as_ref().map_or_else(Instant::now, |it| it.0);
        *mending = Some((since, reason));
    }

    /// Nothing is in doubt any more.
    pub(crate) fn mended(&self) {
        *lock(&self.mending) = None;
    }

    pub(crate) fn commit_begins(&self) {
        *lock(&self.committing) = Some(Instant::now());
    }

    pub(crate) fn commit_ends(&self) {
        *lock(&self.committing) = None;
    }

    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The value is replaced whole, so a holder that panicked left a valid one.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_lasts_is_told_of_and_a_silent_broker_explains_it() {
        let health = Health::default();
        health.commit_begins();
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(health.reason_at(later(3)), None);
        let reason = health.reason_at(later(30)).unwrap();
        assert!(reason.contains("a commit has lasted for 30 s"), "{reason}");
        health.answer(Err("nobody answers".into()));
        assert_eq!(
            health.reason_at(later(30)).as_deref(),
            Some("nobody answers")
        );
        health.answer(Ok(()));
        health.commit_ends();
        assert_eq!(health.reason_at(later(30)), None);
    }

    #[test]
    fn a_doubt_counts_from_its_beginning() {
        let health = Health::default();
        health.mending("first".into());
        let later = Instant::now() + Duration::from_secs(40);
        health.mending("second".into());
        let reason = health.reason_at(later).unwrap();
        assert!(reason.contains("40 s: second"), "{reason}");
        health.mended();
        assert_eq!(health.reason_at(later), None);
    }
}
