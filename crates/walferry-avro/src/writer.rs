//! One column's way from PostgreSQL text to Avro bytes.
//!
//! Owns: [`Writer`], the choice that the hot path takes for each value. It holds no data of a
//! row and allocates nothing. A writer of a scalar is a word or two, taken by reference; one that is
//! made of other writers keeps them in a box, so that it costs the scalars nothing.
//! Invariant: what a writer writes decodes as the type that `mapping` gave its schema.

use crate::array_text::Items;
use crate::composite_text::Row;
use crate::debezium_values::DebeziumValue;
use crate::error::{EncodeErrorKind, Written};
use crate::format::{BinaryMode, DecimalMode, IntervalMode};
use crate::geometry::Geometry;
use crate::labels::Labels;
use crate::temporal::{self, Unit};
use crate::treatment::Mask;
use crate::vector::Vector;
use crate::wire::{self, BRANCH_0, BRANCH_1, Block};
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
    DebeziumValue(DebeziumValue),
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
            Writer::DebeziumValue(bent) => bent.write(out, text),
            Writer::Array(ref array) => array.write(out, text),
            Writer::Spaced(ref element) => spaced(out, text, element),
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

/// How the arrays of one type are written.
///
/// Every array that a schema of `depth` levels holds is written; any other (more or fewer dimensions, lower bounds) is of
/// another [`EncodeErrorKind::Shape`], because it must not be mistaken for one without. An empty array has no dimensions
/// and fits every depth. `int2vector` and `oidvector` are lists: tokens with spaces between them.
/// Invariant: the items are one block whose count stands before it, as Java's encoder writes it, so that equal keys have
/// equal bytes.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) element: Slot,
    pub(crate) delimiter: u8,
    /// Levels of the schema, 1 or more.
    pub(crate) depth: u32,
    /// Lower bounds are dropped, and what lies a level too deep is NULL ([`crate::Quirk::FlatArrays`]).
    pub(crate) flat: bool,
    /// The placeholder of an unchanged TOAST value has to look like a UUID.
    pub(crate) of_uuid: bool,
    /// There is a placeholder at all.
    pub(crate) has_placeholder: bool,
    /// One NULL among the elements and the array has no value ([`crate::Quirk::OutOfRangeAsNull`]).
    pub(crate) null_spoils: bool,
}

/// The name-based UUID (version 3, RFC 9562) of [`NAMED`], which consumers of Debezium know as the placeholder.
const UUID_OF_NAMED: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";
const NAMED: &str = "__debezium_unavailable_value";

impl Array {
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        let body = match text {
            [b'[', rest @ ..] => {
                let equals = rest.iter().position(|&byte| byte == b'=');
                let equals = equals.ok_or(EncodeErrorKind::Malformed)?;
                if !self.flat {
                    return Err(EncodeErrorKind::Shape);
                }
                &rest[equals + 1..]
            }
            _ => text,
        };
        let mut items = Items::new(body, self.delimiter);
        self.level(&mut items, self.depth, out)?;
        items.end()
    }

    fn level(&self, items: &mut Items<'_>, depth: u32, out: &mut Vec<u8>) -> Written {
        items.take(b'{')?;
        let mut block = Block::open(out);
        if items.peek() == Some(b'}') {
            items.take(b'}')?;
            block.close(out);
            return Ok(());
        }
        loop {
            match (items.peek(), depth) {
                (Some(b'{'), 2..) => self.level(items, depth - 1, out)?,
                (Some(b'{'), _) if self.flat => {
                    items.skip_level()?;
                    self.element.write(out, None)?;
                }
                (Some(b'{'), _) | (_, 2..) => return Err(EncodeErrorKind::Shape),
                _ => match items.token()? {
                    None if self.null_spoils => return Err(EncodeErrorKind::OutOfRange),
                    token => self.element.write(out, token)?,
                },
            }
            block.count += 1;
            if !items.another()? {
                block.close(out);
                return Ok(());
            }
        }
    }

    /// The placeholder as the only item; numbers that have room for it are its bytes, one by one.
    pub(crate) fn unavailable(&self, placeholder: &str) -> Option<Box<[u8]>> {
        if self.depth != 1 || !self.has_placeholder {
            return None;
        }
        let placeholder = match placeholder {
            NAMED if self.of_uuid => UUID_OF_NAMED,
            other => other,
        };
        let mut out = Vec::new();
        let mut block = Block::open(&mut out);
        match self.element.writer() {
            Writer::Date => self.codes(placeholder, &mut block, &mut out),
            Writer::DebeziumValue(bent) if bent.is_days() => {
                self.codes(placeholder, &mut block, &mut out);
            }
            Writer::Integer { max, .. } if *max >= i64::from(i32::MAX) => {
                self.codes(placeholder, &mut block, &mut out);
            }
            writer => {
                let item = writer.unavailable(placeholder)?;
                self.element.raw(&mut out, &item);
                block.count = 1;
            }
        }
        block.close(&mut out);
        Some(out.into())
    }

    fn codes(&self, placeholder: &str, block: &mut Block, out: &mut Vec<u8>) {
        for byte in placeholder.bytes() {
            let mut item = Vec::new();
            wire::long(&mut item, i64::from(byte));
            self.element.raw(out, &item);
            block.count += 1;
        }
    }
}

/// How the rows of one composite type are written.
///
/// A row with another number of fields than the type has now, or with one that is not in its type's text form, was
/// written by an earlier or later version of the type: it is of another [`EncodeErrorKind::Shape`].
#[derive(Clone, Debug)]
pub(crate) struct Composite {
    pub(crate) fields: Box<[Slot]>,
}

impl Composite {
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        let [b'(', body @ .., b')'] = text else {
            return Err(EncodeErrorKind::Malformed);
        };
        // A type without fields has rows without any; one field that is NULL looks the same.
        if self.fields.is_empty() {
            return if body.is_empty() {
                Ok(())
            } else {
                Err(EncodeErrorKind::Shape)
            };
        }
        let mut row = Row::new(body);
        for slot in &self.fields {
            slot.write(out, row.field()?).map_err(|kind| match kind {
                EncodeErrorKind::Malformed => EncodeErrorKind::Shape,
                kind => kind,
            })?;
        }
        if row.is_over() {
            Ok(())
        } else {
            Err(EncodeErrorKind::Shape)
        }
    }
}

/// Writes `int2vector` and `oidvector`: an array of integers with spaces between them, no NULL among them.
fn spaced(out: &mut Vec<u8>, text: &[u8], element: &Slot) -> Written {
    let mut block = Block::open(out);
    if !text.is_empty() {
        for token in text.split(|&byte| byte == b' ') {
            element.write(out, Some(token))?;
            block.count += 1;
        }
    }
    block.close(out);
    Ok(())
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
