//! Why a plan cannot be compiled, and why a row cannot be encoded.
//!
//! Owns: [`Error`] (a table's schema) and [`EncodeError`] (one value of one row).
//! Never: carries a value of a row.

use std::fmt;

use walferry_event::Disposition;

/// A table that has no Avro schema.
///
/// | the operator sees | because | remedy |
/// |---|---|---|
/// | `is not text` | only text can be truncated | another mask |
/// | `has no columns` or `key names column` | the catalog and the stream disagree | restart |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    table: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Columns {
        stream: usize,
        catalog: usize,
    },
    Key(usize),
    /// A column that is not text is to be truncated.
    Truncate(String),
}

impl Error {
    pub(crate) fn new(table: String, kind: Kind) -> Error {
        Error { table, kind }
    }

    /// The same table gives the same error until a person changes it.
    pub fn disposition(&self) -> Disposition {
        Disposition::Halt
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} has no avro schema: ", self.table)?;
        match &self.kind {
            Kind::Columns { stream, catalog } => write!(
                f,
                "the stream names {stream} columns and the catalog {catalog}; restart to read both \
                 again"
            ),
            Kind::Truncate(column) => write!(
                f,
                "column {column:?} is not text, so it cannot be masked with \"truncate\"; take \"sha256\" or \"redact\""
            ),
            Kind::Key(column) => write!(f, "its key names column {column}, which it has not"),
        }
    }
}

impl std::error::Error for Error {}

/// What is wrong with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// NULL where the schema has no null: the column was nullable when the row was written.
    NullInRequired,
    /// NULL in the message key, or a key that the old row does not carry: different rows would share it.
    NullInKey,
    /// The value exists in PostgreSQL and has no counterpart in the Avro type.
    OutOfRange,
    /// The text is not one that PostgreSQL writes for this type.
    Malformed,
    /// The text is not UTF-8: the database's encoding is SQL_ASCII.
    NotUtf8,
    /// An unchanged TOAST value that is not in the old row, in a key or in a type that has no
    /// placeholder.
    Unavailable,
    /// The value is well formed, and its shape is not the schema's: an array of other dimensions or with lower bounds, a
    /// composite with other fields, NULL among enums, an unchanged TOAST value of a type without a placeholder. A plan
    /// of the same table with [`walferry_event::Column::any_shape`] has a place for it.
    Shape,
    /// The row has another number of columns than its table.
    Columns,
}

impl EncodeErrorKind {
    /// A word for metrics and headers.
    pub fn name(self) -> &'static str {
        match self {
            EncodeErrorKind::NullInRequired => "null_in_required",
            EncodeErrorKind::NullInKey => "null_in_key",
            EncodeErrorKind::OutOfRange => "out_of_range",
            EncodeErrorKind::Malformed => "malformed",
            EncodeErrorKind::NotUtf8 => "not_utf8",
            EncodeErrorKind::Unavailable => "unavailable",
            EncodeErrorKind::Shape => "shape",
            EncodeErrorKind::Columns => "columns",
        }
    }

    fn story(self) -> &'static str {
        match self {
            EncodeErrorKind::NullInRequired => {
                "is NULL, and its schema does not allow that; the column was nullable when the \
                 row was written"
            }
            EncodeErrorKind::NullInKey => {
                "is part of the message key and NULL, or not known of the old row, so that different rows would share a key; \
                 choose another `key`, or let old rows carry it (REPLICA IDENTITY)"
            }
            EncodeErrorKind::OutOfRange => {
                "has a value that its avro type cannot hold (NaN, infinity or too large); another \
                 `format.decimal` or `format.time` may"
            }
            EncodeErrorKind::Malformed => "has a value that is not in its type's text form",
            EncodeErrorKind::NotUtf8 => {
                "has a value that is not UTF-8; the database's encoding is SQL_ASCII"
            }
            EncodeErrorKind::Unavailable => {
                "was not sent, because the update left its TOAST value unchanged, and its type has \
                 no placeholder; set REPLICA IDENTITY FULL"
            }
            EncodeErrorKind::Shape => {
                "has a value of another shape than its schema's (dimensions, lower bounds, fields)"
            }
            EncodeErrorKind::Columns => "is missing: the row has another number of columns",
        }
    }
}

/// One value of one row that cannot be encoded. What was written for the row is to be truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// Index into the table's columns.
    pub column: usize,
    /// The column's name.
    pub name: String,
    /// `schema.table`.
    pub table: String,
    /// What is wrong.
    pub kind: EncodeErrorKind,
}

impl EncodeError {
    /// The same row gives the same error: the table's policy decides.
    pub fn disposition(&self) -> Disposition {
        Disposition::Halt
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "column {:?} of table {} {}",
            self.name,
            self.table,
            self.kind.story()
        )
    }
}

impl std::error::Error for EncodeError {}

/// What every writer of one value returns.
pub(crate) type Written = Result<(), EncodeErrorKind>;
