//! Values as Debezium bends them, for those of its deviations that a configuration asks for ([`crate::Quirk`]).
//!
//! Never: called unless a quirk is on. Each outcome was measured; where a snapshot and the stream differ, both are here.

use crate::error::{EncodeErrorKind, Written};
use crate::format::TimeMode;
use crate::interval;
use crate::temporal::{self, Unit};
use crate::wire;

/// How one value is bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DebeziumValue {
    /// A date whose infinities are far days; as text in the mode `isostring`.
    Date { iso: bool, reading: bool },
    /// A date that a snapshot reads: the era is dropped, and the days that the calendar of 1582 left out are later.
    EraDropped { iso: bool, far: bool },
    /// A time of day as text, whose last moment is its first.
    TimeIso,
    /// A timestamp as text whose infinities are far moments.
    TimestampIso,
    /// Microseconds of a timestamp, wrapped round where they do not fit 64 bits.
    Microseconds,
    /// The count of an interval, the last number where it is beyond.
    Interval,
    /// No value at all.
    Never,
}

/// The days that infinity becomes: streamed, and read by a snapshot.
const INFINITY: [(i64, &str); 2] = [
    (2_146_033_979, "+5877611-06-21Z"),
    (-622_191_234, "+292278994-08-17Z"),
];
const NEGATIVE_INFINITY: [(i64, &str); 2] = [
    (-2_147_472_691, "-5877611-06-22Z"),
    (-625_821_272, "+292269055-12-03Z"),
];
/// 1582-10-05 to 1582-10-14, and how far they are moved.
const LEFT_OUT: std::ops::RangeInclusive<i64> = -141_437..=-141_428;
const LEFT_OUT_DAYS: i64 = 10;

impl DebeziumValue {
    /// The form of a date that a quirk bends, if one does.
    pub(crate) fn date(
        mode: TimeMode,
        far: bool,
        era: bool,
        reading: bool,
    ) -> Option<DebeziumValue> {
        let iso = mode == TimeMode::IsoString;
        if era && reading {
            return Some(DebeziumValue::EraDropped { iso, far });
        }
        far.then_some(DebeziumValue::Date { iso, reading })
    }

    pub(crate) fn write(self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        match self {
            DebeziumValue::Date { iso, reading } => match far(text, reading) {
                Some((_, word)) if iso => wire::bytes(out, word.as_bytes()),
                Some((days, _)) => wire::long(out, days),
                None if iso => return temporal::date_iso(out, text),
                None => return temporal::date(out, text),
            },
            DebeziumValue::EraDropped { iso, far } => return era_dropped(out, text, iso, far),
            DebeziumValue::TimeIso => match text {
                b"24:00:00" => wire::bytes(out, b"00:00:00Z"),
                _ => return temporal::time_iso(out, text),
            },
            DebeziumValue::TimestampIso => match text {
                b"infinity" => wire::bytes(out, b"+292278994-08-16T23:00:00Z"),
                b"-infinity" => wire::bytes(out, b"-292275055-05-16T23:00:00Z"),
                _ => return temporal::timestamp_iso(out, text),
            },
            DebeziumValue::Microseconds => return microseconds(out, text),
            DebeziumValue::Interval => return interval::saturated(out, text),
            DebeziumValue::Never => return Err(EncodeErrorKind::OutOfRange),
        }
        Ok(())
    }

    /// Whether a value is a count of days.
    pub(crate) fn is_days(self) -> bool {
        matches!(
            self,
            DebeziumValue::Date { iso: false, .. } | DebeziumValue::EraDropped { iso: false, .. }
        )
    }

    /// Whether a value is text.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            DebeziumValue::Date { iso: true, .. }
                | DebeziumValue::EraDropped { iso: true, .. }
                | DebeziumValue::TimeIso
                | DebeziumValue::TimestampIso
        )
    }
}

fn far(text: &[u8], reading: bool) -> Option<(i64, &'static str)> {
    match text {
        b"infinity" => Some(INFINITY[usize::from(reading)]),
        b"-infinity" => Some(NEGATIVE_INFINITY[usize::from(reading)]),
        _ => None,
    }
}

fn era_dropped(out: &mut Vec<u8>, text: &[u8], iso: bool, far: bool) -> Written {
    if matches!(text, b"infinity" | b"-infinity") {
        return match (far, iso) {
            (true, _) => DebeziumValue::Date { iso, reading: true }.write(out, text),
            (false, true) => temporal::date_iso(out, text),
            (false, false) => temporal::date(out, text),
        };
    }
    let text = text.strip_suffix(b" BC").unwrap_or(text);
    let mut days = temporal::days(text)?;
    if LEFT_OUT.contains(&days) {
        days += LEFT_OUT_DAYS;
    }
    if iso {
        temporal::day_iso(out, days);
    } else {
        wire::long(out, days);
    }
    Ok(())
}

fn microseconds(out: &mut Vec<u8>, text: &[u8]) -> Written {
    match temporal::timestamp(out, text, Unit::Microseconds) {
        Err(EncodeErrorKind::OutOfRange) => {
            let (seconds, us) = temporal::seconds(text)?;
            wire::long(out, seconds.saturating_mul(1_000_000).wrapping_add(us));
            Ok(())
        }
        written => written,
    }
}
