//! Why a schema or a record cannot be read.
//!
//! Owns: [`ReadError`].

use std::fmt;

/// A schema or a record that cannot be read. Opaque: print it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError(pub(super) String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    /// A column that has to have a value has none.
    pub(crate) fn missing(column: Option<&String>) -> ReadError {
        ReadError(format!(
            "column {} has to have a value, and the key does not say it",
            column.map_or("", String::as_str)
        ))
    }
}
