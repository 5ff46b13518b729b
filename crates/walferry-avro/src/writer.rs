//! One column's way from PostgreSQL text to Avro bytes.
//!
//! Owns: [`Writer`], the choice that the hot path takes for each value. It holds no data of a
//! row and allocates nothing. A writer of a scalar is a word or two, taken by reference; one that is
//! made of other writers keeps them in a box, so that it costs the scalars nothing.
//! Invariant: what a writer writes decodes as the type that `mapping` gave its schema.

use crate::bytea;
use crate::error::{EncodeErrorKind, Written};
use crate::format::BinaryMode;
use crate::temporal::{self, Unit};
use crate::{numeric, wire};

/// How the values of one column are written.
#[derive(Clone, Debug)]
pub(crate) enum Writer {
    /// `t` or `f`.
    Boolean,
    /// An integer within these ends.
    Integer {
        min: i64,
        max: i64,
    },
    Single,
    Double,
    /// Text as it is; checked to be UTF-8.
    Text,
    Bytea(BinaryMode),
    Decimal {
        scale: usize,
    },
    VariableScaleDecimal,
    DecimalText,
    DecimalDouble,
    Date,
    DateIso,
    Time(Unit),
    TimeIso,
    Timestamp(Unit),
    TimestampIso,
    /// `timestamptz` with this many digits after the second.
    Zoned {
        digits: u8,
    },
}

impl Writer {
    /// Writes one value, without the branch of its union.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        match *self {
            Writer::Boolean => boolean(out, text),
            Writer::Integer { min, max } => numeric::integer(out, text, min, max),
            Writer::Text => string(out, text),
            Writer::Decimal { scale } => numeric::decimal(out, text, scale),
            Writer::Zoned { digits } => temporal::zoned(out, text, digits),
            Writer::Timestamp(unit) => temporal::timestamp(out, text, unit),
            Writer::Single => numeric::single(out, text),
            Writer::Double => numeric::double(out, text),
            Writer::Bytea(mode) => bytea::write(out, text, mode),
            Writer::VariableScaleDecimal => numeric::variable(out, text),
            Writer::DecimalText => numeric::text(out, text),
            Writer::DecimalDouble => numeric::double(out, text),
            Writer::Date => temporal::date(out, text),
            Writer::DateIso => temporal::date_iso(out, text),
            Writer::Time(unit) => temporal::time(out, text, unit),
            Writer::TimeIso => temporal::time_iso(out, text),
            Writer::TimestampIso => temporal::timestamp_iso(out, text),
        }
    }

    /// The encoding of the text that stands for an unchanged TOAST value, where the type can hold it.
    pub(crate) fn unavailable(&self, placeholder: &str) -> Option<Box<[u8]>> {
        let mut out = Vec::new();
        match *self {
            Writer::Text
            | Writer::DecimalText
            | Writer::DateIso
            | Writer::TimeIso
            | Writer::TimestampIso
            | Writer::Zoned { .. } => wire::bytes(&mut out, placeholder.as_bytes()),
            Writer::Bytea(mode) => {
                bytea::raw(&mut out, placeholder.bytes(), placeholder.len(), mode);
            }
            _ => return None,
        }
        Some(out.into())
    }
}

#[inline]
fn boolean(out: &mut Vec<u8>, text: &[u8]) -> Written {
    out.push(match text {
        b"t" => 1,
        b"f" => 0,
        _ => return Err(EncodeErrorKind::Malformed),
    });
    Ok(())
}

#[inline]
fn string(out: &mut Vec<u8>, text: &[u8]) -> Written {
    if std::str::from_utf8(text).is_err() {
        return Err(EncodeErrorKind::NotUtf8);
    }
    wire::bytes(out, text);
    Ok(())
}
