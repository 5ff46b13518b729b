//! The wall clock as text, for people who read a checkpoint.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, as `2026-11-24T12:34:56.789Z`.
pub fn now_rfc3339() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    of_seconds(since.as_secs(), since.subsec_millis())
}

/// A moment, in microseconds since 1970, in the same form.
pub fn rfc3339(unix_us: i64) -> String {
    let since = Duration::from_micros(u64::try_from(unix_us).unwrap_or(0));
    of_seconds(since.as_secs(), since.subsec_millis())
}

/// Civil date from days since 1970 by the era method: 400-year eras of 146 097 days that begin on 1 March.
fn of_seconds(unix_s: u64, millis: u32) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_they_are_known() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (4_102_444_800, "2100-01-01T00:00:00.007Z"),
        ] {
            assert_eq!(of_seconds(unix_s, 7), expected);
            let unix_us = i64::try_from(unix_s).unwrap() * 1_000_000 + 7_999;
            assert_eq!(rfc3339(unix_us), expected);
        }
    }
}
