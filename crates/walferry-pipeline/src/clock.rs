//! The time of day, in one place.
//!
//! Owns the one question. Never: an interval; those are measured on a monotonic clock, which a `Moment` holds as well.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment, for code that is told the time and does not ask for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Microseconds since 1970.
    pub(crate) us: i64,
    /// For intervals.
    pub(crate) monotonic: Instant,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Moment {
        Moment {
            us: now_us(),
            monotonic: Instant::now(),
        }
    }
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}
