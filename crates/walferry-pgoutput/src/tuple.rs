//! The values of one row.
//!
//! Owns [`Tuple`], which is checked once when it is parsed and then walked as often as wanted.
//! Never: copies a value, or looks into one.
//! Invariant: `bytes` holds exactly `columns` values, each whole.
//! Source: PostgreSQL documentation, "Logical Replication Message Formats", TupleData.
//!
//! ```text
//! TupleData ┌────────┬────────┐
//!           │ n: u16 │ values │ n of them
//!           └────────┴────────┘
//!   value   ┌───────────┐       'n' NULL
//!           │ kind: u8  │       'u' a TOASTed value that was not touched
//!           ├───────────┼──────────┬───────────┐
//!           │ kind: u8  │ len: u32 │ len bytes │ 't' text, 'b' binary
//!           └───────────┴──────────┴───────────┘
//! ```

use std::iter::FusedIterator;

use walferry_event::Datum;

use crate::{Error, cursor::Cursor};

/// The values of one row: bytes that have been walked once, so that walking them again cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple<'a> {
    columns: u16,
    /// Exactly the values, without the count.
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// Takes a tuple off the cursor, checking each value's kind and length.
    #[inline]
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Result<Tuple<'a>, Error> {
        let columns = cursor.u16("the number of columns")?;
        let first = *cursor;
        for _ in 0..columns {
            let has_bytes =
                cursor.code("a value's kind 'n', 'u', 't' or 'b'", |kind| match kind {
                    b't' | b'b' => Some(true),
                    b'n' | b'u' => Some(false),
                    _ => None,
                })?;
            if has_bytes {
                let len = cursor.u32("the length of a value")? as usize;
                cursor.take(len, "as many bytes as the value's length says")?;
            }
        }
        Ok(Tuple {
            columns,
            bytes: first.until(cursor),
        })
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        usize::from(self.columns)
    }

    /// Whether it has none: a table without columns.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// Its values, in order.
    #[inline]
    pub fn iter(&self) -> Datums<'a> {
        Datums {
            columns: self.columns,
            rest: self.bytes,
        }
    }

    /// Appends its values to `out`, in order, which is then longer by [`Tuple::len`].
    #[inline]
    pub fn datums(&self, out: &mut Vec<Datum<'a>>) {
        out.extend(self.iter());
    }
}

impl<'a> IntoIterator for Tuple<'a> {
    type Item = Datum<'a>;
    type IntoIter = Datums<'a>;

    fn into_iter(self) -> Datums<'a> {
        self.iter()
    }
}

/// Iterator over the values of a row.
#[derive(Clone, Debug)]
pub struct Datums<'a> {
    columns: u16,
    rest: &'a [u8],
}

impl<'a> Iterator for Datums<'a> {
    type Item = Datum<'a>;

    #[inline]
    fn next(&mut self) -> Option<Datum<'a>> {
        // `Tuple::parse` has walked the same bytes, so each split succeeds until the last value.
        let (&kind, rest) = self.rest.split_first()?;
        self.columns = self.columns.saturating_sub(1);
        self.rest = rest;
        if kind == b'n' {
            return Some(Datum::Null);
        }
        if kind == b'u' {
            return Some(Datum::Unchanged);
        }
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        self.rest = rest;
        Some(if kind == b't' {
            Datum::Text(value)
        } else {
            Datum::Binary(value)
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.columns);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Datums<'_> {}

impl FusedIterator for Datums<'_> {}
