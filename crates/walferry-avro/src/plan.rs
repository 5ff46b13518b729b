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

mod column;
mod flat;
mod gone;

use std::borrow::Cow;
use std::collections::HashSet;

use walferry_event::{Datum, Operation, Origin, Table};

use crate::containers::Mapper;
use crate::envelope::{self, Source};
use crate::error::{EncodeError, EncodeErrorKind, Error, Kind};
use crate::format::{Envelope, Format, Naming, PHYSICAL_TABLE};
use crate::quirks::Quirk;
use crate::schema::{self, Field};
use crate::treatment::Treatments;
use crate::wire::{self, BRANCH_0, BRANCH_1, Header};
use crate::writer::Writer;
use crate::{json, key_json, names};
use column::Column;

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
    /// [`PHYSICAL_TABLE`] as it ends every key; empty where the key has no such field.
    key_end: Box<[u8]>,
    /// What is not known of a key is its default or zero ([`Quirk::KeyOutsideIdentity`]).
    key_filled: bool,
    /// A key may hold NULL ([`Quirk::PartialIndexKey`]).
    key_nulls: bool,
    /// The value is the row itself ([`flat`]).
    flat: bool,
    key_schema: Option<String>,
    value_schema: String,
    key_header: Header,
    value_header: Header,
    source: Source,
}

impl EncodePlan {
    /// Compiles the plan of a table. The error names what no schema can hold.
    pub fn compile(
        table: &Table,
        naming: &Naming<'_>,
        format: &Format,
    ) -> Result<EncodePlan, Error> {
        EncodePlan::treated(table, naming, format, &Treatments::default())
    }

    /// Compiles the plan of a table of which some columns are left out or masked.
    pub fn treated(
        table: &Table,
        naming: &Naming<'_>,
        format: &Format,
        treatments: &Treatments,
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
        let compile = |reading: bool| -> Result<(Vec<Column>, Vec<Option<Field>>), Error> {
            let mut mapper = Mapper::new(format, &namespace, reading);
            mapper.own_schema = naming.shared.then_some(relation.schema.as_str());
            let columns = table.columns.iter();
            columns
                .map(|it| Column::compile(it, &mut mapper, format, treatments).map_err(&fail))
                .collect()
        };
        let (columns, mut fields) = compile(false)?;
        let apart = format.quirks.tell_snapshots_apart();
        let read_columns = apart.then(|| compile(true)).transpose()?;
        keep_apart(&mut fields, |at, name| {
            let of_key = naming.physical_table.is_some() && table.key.contains(&at);
            (of_key && name == PHYSICAL_TABLE) || flat::takes(format.envelope, name)
        });
        let has_field = |at: &usize| fields[*at].is_some();
        let key: Box<[usize]> = table.key.iter().copied().filter(has_field).collect();
        let key_fields = key.iter().filter_map(|&at| fields[at].as_ref());
        let told_apart = naming.physical_table.is_some();
        let key_schema = (!key.is_empty()).then(|| schema::key(&namespace, key_fields, told_apart));
        let mut key_end = Vec::new();
        if let Some(table) = naming.physical_table {
            wire::bytes(&mut key_end, table.as_bytes());
        }
        Ok(EncodePlan {
            table: relation.qualified_name(),
            names: table
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            columns: columns.into(),
            read_columns: read_columns.map(|(columns, _)| columns.into()),
            key,
            key_end: key_end.into(),
            key_filled: format.quirks.has(Quirk::KeyOutsideIdentity),
            key_nulls: format.quirks.has(Quirk::PartialIndexKey),
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

    /// Writes the key of a row; nothing for a table without a key. A key column that is NULL is an error, and so is an
    /// unchanged TOAST value: [`EncodePlan::key_from`] takes it from the old row.
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
                Datum::Null if !self.key_filled && !self.key_nulls => {
                    Err(EncodeErrorKind::NullInKey)
                }
                datum => self.columns[at].write(datum, None, self.key_filled, out),
            };
            written.map_err(|kind| self.fault(at, kind))?;
        }
        out.extend_from_slice(&self.key_end);
        Ok(())
    }

    /// What every key of the table ends with: the field that tells it apart from other tables of its topic, encoded.
    pub fn key_end(&self) -> &[u8] {
        &self.key_end
    }

    /// Writes the key of a row as compact JSON, `{"id":2}`; nothing for a table without a key. It has the columns alone.
    pub fn key_json(&self, row: &[Datum<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.key.is_empty() {
            return Ok(());
        }
        self.check_length(row)?;
        for (count, &at) in self.key.iter().enumerate() {
            out.push(if count == 0 { b'{' } else { b',' });
            json::quoted(self.names[at].as_bytes(), out);
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

    /// A value of a column as text for people, as far as records show it: nothing of a column that is left out, the mask
    /// of a masked one.
    pub fn shown<'a>(&self, column: usize, text: &'a [u8]) -> Option<Cow<'a, str>> {
        match &self.columns.get(column)?.writer {
            Writer::Nothing => None,
            Writer::Masked(mask) => Some(mask.text(text)),
            _ => Some(String::from_utf8_lossy(text)),
        }
    }

    /// Whether records have the column at all.
    pub fn has(&self, column: usize) -> bool {
        let column = self.columns.get(column);
        column.is_some_and(|it| !matches!(it.writer, Writer::Nothing))
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
            return self.flat_value(columns, operation, before, after, origin, out);
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

    /// Whether a truncate has a record in this envelope.
    pub fn has_truncates(&self) -> bool {
        !self.flat
    }

    /// Writes the row that is there after the change, or the one that was there before a delete.
    fn flat_value(
        &self,
        columns: &[Column],
        operation: Operation,
        before: Row<'_>,
        after: Row<'_>,
        origin: &Origin<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let (row, old, fill): (&[Datum<'_>], &[Datum<'_>], bool) = match (before, after) {
            (Row::Key(old) | Row::Full(old), Row::Full(new) | Row::Key(new)) => (new, old, false),
            (Row::None, Row::Full(new) | Row::Key(new)) => (new, &[], false),
            (Row::Key(old), Row::None) => (old, &[], true),
            (Row::Full(old), Row::None) => (old, &[], false),
            (Row::None, Row::None) => return Err(self.fault(0, EncodeErrorKind::Columns)),
        };
        self.check_length(row)?;
        for (at, (column, datum)) in columns.iter().zip(row).enumerate() {
            if let Err(kind) = column.write(*datum, old.get(at).copied(), fill, out) {
                return Err(self.fault(at, kind));
            }
        }
        envelope::flat_tail(operation, after == Row::None, origin, out);
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

/// Gives columns whose names become one in Avro fields of their own: `a_b`, `a_b_2`, in the order of the columns, which never
/// changes, so that a column that is added takes no other's field. `reserved` says which names are not a column's to have.
fn keep_apart(fields: &mut [Option<Field>], reserved: impl Fn(usize, &str) -> bool) {
    let mut taken = HashSet::new();
    for (at, field) in fields.iter_mut().enumerate() {
        let Some(Field { name, .. }) = field else {
            continue;
        };
        let mut candidate = name.clone();
        let mut number = 2_u32;
        while reserved(at, &candidate) || taken.contains(&candidate) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        name.clone_from(&candidate);
        taken.insert(candidate);
    }
}
