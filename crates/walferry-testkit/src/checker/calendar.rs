//! Dates and times of PostgreSQL and of ISO 8601, as counts since 1970.
//!
//! Owns: the proleptic Gregorian calendar of the checker. Never: time zones by name; offsets only.

use anyhow::{Context, Result, bail};

const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01 of `2016-11-04`, `4713-01-01 BC`; `infinity` stays.
pub(super) fn date_days(text: &str) -> Result<String> {
    if text.ends_with("infinity") {
        return Ok(text.to_owned());
    }
    let (date, bc) = match text.strip_suffix(" BC") {
        Some(date) => (date, true),
        None => (text, false),
    };
    Ok(days(date, bc)?.to_string())
}

/// Microseconds of the day of `13:51:30.123456`.
pub(super) fn time_us(text: &str) -> Result<i64> {
    let mut parts = text.split(':');
    let mut part = || parts.next().context("a time has too few parts");
    let hours: i64 = part()?.parse().context("an hour is not a number")?;
    let minutes: i64 = part()?.parse().context("a minute is not a number")?;
    let (seconds, fraction) = match parts.next() {
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
        None => ("0", ""),
    };
    let seconds: i64 = seconds.parse().context("a second is not a number")?;
    let mut digits: String = fraction.chars().take(6).collect();
    while digits.len() < 6 {
        digits.push('0');
    }
    let micros: i64 = digits.parse().context("a fraction is not a number")?;
    Ok(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// Microseconds since 1970 UTC of PostgreSQL's `2016-11-04 13:51:30.1+07 BC`; `infinity` stays.
pub(super) fn timestamp_us(text: &str) -> Result<String> {
    if text.ends_with("infinity") {
        return Ok(text.to_owned());
    }
    let (text, bc) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (date, time) = text.split_once(' ').context("a timestamp has no time")?;
    moment(days(date, bc)?, time)
}

/// Microseconds since 1970 UTC of `+21016-11-04T06:51:30.123456Z`; `infinity` stays.
pub(super) fn iso_timestamp_us(text: &str) -> Result<String> {
    if text.ends_with("infinity") {
        return Ok(text.to_owned());
    }
    let (date, time) = text.split_once('T').context("a timestamp has no T")?;
    moment(days(date, false)?, time.strip_suffix('Z').unwrap_or(time))
}

fn moment(days: i64, time: &str) -> Result<String> {
    let zone = time.find(['+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let offset = match zone.split_at(zone.len().min(1)) {
        ("", _) => 0,
        (sign, offset) => {
            let offset = if offset.contains(':') {
                offset.to_owned()
            } else {
                format!("{offset}:00")
            };
            time_us(&offset)? * if sign == "-" { -1 } else { 1 }
        }
    };
    Ok((days * DAY_US + time_us(time)? - offset).to_string())
}

fn days(date: &str, bc: bool) -> Result<i64> {
    let (sign, rest) = match date.split_at_checked(1) {
        Some(("-", rest)) => (-1, rest),
        Some(("+", rest)) => (1, rest),
        _ => (1, date),
    };
    let mut parts = rest
        .split('-')
        .map(|part| part.parse::<i64>().context("a date is not of numbers"));
    let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("a date has too few parts");
    };
    let year = sign * year?;
    Ok(civil_days(if bc { 1 - year } else { year }, month?, day?))
}

/// Days since 1970-01-01; year 0 is 1 BC. The year is taken to begin in March, so that the leap day is its last.
fn civil_days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let century = year.div_euclid(400);
    let in_century = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let in_days = in_century * 365 + in_century / 4 - in_century / 100 + day_of_year;
    century * 146_097 + in_days - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_known_dates() {
        for (text, expected) in [
            ("1970-01-01", "0"),
            ("2000-02-29", "11016"),
            ("1582-10-10", "-141432"),
            ("0044-03-15 BC", "-735160"),
            ("infinity", "infinity"),
        ] {
            assert_eq!(date_days(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn offsets_move_the_moment() {
        assert_eq!(timestamp_us("1970-01-01 01:00:00+01").unwrap(), "0");
        assert_eq!(timestamp_us("1969-12-31 20:30:00-03:30").unwrap(), "0");
        assert_eq!(
            iso_timestamp_us("1970-01-01T00:00:00.000001Z").unwrap(),
            "1"
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(date_days("yesterday").is_err());
        assert!(timestamp_us("2016-11-04").is_err());
        assert!(time_us("12").is_err());
    }
}
