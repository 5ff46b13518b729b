//! Trying again: faults a bounded number of times with full jitter, outages without an end and with short pauses.
//!
//! Owns the arithmetic and the wait. Invariants: no pause is longer than `retry_max_ms`, none of an outage longer than
//! `OUTAGE_PAUSE`; no series of faults is longer than `retries_max`; a success in between starts a new series.
//! Start reading at `Retry::failed`, then `hedged`.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, sync::watch, time};

use crate::error::Passing;

/// One series of tries.
#[derive(Debug)]
pub(crate) struct Retry {
    tries: u32,
    /// Tries that met an outage: they are not counted, but the first pauses are shorter.
    outages: u32,
    retries_max: u32,
    min_ms: u64,
    max_ms: u64,
}

/// How often a server that is away is asked whether its port answers.
const PROBE_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries while a server is away: how late its return may be noticed.
pub(crate) const OUTAGE_PAUSE: Duration = Duration::from_secs(2);
/// After so long without an answer the same is asked once more, beside the question that hangs.
const HEDGE_EVERY: Duration = Duration::from_secs(2);
/// Questions that are under way at the same time.
const HEDGES_MAX: usize = 6;

impl Retry {
    /// So many tries, with pauses whose bounds grow from the one to the other.
    pub(crate) fn new(retries_max: u32, min_ms: u64, max_ms: u64) -> Retry {
        Retry {
            tries: 0,
            outages: 0,
            retries_max,
            min_ms: min_ms.max(1),
            max_ms,
        }
    }

    /// Progress was made: the next failure starts a new series.
    pub(crate) fn reset(&mut self) {
        (self.tries, self.outages) = (0, 0);
    }

    /// Failures so far that were no outages.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// The pause before the next try. Without an end while a server is away; any other failure is counted, and there is no
    /// next try when the tries are used up.
    pub(crate) fn failed(&mut self, outage: bool) -> Option<Duration> {
        if !outage && self.tries >= self.retries_max {
            return None;
        }
        let (count, longest) = match outage {
            true => (&mut self.outages, OUTAGE_PAUSE.as_millis() as u64),
            false => (&mut self.tries, u64::MAX),
        };
        let bound_ms = self
            .min_ms
            .saturating_mul(1 << (*count).min(30))
            .clamp(self.min_ms, self.max_ms.max(self.min_ms))
            .min(longest);
        *count = count.saturating_add(1);
        Some(Duration::from_millis(rand::random_range(0..=bound_ms)))
    }
}

/// Asks, and asks once more every two seconds beside a question that hangs: one that was on its way when the network broke
/// may hang for its whole limit after the network is back. The first answer counts, or the last failure.
pub(crate) async fn hedged<T, E, F>(ask: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: Passing,
{
    hedged_every(HEDGE_EVERY, ask).await
}

async fn hedged_every<T, E, F>(every: Duration, ask: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: Passing,
{
    let mut asked = FuturesUnordered::new();
    asked.push(ask());
    loop {
        let room = asked.len() < HEDGES_MAX;
        tokio::select! {
            answer = asked.next() => match answer {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(error)) if asked.is_empty() || !error.may_pass() => return Err(error),
                Some(Err(_)) => {}
                // Never empty: the last failure has returned.
                None => asked.push(ask()),
            },
            () = time::sleep(every), if room => asked.push(ask()),
        }
    }
}

/// Waits, but no longer than until `address` accepts a connection again after it refused one, or `stop` is set.
pub(crate) async fn pause(
    duration: Duration,
    address: Option<(String, u16)>,
    stop: &mut watch::Receiver<bool>,
) {
    tokio::select! {
        () = wait(duration, address) => {}
        () = asked(stop) => {}
    }
}

/// Waits, but no longer than until `address` accepts a connection again after it refused one.
pub(crate) async fn wait(duration: Duration, address: Option<(String, u16)>) {
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
    }
}

/// Resolves when the stop is asked for, or nobody is left who could ask.
pub async fn asked(stop: &mut watch::Receiver<bool>) {
    // The guard that `wait_for` returns must not live on in a caller's `select!`, whose branches may wait.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let mut retry = Retry::new(40, 100, 30_000);
        for attempt in 0..40u32 {
            let pause = retry.failed(false).expect("tries are left");
            let bound = 100u64.saturating_mul(1 << attempt.min(30)).min(30_000);
            assert!(pause.as_millis() as u64 <= bound, "{attempt}: {pause:?}");
        }
        assert_eq!(retry.failed(false), None);
        for _ in 0..1000 {
            assert!(retry.failed(true).expect("an outage has no end") <= OUTAGE_PAUSE);
        }
        assert_eq!(retry.failed(false), None, "outages bring no tries back");
        retry.reset();
        assert!(retry.failed(false).is_some());
    }

    #[derive(Debug, PartialEq)]
    struct Late;

    impl Passing for Late {
        fn may_pass(&self) -> bool {
            true
        }

        fn is_outage(&self) -> bool {
            true
        }

        fn label(&self) -> &'static str {
            "timeout"
        }
    }

    #[tokio::test]
    async fn a_question_that_hangs_is_asked_again_beside_itself() {
        let asked = std::cell::Cell::new(0);
        let begun = time::Instant::now();
        let answer = hedged_every(Duration::from_millis(20), || {
            asked.set(asked.get() + 1);
            let number = asked.get();
            async move {
                // The first two hang, as if the network had broken under them.
                if number < 3 {
                    time::sleep(Duration::from_secs(60)).await;
                    return Err(Late);
                }
                Ok(number)
            }
        });
        assert_eq!(answer.await, Ok(3));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let failed = hedged(|| async { Err::<(), _>(Late) });
        assert_eq!(failed.await, Err(Late), "a failure is told at once");
    }
}
