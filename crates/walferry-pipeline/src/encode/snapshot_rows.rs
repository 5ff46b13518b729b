//! Rows of a snapshot become records as changes of the stream do.
//!
//! Owns the one call. Never: decides which row is written.

use walferry_event::{Datum, Origin};

use crate::{encode::Encoder, error::Error};

impl Encoder {
    /// Encodes a row of a snapshot.
    pub(crate) fn read_row(
        &mut self,
        oid: u32,
        row: &[Datum<'_>],
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        self.writer
            .read_row(self.builder.records(), oid, row, origin)
    }
}
