//! The encode plan of one relation version.
//!
//! Owns: [`EncodePlan`], compiled once from a table, its names and the format; afterwards it only
//! reads. A record is Confluent's wire format:
//!
//! ```text
//! | 0 | schema id, 4 bytes, highest first | Avro binary of the record |
//! ```
//!
//! An old row of the replica identity's columns ([`Row::Key`]) has NULL elsewhere: a required
//! column then gets its default, else its type's zero, and a nullable one gets null. A key gets
//! neither, but for a quirk: what is not known of a key is an error.
//! Invariant: on an error `out` holds what was written so far; the caller truncates it.

mod flat;

use std::collections::HashMap;

use walferry_event::{Datum, Operation, Origin, Table};

use crate::bent::Bent;
use crate::containers::Mapper;
use crate::default::{self, Expression};
use crate::envelope::{self, Source};
use crate::error::{EncodeError, EncodeErrorKind, Error, Kind, Written};
use crate::format::{Envelope, Format, FunctionDefaults, Naming};
use crate::mapping::{Mapping, Zero};
use crate::quirks::Quirk;
use crate::schema::{self, Field, Place};
use crate::wire::{self, BRANCH_0, BRANCH_1, Header};
use crate::writer::{Slot, Writer};
use crate::{key_json, names, numeric};

/// One side of a change: the row before it, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// Not there.
    None,
    /// Only the columns of the replica identity are known; the others are NULL.
    Key(&'a [Datum<'a>]),
    /// The whole row.
    Full(&'a [Datum<'a>]),
}

/// Schemas and writers of one version of one table.
#[derive(Clone, Debug)]
pub struct EncodePlan {
    /// `schema.table`, for errors.
    table: String,
    names: Vec<String>,
    columns: Box<[Column]>,
    /// For the rows of a snapshot, where a quirk tells them from those of the stream.
    read_columns: Option<Box<[Column]>>,
    key: Box<[usize]>,
    /// What is not known of a key is its default or zero ([`Quirk::KeyOutsideIdentity`]).
    key_filled: bool,
    /// The value is the row itself ([`flat`]).
    flat: bool,
    key_schema: Option<String>,
    value_schema: String,
    key_header: Header,
    value_header: Header,
    source: Source,
}

/// How one column is written.
#[derive(Clone, Debug)]
struct Column {
    writer: Writer,
    /// Branch of a value; `None` when the field is no union.
    branch: Option<u8>,
    /// Branch of NULL; `None` when NULL is not allowed.
    null: Option<u8>,
    /// The encoded default or zero.
    fill: Box<[u8]>,
    /// NULL is written as the default ([`Quirk::NullAsDefault`]).
    null_as_default: bool,
    /// What is written in the place of a value that the type cannot hold, where that is not an error: a quirk.
    instead: Option<Box<[u8]>>,
    /// The encoded placeholder of an unchanged TOAST value with its branch, or why there is none.
    unavailable: Result<Box<[u8]>, EncodeErrorKind>,
}

impl EncodePlan {
    /// Compiles the plan of a table. The error names what no schema can hold.
    pub fn compile(
        table: &Table,
        naming: &Naming<'_>,
        format: &Format,
    ) -> Result<EncodePlan, Error> {
        let relation = &table.relation;
        let fail = |kind| Error::new(relation.qualified_name(), kind);
        if relation.columns.len() != table.columns.len() {
            return Err(fail(Kind::Columns {
                stream: relation.columns.len(),
                catalog: table.columns.len(),
            }));
        }
        if let Some(&column) = table.key.iter().find(|&&at| at >= table.columns.len()) {
            return Err(fail(Kind::Key(column)));
        }
        let namespace = if format.adjust_names {
            names::dotted(naming.topic)
        } else {
            naming.topic.to_owned()
        };
        let compile = |reading: bool| -> (Vec<Column>, Vec<Option<Field>>) {
            let mut mapper = Mapper::new(format, &namespace, reading);
            let columns = table.columns.iter();
            columns
                .map(|column| Column::compile(column, &mut mapper, format))
                .unzip()
        };
        let (columns, fields) = compile(false);
        let apart = format.quirks.tell_snapshots_apart();
        let read_columns = apart.then(|| compile(true).0.into());
        let taken = flat::collision(format.envelope, table, &fields);
        if let Some(collision) = collision(table, &fields).or(taken) {
            return Err(fail(collision));
        }
        let has_field = |at: &usize| fields[*at].is_some();
        let key: Box<[usize]> = table.key.iter().copied().filter(has_field).collect();
        let key_fields = key.iter().filter_map(|&at| fields[at].as_ref());
        let key_schema = (!key.is_empty()).then(|| schema::key(&namespace, key_fields));
        Ok(EncodePlan {
            table: relation.qualified_name(),
            names: table
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            columns: columns.into(),
            read_columns,
            key,
            key_filled: format.quirks.has(Quirk::KeyOutsideIdentity),
            key_schema,
            flat: format.envelope == Envelope::Flat,
            value_schema: flat::schema(format.envelope, &namespace, &fields),
            key_header: Header::default(),
            value_header: Header::default(),
            source: Source::new(naming, &relation.schema, &relation.name),
        })
    }

    /// The key's Avro schema as JSON; `None` for a table without a key.
    pub fn key_schema(&self) -> Option<&str> {
        self.key_schema.as_deref()
    }

    /// The value's Avro schema as JSON.
    pub fn value_schema(&self) -> &str {
        &self.value_schema
    }

    /// The registry's ids of both schemas. Until they are set, records carry id 0.
    pub fn set_ids(&mut self, key: Option<u32>, value: u32) {
        self.key_header = Header::new(key.unwrap_or(0));
        self.value_header = Header::new(value);
    }

    /// Indexes of the key's columns, in the key's order; empty for a table without a key.
    pub fn key_columns(&self) -> &[usize] {
        &self.key
    }

    /// Writes the key of a row; nothing for a table without a key. A key column that is an
    /// unchanged TOAST value is an error: [`EncodePlan::key_from`] takes it from the old row.
    pub fn key(&self, row: &[Datum<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.key_from(row, &[], out)
    }

    /// Writes the key of a row, with unchanged TOAST values from `old`, the row before it.
    pub fn key_from(
        &self,
        row: &[Datum<'_>],
        old: &[Datum<'_>],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.key.is_empty() {
            return Ok(());
        }
        self.check_length(row)?;
        self.key_header.write(out);
        for &at in &self.key {
            let datum = match row[at] {
                Datum::Unchanged => old.get(at).copied().unwrap_or(Datum::Unchanged),
                datum => datum,
            };
            let written = match datum {
                Datum::Unchanged => Err(EncodeErrorKind::Unavailable),
                datum => self.columns[at].write(datum, None, self.key_filled, out),
            };
            written.map_err(|kind| self.fault(at, kind))?;
        }
        Ok(())
    }

    /// Writes the key of a row as compact JSON, `{"id":2}`; nothing for a table without a key.
    pub fn key_json(&self, row: &[Datum<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.key.is_empty() {
            return Ok(());
        }
        self.check_length(row)?;
        for (count, &at) in self.key.iter().enumerate() {
            out.push(if count == 0 { b'{' } else { b',' });
            key_json::quoted(self.names[at].as_bytes(), out);
            out.push(b':');
            let written = match row[at] {
                Datum::Text(text) => key_json::write(&self.columns[at].writer, text, out),
                Datum::Null => {
                    out.extend_from_slice(b"null");
                    Ok(())
                }
                Datum::Unchanged => Err(EncodeErrorKind::Unavailable),
                Datum::Binary(_) => Err(EncodeErrorKind::Malformed),
            };
            written.map_err(|kind| self.fault(at, kind))?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Whether two rows have different keys, by their text. An unchanged TOAST value is no
    /// difference. Always false for a table without a key.
    pub fn key_changed(&self, old: &[Datum<'_>], new: &[Datum<'_>]) -> bool {
        self.key.iter().any(|&at| match (old.get(at), new.get(at)) {
            (_, Some(Datum::Unchanged)) => false,
            (old, new) => old != new,
        })
    }

    /// Writes the value of a change. A TOAST value that is unchanged in `after` is taken from
    /// `before` where that has it; else it is the placeholder, or an error where the type has none.
    /// A truncate has neither row.
    pub fn value(
        &self,
        operation: Operation,
        before: Row<'_>,
        after: Row<'_>,
        origin: &Origin<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        out.reserve(self.source.bytes_max());
        self.value_header.write(out);
        let columns = match &self.read_columns {
            Some(columns) if operation == Operation::Read => columns,
            _ => &self.columns,
        };
        if self.flat {
            return self.flat_value(columns, operation, (before, after), origin, out);
        }
        self.image(columns, before, &[], out)?;
        let old = match before {
            Row::Key(old) | Row::Full(old) => old,
            Row::None => &[],
        };
        self.image(columns, after, old, out)?;
        self.source.write(origin, out);
        envelope::tail(operation, origin, out);
        Ok(())
    }

    fn image(
        &self,
        columns: &[Column],
        row: Row<'_>,
        old: &[Datum<'_>],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let (row, fill) = match row {
            Row::None => {
                out.push(BRANCH_0);
                return Ok(());
            }
            Row::Key(row) => (row, true),
            Row::Full(row) => (row, false),
        };
        self.check_length(row)?;
        out.push(BRANCH_1);
        for (at, (column, datum)) in columns.iter().zip(row).enumerate() {
            if let Err(kind) = column.write(*datum, old.get(at).copied(), fill, out) {
                return Err(self.fault(at, kind));
            }
        }
        Ok(())
    }

    fn check_length(&self, row: &[Datum<'_>]) -> Result<(), EncodeError> {
        if row.len() == self.columns.len() {
            return Ok(());
        }
        Err(self.fault(row.len().min(self.columns.len()), EncodeErrorKind::Columns))
    }

    #[cold]
    fn fault(&self, column: usize, kind: EncodeErrorKind) -> EncodeError {
        EncodeError {
            column,
            name: self.names.get(column).cloned().unwrap_or_default(),
            table: self.table.clone(),
            kind,
        }
    }
}

impl Column {
    fn compile(
        column: &walferry_event::Column,
        mapper: &mut Mapper<'_>,
        format: &Format,
    ) -> (Column, Option<Field>) {
        let mapping = mapper.map(&column.data_type, column.any_shape);
        if mapping.left_out {
            return (Column::left_out(), None);
        }
        let default = column
            .default
            .as_deref()
            .and_then(|text| encoded_default(text, &mapping, format));
        let (default_bytes, default_json) = default.unzip();
        let nullable = column.nullable || mapping.optional;
        let or_text = mapping.shaped && column.any_shape;
        let mut fill = default_bytes.unwrap_or_else(|| zero(&mapping));
        let (shaped, schema) = (mapping.shaped, mapping.schema);
        let (mut branch, mut null, mut writer) =
            Slot::new(mapping.writer, nullable, or_text).into_parts();
        let first = default_json.is_some() || !nullable;
        if nullable && first {
            null = Some(BRANCH_1);
            match &mut writer {
                Writer::OrText(either) => either.stand_first(),
                _ => branch = Some(BRANCH_0),
            }
        }
        if or_text {
            fill.insert(0, if first { BRANCH_0 } else { BRANCH_1 });
        }
        let unavailable = match writer.unavailable(&format.unavailable_value) {
            Some(placeholder) => Ok(branch.into_iter().chain(placeholder).collect()),
            None => match null.filter(|_| format.quirks.has(Quirk::UnavailableAsNull)) {
                Some(null) => Ok([null].into()),
                // The pipeline widens the schema, so that there is a place for the placeholder.
                None if shaped => Err(EncodeErrorKind::Shape),
                None => Err(EncodeErrorKind::Unavailable),
            },
        };
        let instead = match (&writer, null) {
            (Writer::Bent(Bent::Never), None) => Some(fill.clone().into()),
            (Writer::Bent(Bent::Never), Some(null)) => Some([null].into()),
            (_, Some(null)) if format.quirks.has(Quirk::OutOfRangeAsNull) => Some([null].into()),
            _ => None,
        };
        let plan = Column {
            writer,
            branch,
            null,
            instead,
            null_as_default: default_json.is_some() && format.quirks.has(Quirk::NullAsDefault),
            fill: fill.into(),
            unavailable,
        };
        let name = if format.adjust_names {
            names::field(&column.name)
        } else {
            column.name.clone()
        };
        let field = Field {
            name,
            place: Place {
                schema,
                nullable,
                or_text,
            },
            default: default_json,
        };
        (plan, Some(field))
    }

    /// A column whose every value is no bytes at all: what is written for a datum of any kind is empty.
    fn left_out() -> Column {
        Column {
            writer: Writer::Nothing,
            branch: None,
            null: Some(BRANCH_0),
            fill: [].into(),
            null_as_default: true,
            instead: None,
            unavailable: Ok([].into()),
        }
    }

    /// Writes a value with its branch. `old` is the same column of the row before; `fill` says
    /// that NULL means not known.
    #[inline]
    fn write(
        &self,
        datum: Datum<'_>,
        old: Option<Datum<'_>>,
        fill: bool,
        out: &mut Vec<u8>,
    ) -> Written {
        let text = match (datum, old) {
            (Datum::Text(text), _) | (Datum::Unchanged, Some(Datum::Text(text))) => text,
            (Datum::Null, _) => {
                match self.null {
                    Some(_) if self.null_as_default => {
                        out.extend(self.branch);
                        out.extend_from_slice(&self.fill);
                    }
                    Some(branch) => out.push(branch),
                    None if fill => out.extend_from_slice(&self.fill),
                    None => return Err(EncodeErrorKind::NullInRequired),
                }
                return Ok(());
            }
            (Datum::Unchanged, _) => {
                match &self.unavailable {
                    Ok(placeholder) => out.extend_from_slice(placeholder),
                    Err(kind) => return Err(*kind),
                }
                return Ok(());
            }
            // The session asks for text only.
            (Datum::Binary(_), _) => return Err(EncodeErrorKind::Malformed),
        };
        let start = out.len();
        if let Some(branch) = self.branch {
            out.push(branch);
        }
        match self.writer.write(out, text) {
            Err(EncodeErrorKind::OutOfRange) => self.out_of_range(out, start),
            written => written,
        }
    }

    #[cold]
    fn out_of_range(&self, out: &mut Vec<u8>, start: usize) -> Written {
        let instead = self.instead.as_ref().ok_or(EncodeErrorKind::OutOfRange)?;
        out.truncate(start);
        out.extend_from_slice(instead);
        Ok(())
    }
}

/// Two columns that would be one field.
fn collision(table: &Table, fields: &[Option<Field>]) -> Option<Kind> {
    let mut seen = HashMap::new();
    for (at, field) in fields.iter().enumerate() {
        let Some(Field { name, .. }) = field else {
            continue;
        };
        if let Some(first) = seen.insert(name, at) {
            return Some(Kind::Collision {
                first: table.columns[first].name.clone(),
                second: table.columns[at].name.clone(),
                field: name.clone(),
            });
        }
    }
    None
}

/// The encoding of a column's default, and its JSON. A constant goes through the column's own
/// writer, so that the schema says what a row would get.
fn encoded_default(text: &str, mapping: &Mapping, format: &Format) -> Option<(Vec<u8>, String)> {
    let placeholder = mapping.placeholder?;
    let parsed = default::parse(text);
    let is_function = parsed == Expression::Function;
    let text = match (parsed, format.function_defaults) {
        (Expression::Constant(text), _) => text,
        (Expression::Function, FunctionDefaults::Placeholder) => placeholder.to_owned(),
        (Expression::Null, _) | (Expression::Function, FunctionDefaults::None) => return None,
    };
    let text = match mapping.default_scale {
        Some(scale) => numeric::rounded(&text, scale).unwrap_or(text),
        None => text,
    };
    let mut encoded = Vec::new();
    match mapping.writer.write(&mut encoded, text.as_bytes()) {
        Ok(()) => {}
        // The placeholder of an enum is none of its labels.
        Err(_) if is_function => encoded = zero(mapping),
        Err(_) => return None,
    }
    let beyond_json = || {
        let wanted = format.quirks.has(Quirk::NanDefaults);
        wanted.then(|| serde_json::Value::from(&*text).to_string())
    };
    let json = mapping.schema.default_json(&encoded).or_else(beyond_json)?;
    Some((encoded, json))
}

fn zero(mapping: &Mapping) -> Vec<u8> {
    let mut out = Vec::new();
    match &mapping.zero {
        Zero::Encoded(bytes) => out.extend_from_slice(bytes),
        Zero::Literal(text) => wire::bytes(&mut out, text.as_bytes()),
        Zero::Written(text) => {
            let written = mapping.writer.write(&mut out, text.as_bytes());
            debug_assert_eq!(written, Ok(()), "a type's zero is in its own text form");
        }
    }
    out
}
