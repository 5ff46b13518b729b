//! The delete of a row of which only its key is known, as a topic holds it.
//!
//! Owns: the way from the bytes of a key to the old row in a value. A key's columns are written alike in both, so that their
//! bytes are carried over; the other columns are as in an old row of which only the key is known.
//! Never: a value of a key in an error; a panic on any bytes.

use walferry_event::{Datum, Operation, Origin};

use super::EncodePlan;
use crate::digest::{KeyReader, ReadError};
use crate::envelope;
use crate::wire::{BRANCH_0, BRANCH_1};

impl EncodePlan {
    /// Writes the value of the delete of the row with this key, which stands without its framing. `written` reads keys of
    /// the schema that it was written with, `own` those of this plan. A column that the key does not have, or has in another
    /// form, is not known.
    ///
    /// # Errors
    /// The bytes are not of the schema.
    pub fn delete_of_key(
        &self,
        key: &[u8],
        written: &KeyReader,
        own: &KeyReader,
        origin: &Origin<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let parts = written.parts(key, own)?;
        self.value_header.write(out);
        if !self.flat {
            out.push(BRANCH_1);
        }
        for (at, column) in self.columns.iter().enumerate() {
            let place = self.key.iter().position(|&key| key == at);
            match place.and_then(|place| parts.get(place).copied().flatten()) {
                Some(bytes) => out.extend_from_slice(bytes),
                None => column
                    .write(Datum::Null, None, true, out)
                    .map_err(|_| ReadError::missing(self.names.get(at)))?,
            }
        }
        if self.flat {
            envelope::flat_tail(Operation::Delete, true, origin, out);
            return Ok(());
        }
        out.push(BRANCH_0);
        self.source.write(origin, out);
        envelope::tail(Operation::Delete, origin, out);
        Ok(())
    }
}
