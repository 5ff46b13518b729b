//! By how much the server's clock is ahead of ours, and how far off that may be.
//!
//! Owns the estimate. The server's clock is read between a question and its answer, so the difference lies between the two ends of
//! the round trip, and its middle is off by half of it at most. The quickest round trip is the best one; it ages, because clocks
//! drift. One that contradicts it shows that a clock was set, and counts from then on.
//! Never: asks the time; it is told.

use std::time::{Duration, Instant};

use crate::clock::Moment;

/// Clocks that are steered drift apart by less.
const DRIFT_PPM: u128 = 50;

/// The two clocks, compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The server's clock is ahead by so many microseconds.
    pub(crate) ahead_us: i64,
    /// It may be as many more or less.
    pub(crate) error_us: i64,
    at: Instant,
}

impl Comparison {
    /// The server's clock said `server_us` to a question of the moment `asked`, which was answered after `round_trip`.
    pub(crate) fn new(asked: Moment, round_trip: Duration, server_us: i64) -> Comparison {
        let half_us = i64::try_from(round_trip.as_micros() / 2).unwrap_or(i64::MAX);
        Comparison {
            ahead_us: server_us.saturating_sub(asked.us.saturating_add(half_us)),
            error_us: half_us.max(1),
            at: asked.monotonic,
        }
    }

    fn error_us_at(&self, now: Instant) -> i64 {
        let age = now.saturating_duration_since(self.at).as_micros();
        let drift = i64::try_from(age * DRIFT_PPM / 1_000_000).unwrap_or(i64::MAX);
        self.error_us.saturating_add(drift)
    }

    /// The better one of this and a newer one.
    pub(crate) fn or_newer(self, newer: Comparison) -> Comparison {
        let error_us = self.error_us_at(newer.at);
        let apart = self.ahead_us.abs_diff(newer.ahead_us);
        let contradicts = apart > error_us.saturating_add(newer.error_us).unsigned_abs();
        match contradicts || newer.error_us <= error_us {
            true => newer,
            false => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_quickest_round_trip_counts_until_it_is_old_or_wrong() {
        let begun = Instant::now();
        let asked = |after: Duration| Moment {
            us: 1_000_000_000 + after.as_micros() as i64,
            monotonic: begun + after,
        };
        // The server is an hour ahead, and the answer comes back in less time than the question needs.
        let hour = 3_600_000_000;
        let ask = |after: Duration, there: Duration, back: Duration, ahead: i64| {
            let at = asked(after);
            let server_us = at.us + there.as_micros() as i64 + ahead;
            Comparison::new(at, there + back, server_us)
        };
        let slow = ask(Duration::ZERO, 90 * MS, 10 * MS, hour);
        assert_eq!((slow.ahead_us, slow.error_us), (hour + 40_000, 50_000));
        let quick = slow.or_newer(ask(2_000 * MS, 2 * MS, 1 * MS, hour));
        assert_eq!((quick.ahead_us, quick.error_us), (hour + 500, 1_500));
        let later = ask(4_000 * MS, 90 * MS, 10 * MS, hour);
        assert_eq!(quick.or_newer(later), quick, "it is worse");
        let old = ask(2_000_000 * MS, 90 * MS, 10 * MS, hour);
        assert_eq!(quick.or_newer(old), old, "clocks may have drifted by more");
        let set = ask(4_000 * MS, 90 * MS, 10 * MS, 0);
        assert_eq!(quick.or_newer(set), set, "the clock was set");
    }
}
