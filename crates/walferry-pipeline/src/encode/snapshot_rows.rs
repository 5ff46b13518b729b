//! Rows of a snapshot become records as changes of the stream do.
//!
//! Owns the one call. Never: parks a table for a row: a snapshot cannot wait for one table.

use walferry_event::{Code, Datum, Origin};

use crate::{
    encode::{Encoder, change_records::Change, keys::Left, policy::Context, write::write_change},
    error::Error,
};

impl Encoder {
    /// Encodes a row of a snapshot. One that was too long to be kept lacks its long values, which no other row does.
    pub(crate) fn read_row(
        &mut self,
        oid: u32,
        row: &[Datum<'_>],
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        let parked = write_change(
            &mut self.relations,
            &mut self.builder,
            oid,
            Change::Read(row),
            origin,
            None,
            &Context {
                config: &self.config,
                status: &self.status,
                dead_letters: &self.dead_letters,
                left: Left::Free,
                cut: row
                    .contains(&Datum::Unchanged)
                    .then_some(self.config.source.connect.message_bytes_max),
            },
        )?;
        match parked {
            None => Ok(()),
            Some((table, obstacle)) => Err(Error::failed(
                Code::SnapshotRow,
                format!(
                    "table {table}: a row of its snapshot cannot be encoded: {}; a snapshot cannot wait for one table: mend \
                 the value or the subject's compatibility level, or set errors = \"dead-letter\" for this table",
                    obstacle.reason
                ),
            )),
        }
    }
}
