//! What is done with columns before they leave: left out, or masked.
//!
//! Owns: [`Treatments`], by the column's name, and the three masks. A mask works on PostgreSQL's text of the value,
//! whatever its type, so that nothing of the value is in the record beyond what the mask keeps.
//! Invariants: NULL stays NULL and the placeholder of an unchanged TOAST value stays itself, because neither is a value;
//! a salt is never printed.
//!
//! | mask | record | schema |
//! |---|---|---|
//! | sha256 | 64 hexadecimal digits: SHA-256 over the salt's bytes, then the value's text | string |
//! | redact | `****` | string |
//! | truncate | the first characters | the column's own; only for text |
//!
//! Source: FIPS 180-4; Debezium's `column.mask.hash.v2`, `column.mask.with` and `column.truncate.to`.

use std::{borrow::Cow, collections::HashMap, fmt};

use sha2::{Digest, Sha256};

use crate::error::{EncodeErrorKind, Written};
use crate::wire;

/// What is done with the columns of one table, by their names. Other columns go out as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Treatments {
    columns: HashMap<String, Treatment>,
}

/// What is done with one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is in no schema and no record.
    LeaveOut,
    /// Its values are masked.
    Mask(Mask),
}

/// How a value is masked.
#[derive(Clone, PartialEq, Eq)]
pub enum Mask {
    /// Its hash: equal values stay equal.
    Sha256 {
        /// Hashed before the value, so that nobody can look values up in a table of hashes.
        salt: Vec<u8>,
    },
    /// The same for every value.
    Redact,
    /// Its beginning.
    Truncate {
        /// How many characters are kept.
        chars: usize,
    },
    /// It is masked already, as a dead letter holds it.
    Done,
}

/// Stands for every value of a redacted column.
const REDACTED: &[u8] = b"****";

impl Treatments {
    /// Sets what is done with a column.
    pub fn set(&mut self, column: impl Into<String>, treatment: Treatment) {
        self.columns.insert(column.into(), treatment);
    }

    /// Does with a column what is done with another.
    pub fn set_as(&mut self, column: impl Into<String>, other: &str) {
        if let Some(treatment) = self.of(other).cloned() {
            self.set(column, treatment);
        }
    }

    /// Whether records do not have the column at all.
    pub fn leave_out(&self, column: &str) -> bool {
        self.of(column) == Some(&Treatment::LeaveOut)
    }

    /// The mask of a column.
    pub fn mask(&self, column: &str) -> Option<&Mask> {
        match self.of(column) {
            Some(Treatment::Mask(mask)) => Some(mask),
            _ => None,
        }
    }

    pub(crate) fn of(&self, column: &str) -> Option<&Treatment> {
        self.columns.get(column)
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mask::Sha256 { .. } => f.write_str("Sha256"),
            Mask::Redact => f.write_str("Redact"),
            Mask::Truncate { chars } => write!(f, "Truncate({chars})"),
            Mask::Done => f.write_str("Done"),
        }
    }
}

impl Mask {
    /// Writes the mask of a value as an Avro string.
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        match self {
            Mask::Sha256 { salt } => wire::bytes(out, &digest(salt, text)),
            Mask::Redact => wire::bytes(out, REDACTED),
            Mask::Truncate { chars } => wire::bytes(out, beginning(text, *chars)?),
            Mask::Done => wire::bytes(out, text),
        }
        Ok(())
    }

    /// The mask of a value as text; nothing of a value that is not text where the mask needs one.
    pub fn text<'a>(&self, text: &'a [u8]) -> Cow<'a, str> {
        match self {
            Mask::Sha256 { salt } => String::from_utf8_lossy(&digest(salt, text))
                .into_owned()
                .into(),
            Mask::Redact => String::from_utf8_lossy(REDACTED),
            Mask::Truncate { chars } => {
                String::from_utf8_lossy(beginning(text, *chars).unwrap_or_default())
            }
            Mask::Done => String::from_utf8_lossy(text),
        }
    }
}

fn digest(salt: &[u8], text: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha256::new()
        .chain_update(salt)
        .chain_update(text)
        .finalize();
    let mut hex = [0; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.iter()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

fn beginning(text: &[u8], chars: usize) -> Result<&[u8], EncodeErrorKind> {
    let text = std::str::from_utf8(text).map_err(|_| EncodeErrorKind::NotUtf8)?;
    let end = text
        .char_indices()
        .nth(chars)
        .map_or(text.len(), |(at, _)| at);
    Ok(&text.as_bytes()[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_what_they_say_and_print_no_salt() {
        let salted = Mask::Sha256 {
            salt: b"pepper".to_vec(),
        };
        // printf 'pepperann@example.org' | sha256sum
        let expected = "b18264b09ad9f8f63b8cf409616260694bb363cc52019dd27b0da6e84aa4c545";
        assert_eq!(salted.text(b"ann@example.org"), expected);
        assert_eq!(Mask::Redact.text(b"secret"), "****");
        let short = Mask::Truncate { chars: 2 };
        assert_eq!(short.text("größe".as_bytes()), "gr");
        assert_eq!(Mask::Truncate { chars: 3 }.text("größe".as_bytes()), "grö");
        assert_eq!(short.text(b"a"), "a");
        assert!(!format!("{salted:?}").contains("pepper"));
    }
}
