//! How long the producer waits for Kafka, and when it gives a connection up that says nothing.
//!
//! Owns [`Wait`], one wait with its bound, its stop and its pulse, and [`Outstanding`], the bytes that librdkafka may still
//! hold. Never calls librdkafka.
//! Invariants: a wait ends when it is asked to stop, after `TRANSACTION_TIMEOUT` at the latest, and earlier when the
//! cluster answers others while ours hears nothing: such a connection is dead, and librdkafka would find out after a
//! minute. Each such end doubles the patience, because a cluster can be slow; each commit halves it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{Health, config::TRANSACTION_TIMEOUT, transactions::Fault};

/// Without progress for this long, while others are answered, a connection counts as dead; for each byte on its way more.
const SILENT: Duration = Duration::from_millis(2_500);
/// What the slowest link is expected to carry.
const BYTES_PER_MS: u64 = 1_000;
/// The doubling ends here.
const STRIKES_MAX: u32 = 4;

/// How patient the producer is with a connection that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    strikes: u32,
}

impl Patience {
    /// A connection was given up.
    fn tried(&mut self) {
        self.strikes = (self.strikes + 1).min(STRIKES_MAX);
    }

    /// A commit has succeeded.
    pub(crate) fn rewarded(&mut self) {
        self.strikes = self.strikes.saturating_sub(1);
    }

    fn limit(self, bytes: usize) -> Duration {
        SILENT * (1 << self.strikes) + Duration::from_millis(bytes as u64 / BYTES_PER_MS)
    }
}

/// One wait for Kafka.
pub(crate) struct Wait {
    what: &'static str,
    stop: Arc<AtomicBool>,
    health: Arc<Health>,
    began: Instant,
    moved: Instant,
    limit: Duration,
    /// Why it lasts, where that is known.
    why: Option<String>,
}

impl Wait {
    /// A wait that begins, with so many bytes on their way.
    pub(crate) fn begin(
        what: &'static str,
        stop: Arc<AtomicBool>,
        health: Arc<Health>,
        patience: Patience,
        bytes: usize,
    ) -> Wait {
        let now = Instant::now();
        Wait {
            what,
            stop,
            health,
            began: now,
            moved: now,
            limit: patience.limit(bytes),
            why: None,
        }
    }

    /// It is known why this lasts: once it has lasted for long enough, readiness says so.
    pub(crate) fn tells(&mut self, why: impl FnOnce() -> String) {
        if self.began.elapsed() >= SILENT && self.why.is_none() {
            let why = why();
            tracing::warn!(reason = why, "{} is waited for", self.what);
            self.health.mending(why.clone());
            self.why = Some(why);
        }
    }

    /// Something came.
    pub(crate) fn moves(&mut self) {
        self.moved = Instant::now();
    }

    /// How long nothing has come.
    pub(crate) fn still(&self) -> Duration {
        self.moved.elapsed()
    }

    /// Shows that the wait is alive; an error when it has to end.
    pub(crate) fn look(&self, patience: &mut Patience) -> Result<(), Fault> {
        self.health.step();
        if self.stop.load(Ordering::Relaxed) {
            return Err(Fault::Stopped);
        }
        if self.began.elapsed() >= TRANSACTION_TIMEOUT {
            let seconds = TRANSACTION_TIMEOUT.as_secs();
            let text = match &self.why {
                Some(why) => why.clone(),
                None => format!("{}: no answer within {seconds} s", self.what),
            };
            return Err(Fault::Away(text));
        }
        // An answer to others that is as old as the silence proves nothing.
        if self.still() >= self.limit && self.health.answered_within(self.limit / 2) {
            patience.tried();
            let text = format!(
                "{}: nothing came for {} ms, though the cluster answers others: the connection is given up",
                self.what,
                self.still().as_millis()
            );
            return Err(Fault::Away(text));
        }
        Ok(())
    }
}

/// What librdkafka may still hold, in the order in which it was sent: it tells how many records, and not of how many bytes.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    runs: VecDeque<(usize, usize)>,
    records: usize,
    bytes: usize,
}

/// Records that are counted together.
const RUN_RECORDS: usize = 128;

impl Outstanding {
    /// Records were handed over.
    pub(crate) fn add(&mut self, records: usize, bytes: usize) {
        (self.records, self.bytes) = (self.records + records, self.bytes + bytes);
        match self.runs.back_mut() {
            Some(last) if last.0 + records <= RUN_RECORDS => {
                *last = (last.0 + records, last.1 + bytes);
            }
            _ => self.runs.push_back((records, bytes)),
        }
    }

    /// So many records are not acknowledged. Whether there were more before.
    pub(crate) fn left(&mut self, records: usize) -> bool {
        let before = self.records;
        while let Some(&(count, bytes)) = self.runs.front()
            && self.records - count >= records
        {
            self.runs.pop_front();
            (self.records, self.bytes) = (self.records - count, self.bytes - bytes);
        }
        self.records < before
    }

    /// Bytes that may be on their way.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_let_go_in_the_order_in_which_they_were_sent() {
        let mut held = Outstanding::default();
        held.add(100, 1_000);
        held.add(28, 280);
        held.add(1, 9_000_000);
        assert_eq!(held.bytes(), 9_001_280);
        assert!(!held.left(129));
        assert!(!held.left(2), "the first run is not gone as a whole");
        assert_eq!(held.bytes(), 9_001_280);
        assert!(held.left(1));
        assert_eq!(held.bytes(), 9_000_000);
        assert!(held.left(0));
        assert_eq!(held.bytes(), 0);
        assert!(!held.left(0));
    }

    #[test]
    fn why_a_wait_lasts_is_told_once_it_lasts_and_at_its_end() {
        let (stop, health) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Health::default()),
        );
        let mut patience = Patience::default();
        let mut wait = Wait::begin("the end", stop, health.clone(), patience, 0);
        wait.tells(|| "a broker is gone".into());
        assert_eq!(health.reason(), None, "it has just begun");
        wait.began = Instant::now() - SILENT;
        wait.tells(|| "a broker is gone".into());
        let told = health.reason().unwrap_or_default();
        assert!(told.ends_with("a broker is gone"), "{told}");
        wait.began = Instant::now() - TRANSACTION_TIMEOUT;
        let ended = wait.look(&mut patience);
        assert_eq!(ended, Err(Fault::Away("a broker is gone".into())));
    }

    #[test]
    fn a_wait_ends_for_a_stop_and_for_a_connection_that_is_dead_while_the_cluster_answers() {
        let (stop, health) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Health::default()),
        );
        let mut patience = Patience::default();
        let mut wait = Wait::begin("a commit", stop.clone(), health.clone(), patience, 0);
        assert_eq!(wait.look(&mut patience), Ok(()));
        wait.moved = Instant::now() - SILENT;
        assert_eq!(wait.look(&mut patience), Ok(()), "nobody is answered");
        health.answer(Ok(()));
        let Err(Fault::Away(text)) = wait.look(&mut patience) else {
            panic!("the connection is not given up");
        };
        assert!(text.contains("the cluster answers others"), "{text}");
        assert_eq!(patience.limit(0), 2 * SILENT);
        assert_eq!(
            patience.limit(1_000_000),
            2 * SILENT + Duration::from_secs(1)
        );
        for _ in 0..10 {
            patience.tried();
        }
        assert_eq!(patience.limit(0), 16 * SILENT);
        patience.rewarded();
        assert_eq!(patience.limit(0), 8 * SILENT);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(wait.look(&mut patience), Err(Fault::Stopped));
    }
}
