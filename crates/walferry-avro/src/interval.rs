//! `interval` text to microseconds or to ISO 8601.
//!
//! ```text
//! interval   part { ' ' part } | infinity | -infinity
//! part       [+-] number ' ' ( year | mon | day ) [s]   |   [+-] H…HH:MM:SS[.ffffff]
//! ```
//!
//! An interval is three numbers (months, days, microseconds), each with a sign of its own. As a count a year has 365.25 days
//! and a month a twelfth of it, as Debezium counts, so that equal counts may be unequal intervals; the text has every part:
//! `P1Y2M3DT4H5M6.78S`. Infinity, which PostgreSQL 17 knows, is the end of `long`, or a word. A count beyond 64 bits is out of range.
//! Source: PostgreSQL documentation, "Interval Output", with IntervalStyle postgres.

use std::io::{Cursor, Write as _};

use crate::error::{EncodeErrorKind, Written};
use crate::format::IntervalMode;
use crate::wire;

const DAY_US: i128 = 86_400_000_000;
/// 365.25 / 12 days.
const MONTH_US: i128 = 2_629_800_000_000;

/// The longest text has 67 bytes: ten digits of years and of days, ten of hours, six of a fraction.
const ISO_BYTES_MAX: usize = 96;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Interval {
    months: i64,
    days: i64,
    us: i64,
}

/// Writes an `interval` in the given mode.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8], mode: IntervalMode) -> Written {
    match (text, mode) {
        (b"infinity" | b"-infinity", IntervalMode::String) => wire::bytes(out, text),
        (b"infinity", IntervalMode::Numeric) => wire::long(out, i64::MAX),
        (b"-infinity", IntervalMode::Numeric) => wire::long(out, i64::MIN),
        (_, IntervalMode::Numeric) => wire::long(out, parse(text)?.count()?),
        (_, IntervalMode::String) => parse(text)?.iso(out)?,
    }
    Ok(())
}

/// Writes the count of an `interval`, the end of `long` where it is beyond.
pub(crate) fn saturated(out: &mut Vec<u8>, text: &[u8]) -> Written {
    match write(out, text, IntervalMode::Numeric) {
        Err(EncodeErrorKind::OutOfRange) => {
            let end = if parse(text)?.microseconds() < 0 {
                i64::MIN
            } else {
                i64::MAX
            };
            wire::long(out, end);
            Ok(())
        }
        written => written,
    }
}

impl Interval {
    fn microseconds(self) -> i128 {
        i128::from(self.months) * MONTH_US + i128::from(self.days) * DAY_US + i128::from(self.us)
    }

    fn count(self) -> Result<i64, EncodeErrorKind> {
        // The ends stand for infinity.
        i64::try_from(self.microseconds())
            .ok()
            .filter(|count| *count != i64::MAX && *count != i64::MIN)
            .ok_or(EncodeErrorKind::OutOfRange)
    }

    fn iso(self, out: &mut Vec<u8>) -> Written {
        let (seconds, fraction) = (self.us / 1_000_000, self.us % 1_000_000);
        let sign = if self.us < 0 && seconds % 60 == 0 && fraction != 0 {
            "-"
        } else {
            ""
        };
        let mut room = [0_u8; ISO_BYTES_MAX];
        let mut text = Cursor::new(&mut room[..]);
        let mut written = write!(
            text,
            "P{}Y{}M{}DT{}H{}M{sign}{}",
            self.months / 12,
            self.months % 12,
            self.days,
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
        );
        if fraction != 0 {
            let (mut digits, mut width) = (fraction.unsigned_abs(), 6);
            while digits.is_multiple_of(10) {
                digits /= 10;
                width -= 1;
            }
            written = written.and_then(|()| write!(text, ".{digits:0width$}"));
        }
        written
            .and_then(|()| text.write_all(b"S"))
            .map_err(|_| EncodeErrorKind::OutOfRange)?;
        let end = text.position() as usize;
        wire::bytes(out, &room[..end]);
        Ok(())
    }
}

fn parse(text: &[u8]) -> Result<Interval, EncodeErrorKind> {
    let malformed = EncodeErrorKind::Malformed;
    let mut interval = Interval::default();
    let mut parts = text.split(|byte| *byte == b' ');
    while let Some(part) = parts.next() {
        if part.contains(&b':') {
            interval.us = clock(part)?;
            return if parts.next().is_none() {
                Ok(interval)
            } else {
                Err(malformed)
            };
        }
        let number = signed(part)?;
        let unit = parts.next().ok_or(malformed)?;
        match unit.strip_suffix(b"s").unwrap_or(unit) {
            b"year" => interval.months += number * 12,
            b"mon" => interval.months += number,
            b"day" => interval.days += number,
            _ => return Err(malformed),
        }
    }
    Ok(interval)
}

/// `[+-]` and at most ten digits.
fn signed(text: &[u8]) -> Result<i64, EncodeErrorKind> {
    let (negative, digits) = sign(text);
    let number = number(digits, 10)?;
    Ok(if negative { -number } else { number })
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn number(digits: &[u8], digits_max: usize) -> Result<i64, EncodeErrorKind> {
    if digits.is_empty() || digits.len() > digits_max || !digits.iter().all(u8::is_ascii_digit) {
        return Err(EncodeErrorKind::Malformed);
    }
    Ok(digits
        .iter()
        .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// `[+-]H…HH:MM:SS[.ffffff]`, to microseconds.
fn clock(text: &[u8]) -> Result<i64, EncodeErrorKind> {
    let malformed = EncodeErrorKind::Malformed;
    let (negative, rest) = sign(text);
    let mut fields = rest.split(|byte| *byte == b':');
    let mut field = || fields.next().ok_or(malformed);
    let (hours, minutes, seconds) = (field()?, field()?, field()?);
    if fields.next().is_some() || minutes.len() != 2 {
        return Err(malformed);
    }
    let (seconds, fraction) = match seconds.get(2) {
        None => (seconds, &b"0"[..]),
        Some(b'.') => (&seconds[..2], &seconds[3..]),
        Some(_) => return Err(malformed),
    };
    let (minutes, whole) = (number(minutes, 2)?, number(seconds, 2)?);
    if seconds.len() != 2 || minutes > 59 || whole > 59 {
        return Err(malformed);
    }
    let us = number(fraction, 6)? * 10_i64.pow(6 - fraction.len() as u32);
    let whole =
        (i128::from(number(hours, 10)?) * 60 + i128::from(minutes)) * 60 + i128::from(whole);
    let us = whole * 1_000_000 + i128::from(us);
    let us = if negative { -us } else { us };
    i64::try_from(us).map_err(|_| EncodeErrorKind::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str) -> Result<String, EncodeErrorKind> {
        let mut out = Vec::new();
        write(&mut out, text.as_bytes(), IntervalMode::String)?;
        let mut rest = &out[..];
        let length = wire::read_long(&mut rest).unwrap();
        assert_eq!(usize::try_from(length), Ok(rest.len()));
        Ok(String::from_utf8(rest.to_vec()).unwrap())
    }

    fn count(text: &str) -> Result<i64, EncodeErrorKind> {
        let mut out = Vec::new();
        write(&mut out, text.as_bytes(), IntervalMode::Numeric)?;
        Ok(wire::read_long(&mut &out[..]).unwrap())
    }

    #[test]
    fn every_part_has_its_sign() {
        for (text, expected, us) in [
            (
                "1 year 2 mons 3 days 04:05:06.78",
                "P1Y2M3DT4H5M6.78S",
                37_091_106_780_000,
            ),
            (
                "-1 years -2 mons +3 days -04:05:06.789",
                "P-1Y-2M3DT-4H-5M-6.789S",
                -36_572_706_789_000,
            ),
            ("00:00:00", "P0Y0M0DT0H0M0S", 0),
            ("01:00:00", "P0Y0M0DT1H0M0S", 3_600_000_000),
            ("-00:00:00.5", "P0Y0M0DT0H0M-0.5S", -500_000),
            ("-00:01:00.000001", "P0Y0M0DT0H-1M-0.000001S", -60_000_001),
            ("1 mon", "P0Y1M0DT0H0M0S", 2_629_800_000_000),
            ("-5 days +00:00:01", "P0Y0M-5DT0H0M1S", -431_999_000_000),
            ("1 day -01:00:00", "P0Y0M1DT-1H0M0S", 82_800_000_000),
            (
                "2562047788:00:54.775807",
                "P0Y0M0DT2562047788H0M54.775807S",
                i64::MAX,
            ),
        ] {
            assert_eq!(iso(text).as_deref(), Ok(expected), "{text}");
            if us == i64::MAX {
                assert_eq!(
                    count(text),
                    Err(EncodeErrorKind::OutOfRange),
                    "the end is infinity's"
                );
            } else {
                assert_eq!(count(text), Ok(us), "{text}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_type() {
        let widest = "-178000000 years -11 mons -2147483648 days -2562047788:00:54.775807";
        assert_eq!(
            iso(widest).unwrap(),
            "P-178000000Y-11M-2147483648DT-2562047788H0M-54.775807S"
        );
        assert_eq!(count(widest), Err(EncodeErrorKind::OutOfRange));
        assert_eq!(count("infinity"), Ok(i64::MAX));
        assert_eq!(count("-infinity"), Ok(i64::MIN));
        assert_eq!(iso("-infinity").as_deref(), Ok("-infinity"));
    }

    #[test]
    fn what_postgresql_does_not_write_is_malformed() {
        for text in [
            "",
            " ",
            "1",
            "1 fortnight",
            "year",
            "1 year ",
            "1:2:3",
            "01:02",
            "01:60:00",
            "01:00:60",
            "01:00:00.",
            "01:00:00.1234567",
            "01:00:00x",
            "01:00:00 1 day",
            "--1 days",
            "01:02:03:04",
            "12345678901 days",
            "+",
            "Infinity",
        ] {
            assert_eq!(count(text), Err(EncodeErrorKind::Malformed), "{text:?}");
        }
    }
}
