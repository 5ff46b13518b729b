//! Days and calendar dates, proleptic Gregorian, in both directions.
//!
//! Day 0 is 1970-01-01. Years are astronomical: 1 BC is year 0, 44 BC is year -43.
//! Invariant: `days(date(n)) == n` for every year that PostgreSQL holds, 4713 BC to 5874897 AD.
//! A year counts from March here, so that the leap day is its last.

/// 400 years: after them the calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// The day number of a date; the caller has checked month and day.
#[inline]
pub(crate) fn days(year: i64, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    let (year, shifted) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - EPOCH_DAYS
}

/// The date of a day number: year, month, day.
pub(crate) fn date(days: i64) -> (i64, u8, u8) {
    let shifted = days + EPOCH_DAYS;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (0, month + 3)
    } else {
        (1, month - 9)
    };
    // `day` is 1..=31 and `month` 1..=12 by construction.
    (era * 400 + year_of_era + year, month as u8, day as u8)
}

/// How many days a month has.
#[inline]
pub(crate) fn month_days(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_two_eras_comes_back() {
        let mut expected = (-400_i64, 1_u8, 1_u8);
        for number in days(-400, 1, 1)..days(401, 1, 1) {
            assert_eq!(date(number), expected);
            assert_eq!(days(expected.0, expected.1, expected.2), number);
            let (year, month, day) = expected;
            expected = if day < month_days(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
    }

    #[test]
    fn known_days() {
        for ((year, month, day), expected) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 1, 1), 10_957),
            ((2016, 11, 4), 17_109),
            ((-43, 3, 15), -735_160),
            ((-4712, 1, 1), -2_440_550),
            ((5_874_897, 12, 31), 2_145_042_905),
        ] {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
            assert_eq!(date(expected), (year, month, day));
        }
    }
}
