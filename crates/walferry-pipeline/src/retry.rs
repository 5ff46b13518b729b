//! Trying again: a bounded number of tries with full jitter, and a pause that ends early when the server is back.
//!
//! Owns the arithmetic and the wait. Invariant: no pause is longer than `retry_max_ms`, no series longer than
//! `retries_max`; a success in between starts a new series.

use std::time::Duration;

use tokio::{net::TcpStream, sync::watch, time};

use crate::config::Errors;

/// One series of tries.
#[derive(Debug)]
pub(crate) struct Retry {
    tries: u32,
    retries_max: u32,
    min_ms: u64,
    max_ms: u64,
}

/// How often a server that is away is asked whether its port answers.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

impl Retry {
    pub(crate) fn new(errors: &Errors) -> Retry {
        Retry {
            tries: 0,
            retries_max: errors.retries_max,
            min_ms: errors.retry_min_ms.max(1),
            max_ms: errors.retry_max_ms,
        }
    }

    /// Progress was made: the next failure starts a new series.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    /// Failures so far.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Counts a failure. The pause before the next try, or nothing when the tries are used up.
    pub(crate) fn failed(&mut self) -> Option<Duration> {
        if self.tries >= self.retries_max {
            return None;
        }
        let bound_ms = self
            .min_ms
            .saturating_mul(1 << self.tries.min(30))
            .clamp(self.min_ms, self.max_ms.max(self.min_ms));
        self.tries += 1;
        Some(Duration::from_millis(rand::random_range(0..=bound_ms)))
    }
}

/// Waits, but no longer than until `address` accepts a connection again after it refused one, or `stop` is set.
pub(crate) async fn pause(
    duration: Duration,
    address: Option<(String, u16)>,
    stop: &mut watch::Receiver<bool>,
) {
    let back = async {
        let Some((host, port)) = address else {
            return std::future::pending().await;
        };
        let mut was_away = false;
        loop {
            let connect = TcpStream::connect((host.as_str(), port));
            match time::timeout(PROBE_PAUSE, connect).await {
                Ok(Ok(_)) if was_away => return,
                // It answers and answered before: the fault is another, and the pause is there to be kept.
                Ok(Ok(_)) => return std::future::pending().await,
                _ => was_away = true,
            }
            time::sleep(PROBE_PAUSE).await;
        }
    };
    tokio::select! {
        () = time::sleep(duration) => {}
        () = back => {}
        () = asked(stop) => {}
    }
}

/// Resolves when the stop is asked for, or nobody is left who could ask.
pub(crate) async fn asked(stop: &mut watch::Receiver<bool>) {
    // The guard that `wait_for` returns must not live on in a caller's `select!`, whose branches may wait.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Policy;

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let mut retry = Retry::new(&Errors {
            policy: Policy::Stop,
            dead_letter_topic: String::new(),
            retries_max: 40,
            retry_min_ms: 100,
            retry_max_ms: 30_000,
        });
        for attempt in 0..40u32 {
            let pause = retry.failed().expect("tries are left");
            let bound = 100u64.saturating_mul(1 << attempt.min(30)).min(30_000);
            assert!(pause.as_millis() as u64 <= bound, "{attempt}: {pause:?}");
        }
        assert_eq!(retry.failed(), None);
        retry.reset();
        assert!(retry.failed().is_some());
    }
}
