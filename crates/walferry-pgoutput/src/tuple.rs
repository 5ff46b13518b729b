//! The values of one row.
//!
//! ```text
//! TupleData  ┌────────┐  then per column  ┌───┐                       'n' NULL, 'u' unchanged TOAST
//!            │ n: u16 │                   │ k │
//!            └────────┘                   └───┘
//!                                         ┌───┬──────────┬───────────┐ 't' text, 'b' binary
//!                                         │ k │ len: i32 │ len bytes │
//!                                         └───┴──────────┴───────────┘
//! ```

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
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Result<Tuple<'a>, Error> {
        let columns = cursor.u16("the number of columns")?;
        let start = cursor.rest();
        for _ in 0..columns {
            match cursor.u8("the kind of a value")? {
                b'n' | b'u' => {}
                b't' | b'b' => {
                    let len = cursor.u32("the length of a value")? as usize;
                    cursor.take(len, "as many bytes as the value's length says")?;
                }
                _ => return Err(cursor.error("value kind 'n', 'u', 't' or 'b'")),
            }
        }
        Ok(Tuple {
            columns,
            bytes: &start[..start.len() - cursor.rest().len()],
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

    /// Appends its values to `out`, in order.
    #[inline]
    pub fn datums(&self, out: &mut Vec<Datum<'a>>) {
        out.reserve(self.len());
        let mut rest = self.bytes;
        while let Some((&kind, after)) = rest.split_first() {
            let datum = match kind {
                b'n' => Datum::Null,
                b'u' => Datum::Unchanged,
                _ => {
                    // `parse` has walked the same bytes, so both splits succeed; if they did not, the row would end here.
                    let Some((len, after)) = after.split_first_chunk::<4>() else {
                        return;
                    };
                    let Some((value, after)) =
                        after.split_at_checked(u32::from_be_bytes(*len) as usize)
                    else {
                        return;
                    };
                    rest = after;
                    out.push(if kind == b't' {
                        Datum::Text(value)
                    } else {
                        Datum::Binary(value)
                    });
                    continue;
                }
            };
            rest = after;
            out.push(datum);
        }
    }
}
