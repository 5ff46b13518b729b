//! `date`, `time`, `timetz`, `timestamp` and `timestamptz`: ISO text to counts since 1970 or to ISO 8601.
//!
//! ```text
//! date         YYYY-MM-DD [ BC]                      year of 4 to 7 digits, or infinity, -infinity
//! time         HH:MM:SS[.ffffff]                     up to 24:00:00
//! timetz       time (+|-)HH[:MM[:SS]]
//! timestamp    date ' ' time [ BC]
//! timestamptz  date ' ' time (+|-)HH[:MM[:SS]] [ BC]
//! ```
//!
//! Years are proleptic Gregorian throughout. Outcomes that are not plain arithmetic:
//! infinity is the end of `int` for a date, of `long` in micro- and nanoseconds, and in milliseconds
//! the pair that PostgreSQL's Java driver made known (9223372036825200000, -9223372036832400000); as
//! text it is `infinity` and `-infinity`. A `timetz` is the same time of day in UTC: its offset goes, as its consumers know
//! it, and `24:00:00+00` stays the end of the day. A count that would not fit its unit, or would be mistaken
//! for infinity, is out of range. Milliseconds are cut toward the past.
//! Invariant: no text panics; what PostgreSQL would not write (February 30, year 0) is malformed.
//! Source: PostgreSQL documentation, "Date/Time Types", with DateStyle ISO.

use crate::civil;
use crate::error::{EncodeErrorKind, Written};
use crate::wire;

const DAY_US: i64 = 86_400_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Infinity in milliseconds, as PostgreSQL's JDBC driver defines it.
const INFINITY_MS: i64 = 9_223_372_036_825_200_000;
/// Minus infinity in milliseconds.
const NEGATIVE_INFINITY_MS: i64 = -9_223_372_036_832_400_000;

/// What a count counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// How many digits a fraction of a second gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fraction {
    /// As few as hold it, none for whole seconds.
    Natural,
    /// This many; more when the value has more.
    Fixed(u8),
}

/// An instant or a local time: day number and microseconds of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    days: i64,
    day_us: i64,
}

/// A value of a type that knows infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounded<T> {
    Finite(T),
    Infinity,
    NegativeInfinity,
}

/// Writes a `date` as days since 1970-01-01.
pub(crate) fn date(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let days = match parse_date(text)? {
        Bounded::Infinity => i32::MAX,
        Bounded::NegativeInfinity => i32::MIN,
        Bounded::Finite(days) => i32::try_from(days)
            .ok()
            .filter(|days| *days != i32::MAX && *days != i32::MIN)
            .ok_or(EncodeErrorKind::OutOfRange)?,
    };
    wire::long(out, i64::from(days));
    Ok(())
}

/// Writes a `date` as `2017-09-15Z`.
pub(crate) fn date_iso(out: &mut Vec<u8>, text: &[u8]) -> Written {
    match parse_date(text)? {
        Bounded::Finite(days) => day_iso(out, days),
        // The text has just been read as one of the two words.
        _ => wire::bytes(out, text),
    }
    Ok(())
}

/// Writes a `time` as a count since midnight.
pub(crate) fn time(out: &mut Vec<u8>, text: &[u8], unit: Unit) -> Written {
    let (us, rest) = parse_clock(text)?;
    if !rest.is_empty() {
        return Err(EncodeErrorKind::Malformed);
    }
    let count = match unit {
        Unit::Milliseconds => us / 1_000,
        Unit::Microseconds => us,
        Unit::Nanoseconds => us * 1_000,
    };
    wire::long(out, count);
    Ok(())
}

/// Writes a `time` as `04:05:11.789Z`; the end of the day stays `24:00:00Z`.
pub(crate) fn time_iso(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let (us, rest) = parse_clock(text)?;
    if !rest.is_empty() {
        return Err(EncodeErrorKind::Malformed);
    }
    let mut ascii = Ascii::default();
    ascii.clock(us, Fraction::Natural);
    ascii.push(b'Z');
    wire::bytes(out, ascii.text());
    Ok(())
}

/// Writes a `timetz` in UTC, as `11:51:30.123789Z`.
pub(crate) fn zoned_time(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let (us, offset) = parse_clock(text)?;
    let shifted = us - parse_offset(offset)? * 1_000_000;
    // The end of the day is not the start of the next one, while no offset moves it.
    let stays = us == DAY_US && shifted == DAY_US;
    let mut ascii = Ascii::default();
    ascii.clock(
        if stays {
            DAY_US
        } else {
            shifted.rem_euclid(DAY_US)
        },
        Fraction::Natural,
    );
    ascii.push(b'Z');
    wire::bytes(out, ascii.text());
    Ok(())
}

/// The day number of a finite `date`.
pub(crate) fn days(text: &[u8]) -> Result<i64, EncodeErrorKind> {
    match parse_date(text)? {
        Bounded::Finite(days) => Ok(days),
        _ => Err(EncodeErrorKind::OutOfRange),
    }
}

/// Writes a day number as `2017-09-15Z`.
pub(crate) fn day_iso(out: &mut Vec<u8>, days: i64) {
    let mut ascii = Ascii::default();
    ascii.date(days);
    ascii.push(b'Z');
    wire::bytes(out, ascii.text());
}

/// Seconds since 1970 of a finite `timestamp`, and the microseconds after them.
pub(crate) fn seconds(text: &[u8]) -> Result<(i64, i64), EncodeErrorKind> {
    match parse_stamp(text, false)? {
        Bounded::Finite(stamp) => Ok((
            stamp.days * DAY_SECONDS + stamp.day_us / 1_000_000,
            stamp.day_us % 1_000_000,
        )),
        _ => Err(EncodeErrorKind::OutOfRange),
    }
}

/// Writes a `timestamp` as a count since 1970-01-01 00:00.
#[inline]
pub(crate) fn timestamp(out: &mut Vec<u8>, text: &[u8], unit: Unit) -> Written {
    let stamp = match parse_stamp(text, false)? {
        Bounded::Finite(stamp) => stamp,
        infinite => {
            let positive = infinite == Bounded::Infinity;
            let count = match (unit, positive) {
                (Unit::Milliseconds, true) => INFINITY_MS,
                (Unit::Milliseconds, false) => NEGATIVE_INFINITY_MS,
                (_, true) => i64::MAX,
                (_, false) => i64::MIN,
            };
            wire::long(out, count);
            return Ok(());
        }
    };
    let us = i128::from(stamp.days) * i128::from(DAY_US) + i128::from(stamp.day_us);
    let (count, ends) = match unit {
        Unit::Milliseconds => (us.div_euclid(1_000), [NEGATIVE_INFINITY_MS, INFINITY_MS]),
        Unit::Microseconds => (us, [i64::MIN, i64::MAX]),
        Unit::Nanoseconds => (us * 1_000, [i64::MIN, i64::MAX]),
    };
    if count <= i128::from(ends[0]) || count >= i128::from(ends[1]) {
        return Err(EncodeErrorKind::OutOfRange);
    }
    // Just compared with the ends of `long`.
    wire::long(out, count as i64);
    Ok(())
}

/// Writes a `timestamp` as `2019-07-09T02:28:57.12Z`.
pub(crate) fn timestamp_iso(out: &mut Vec<u8>, text: &[u8]) -> Written {
    iso(out, parse_stamp(text, false)?, Fraction::Natural)
}

/// Writes a `timestamptz` in UTC with a fraction of `digits` digits.
#[inline]
pub(crate) fn zoned(out: &mut Vec<u8>, text: &[u8], digits: u8) -> Written {
    let fraction = if digits == 0 {
        Fraction::Natural
    } else {
        Fraction::Fixed(digits)
    };
    if utc_as_written(out, text, digits)? {
        return Ok(());
    }
    iso(out, parse_stamp(text, true)?, fraction)
}

/// The common case: a year of four digits and `+00` at the end need no arithmetic.
#[inline]
fn utc_as_written(out: &mut Vec<u8>, text: &[u8], digits: u8) -> Result<bool, EncodeErrorKind> {
    let Some(local) = text.strip_suffix(b"+00") else {
        return Ok(false);
    };
    // YYYY-MM-DD HH:MM:SS[.f]
    if local.get(10) != Some(&b' ') || local.get(4) != Some(&b'-') {
        return Ok(false);
    }
    parse_date(&local[..10])?;
    let (us, rest) = parse_clock(&local[11..])?;
    if !rest.is_empty() || us >= DAY_US {
        return Ok(false);
    }
    let written = local.len().saturating_sub(20);
    let wanted = if written == 0 && digits == 0 {
        0
    } else {
        written.max(usize::from(digits))
    };
    if written > 0 && digits == 0 {
        return Ok(false);
    }
    let mut ascii = Ascii::default();
    ascii.extend(local);
    ascii.bytes[10] = b'T';
    if written == 0 && wanted > 0 {
        ascii.push(b'.');
    }
    ascii.extend(&b"000000"[..wanted - written]);
    ascii.push(b'Z');
    wire::bytes(out, ascii.text());
    Ok(true)
}

fn iso(out: &mut Vec<u8>, value: Bounded<Stamp>, fraction: Fraction) -> Written {
    let mut ascii = Ascii::default();
    match value {
        Bounded::Finite(stamp) => {
            ascii.date(stamp.days);
            ascii.push(b'T');
            ascii.clock(stamp.day_us, fraction);
            ascii.push(b'Z');
        }
        Bounded::Infinity => ascii.extend(b"infinity"),
        Bounded::NegativeInfinity => ascii.extend(b"-infinity"),
    }
    wire::bytes(out, ascii.text());
    Ok(())
}

fn parse_stamp(text: &[u8], zone: bool) -> Result<Bounded<Stamp>, EncodeErrorKind> {
    match text {
        b"infinity" => return Ok(Bounded::Infinity),
        b"-infinity" => return Ok(Bounded::NegativeInfinity),
        _ => {}
    }
    let (text, before_christ) = era(text);
    let space = text
        .iter()
        .position(|&b| b == b' ')
        .ok_or(EncodeErrorKind::Malformed)?;
    let days = parse_day(&text[..space], before_christ)?;
    let (us, rest) = parse_clock(&text[space + 1..])?;
    let offset_us = match (zone, rest) {
        (false, []) => 0,
        (true, rest) => parse_offset(rest)? * 1_000_000,
        (false, _) => return Err(EncodeErrorKind::Malformed),
    };
    let day_us = us - offset_us;
    Ok(Bounded::Finite(Stamp {
        days: days + day_us.div_euclid(DAY_US),
        day_us: day_us.rem_euclid(DAY_US),
    }))
}

fn parse_date(text: &[u8]) -> Result<Bounded<i64>, EncodeErrorKind> {
    match text {
        b"infinity" => Ok(Bounded::Infinity),
        b"-infinity" => Ok(Bounded::NegativeInfinity),
        _ => {
            let (text, before_christ) = era(text);
            parse_day(text, before_christ).map(Bounded::Finite)
        }
    }
}

fn era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

/// `YYYY-MM-DD`, to a day number.
#[inline]
fn parse_day(text: &[u8], before_christ: bool) -> Result<i64, EncodeErrorKind> {
    let malformed = EncodeErrorKind::Malformed;
    let year_len = text.len().checked_sub(6).ok_or(malformed)?;
    let (year, rest) = text.split_at(year_len);
    let [b'-', m1, m2, b'-', d1, d2] = *rest else {
        return Err(malformed);
    };
    if !(4..=7).contains(&year.len()) {
        return Err(malformed);
    }
    let mut era_year = 0_i64;
    for &digit in year {
        era_year = era_year * 10 + i64::from(value(digit)?);
    }
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    if era_year == 0 || !(1..=12).contains(&month) {
        return Err(malformed);
    }
    let year = if before_christ {
        1 - era_year
    } else {
        era_year
    };
    if day == 0 || day > civil::month_days(year, month) {
        return Err(malformed);
    }
    Ok(civil::days(year, month, day))
}

/// `HH:MM:SS[.f]` at the start of `text`, to microseconds; and what follows it.
#[inline]
fn parse_clock(text: &[u8]) -> Result<(i64, &[u8]), EncodeErrorKind> {
    let malformed = EncodeErrorKind::Malformed;
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else {
        return Err(malformed);
    };
    let (hour, minute, second) = (pair(*h1, *h2)?, pair(*m1, *m2)?, pair(*s1, *s2)?);
    let (mut fraction_us, mut rest) = (0_i64, rest);
    if let [b'.', digits @ ..] = rest {
        let mut scale = 1_000_000;
        let mut used = 0;
        while let Some(digit) = digits.get(used).filter(|b| b.is_ascii_digit()) {
            scale /= 10;
            // A seventh digit is finer than PostgreSQL holds.
            if scale == 0 {
                return Err(malformed);
            }
            fraction_us += i64::from(digit - b'0') * scale;
            used += 1;
        }
        if used == 0 {
            return Err(malformed);
        }
        rest = &digits[used..];
    }
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    let us = seconds * 1_000_000 + fraction_us;
    if minute > 59 || second > 59 || us > DAY_US {
        return Err(malformed);
    }
    Ok((us, rest))
}

/// `(+|-)HH[:MM[:SS]]`, to seconds east of UTC.
fn parse_offset(text: &[u8]) -> Result<i64, EncodeErrorKind> {
    let malformed = EncodeErrorKind::Malformed;
    let (sign, rest) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return Err(malformed),
    };
    let (hour, minute, second) = match *rest {
        [h1, h2] => (pair(h1, h2)?, 0, 0),
        [h1, h2, b':', m1, m2] => (pair(h1, h2)?, pair(m1, m2)?, 0),
        [h1, h2, b':', m1, m2, b':', s1, s2] => (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?),
        _ => return Err(malformed),
    };
    if minute > 59 || second > 59 || i64::from(hour) * 3_600 > DAY_SECONDS {
        return Err(malformed);
    }
    Ok(sign * (i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second)))
}

#[inline]
fn value(digit: u8) -> Result<u8, EncodeErrorKind> {
    let value = digit.wrapping_sub(b'0');
    if value > 9 {
        Err(EncodeErrorKind::Malformed)
    } else {
        Ok(value)
    }
}

#[inline]
fn pair(high: u8, low: u8) -> Result<u8, EncodeErrorKind> {
    Ok(value(high)? * 10 + value(low)?)
}

/// Text under construction; the longest is `+5874897-12-31T23:59:59.999999Z`, 31 bytes.
struct Ascii {
    bytes: [u8; 48],
    used: usize,
}

impl Default for Ascii {
    #[inline]
    fn default() -> Ascii {
        Ascii {
            bytes: [0; 48],
            used: 0,
        }
    }
}

impl Ascii {
    #[inline]
    fn text(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        self.bytes[self.used] = byte;
        self.used += 1;
    }

    #[inline]
    fn extend(&mut self, text: &[u8]) {
        self.bytes[self.used..self.used + text.len()].copy_from_slice(text);
        self.used += text.len();
    }

    /// `count` digits of `number`, zeros in front.
    fn digits(&mut self, mut number: u64, count: usize) {
        for place in (self.used..self.used + count).rev() {
            self.bytes[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.used += count;
    }

    fn date(&mut self, days: i64) {
        let (year, month, day) = civil::date(days);
        if year < 0 {
            self.push(b'-');
        } else if year > 9_999 {
            self.push(b'+');
        }
        let year = year.unsigned_abs();
        self.digits(
            year,
            year.checked_ilog10()
                .map_or(1, |log| log as usize + 1)
                .max(4),
        );
        self.push(b'-');
        self.digits(u64::from(month), 2);
        self.push(b'-');
        self.digits(u64::from(day), 2);
    }

    /// `us` lies within a day, so it is not negative.
    fn clock(&mut self, us: i64, fraction: Fraction) {
        let us = us.unsigned_abs();
        let seconds = us / 1_000_000;
        self.digits(seconds / 3_600, 2);
        self.push(b':');
        self.digits(seconds / 60 % 60, 2);
        self.push(b':');
        self.digits(seconds % 60, 2);
        let (mut rest, mut count) = (us % 1_000_000, 6_usize);
        let least = match fraction {
            Fraction::Natural => 0,
            Fraction::Fixed(digits) => usize::from(digits),
        };
        while count > least && rest % 10 == 0 {
            rest /= 10;
            count -= 1;
        }
        if count > 0 {
            self.push(b'.');
            self.digits(rest, count);
        }
    }
}

#[cfg(test)]
mod tests;
