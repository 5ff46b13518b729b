//! One column's way from PostgreSQL text to Avro bytes.
//!
//! Owns: [`Writer`], the choice that the hot path takes for each value. It holds no data of a
//! row and allocates nothing. A writer of a scalar is a word or two, taken by reference; one that is
//! made of other writers keeps them in a box, so that it costs the scalars nothing.
//! Invariant: what a writer writes decodes as the type that `mapping` gave its schema.

use crate::array::{self, Array};
use crate::bent::Bent;
use crate::composite::Composite;
use crate::error::{EncodeErrorKind, Written};
use crate::format::{BinaryMode, DecimalMode, IntervalMode};
use crate::geometry::Geometry;
use crate::labels::Labels;
use crate::temporal::{self, Unit};
use crate::treatment::Mask;
use crate::vector::Vector;
use crate::wire::{self, BRANCH_0, BRANCH_1};
use crate::{bits, bytea, hstore, interval, money, numeric};

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
    /// `timetz`.
    ZonedTime,
    Interval(IntervalMode),
    Money {
        /// Digits after the point.
        fraction: u8,
        mode: DecimalMode,
    },
    /// One bit, as a boolean.
    Bit,
    Bits {
        /// Zeros in front mean something.
        whole: bool,
    },
    /// Text that is one of these.
    Labels(Labels),
    Bent(Bent),
    Array(Box<Array>),
    /// Integers with spaces between them.
    Spaced(Box<Slot>),
    Composite(Box<Composite>),
    Hstore(hstore::Form),
    Geometry(Geometry),
    Vector(Vector),
    /// The type, or the text of a value that it does not hold.
    OrText(Box<OrText>),
    /// The mask of the value.
    Masked(Box<Mask>),
    /// No bytes at all: the column is left out of the schema.
    Nothing,
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
            Writer::Labels(ref labels) => labels.write(out, text),
            Writer::ZonedTime => temporal::zoned_time(out, text),
            Writer::Interval(mode) => interval::write(out, text, mode),
            Writer::Money { fraction, mode } => money::write(out, text, fraction, mode),
            Writer::Bit => bits::boolean(out, text),
            Writer::Bits { whole } => bits::bytes(out, text, whole),
            Writer::Bent(bent) => bent.write(out, text),
            Writer::Array(ref array) => array.write(out, text),
            Writer::Spaced(ref element) => array::spaced(out, text, element),
            Writer::Composite(ref composite) => composite.write(out, text),
            Writer::Hstore(form) => hstore::write(out, text, form),
            Writer::Geometry(geometry) => geometry.write(out, text),
            Writer::Vector(vector) => vector.write(out, text),
            Writer::OrText(ref either) => either.write(out, text),
            Writer::Masked(ref mask) => mask.write(out, text),
            Writer::Nothing => Ok(()),
        }
    }

    /// The encoding of the text that stands for an unchanged TOAST value, where the type can hold it.
    pub(crate) fn unavailable(&self, placeholder: &str) -> Option<Box<[u8]>> {
        let mut out = Vec::new();
        match *self {
            Writer::Text
            | Writer::Masked(_)
            | Writer::Labels(_)
            | Writer::DecimalText
            | Writer::DateIso
            | Writer::TimeIso
            | Writer::TimestampIso
            | Writer::ZonedTime
            | Writer::Interval(IntervalMode::String)
            | Writer::Zoned { .. } => wire::bytes(&mut out, placeholder.as_bytes()),
            Writer::Bytea(mode) => {
                bytea::raw(&mut out, placeholder.bytes(), placeholder.len(), mode);
            }
            Writer::Array(ref array) => return array.unavailable(placeholder),
            Writer::Hstore(form) => return Some(hstore::unavailable(placeholder, form)),
            Writer::OrText(ref either) => return Some(either.unavailable(placeholder)),
            _ => return None,
        }
        Some(out.into())
    }
}

/// A writer with the branches of the union that it stands in: an element of an array, a field of a record.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    writer: Writer,
    /// Branch of a value; `None` when there is no union, or when the writer writes its own.
    branch: Option<u8>,
    /// Branch of NULL.
    null: Option<u8>,
}

impl Slot {
    /// A union as [`crate::schema::Place`] prints it: null, the type, text.
    pub(crate) fn new(writer: Writer, nullable: bool, or_text: bool) -> Slot {
        let null = nullable.then_some(BRANCH_0);
        let value = if nullable { BRANCH_1 } else { BRANCH_0 };
        if or_text {
            let writer = Writer::OrText(Box::new(OrText {
                writer,
                value,
                text: value + BRANCH_1,
            }));
            return Slot {
                writer,
                branch: None,
                null,
            };
        }
        Slot {
            writer,
            branch: nullable.then_some(value),
            null,
        }
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Branch of a value, branch of NULL, and the writer.
    pub(crate) fn into_parts(self) -> (Option<u8>, Option<u8>, Writer) {
        (self.branch, self.null, self.writer)
    }

    /// Writes a value or NULL.
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: Option<&[u8]>) -> Written {
        match text {
            Some(text) => {
                out.extend(self.branch);
                self.writer.write(out, text)
            }
            None => {
                out.push(self.null.ok_or(EncodeErrorKind::Shape)?);
                Ok(())
            }
        }
    }

    /// Writes a value that is encoded already.
    pub(crate) fn raw(&self, out: &mut Vec<u8>, encoded: &[u8]) {
        out.extend(self.branch);
        out.extend_from_slice(encoded);
    }
}

/// A type with a place beside it for the text of values that it does not hold. Writes its own branch.
#[derive(Clone, Debug)]
pub(crate) struct OrText {
    writer: Writer,
    value: u8,
    text: u8,
}

impl OrText {
    /// A type with a default stands before null.
    pub(crate) fn stand_first(&mut self) {
        self.value = BRANCH_0;
    }

    fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        let start = out.len();
        out.push(self.value);
        match self.writer.write(out, text) {
            Err(EncodeErrorKind::Shape) => {
                out.truncate(start);
                out.push(self.text);
                string(out, text)
            }
            written => written,
        }
    }

    fn unavailable(&self, placeholder: &str) -> Box<[u8]> {
        let mut out = Vec::new();
        match self.writer.unavailable(placeholder) {
            Some(known) => {
                out.push(self.value);
                out.extend_from_slice(&known);
            }
            None => {
                out.push(self.text);
                wire::bytes(&mut out, placeholder.as_bytes());
            }
        }
        out.into()
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
