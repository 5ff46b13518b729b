//! Rows of a snapshot become records as changes of the stream do.
//!
//! Owns the one call, for rows and for what ends a topic. Never: parks a table for a row: a snapshot cannot wait for one table.

use std::sync::Arc;

use walferry_event::{Code, Datum, Origin};

use crate::{
    encode::{Encoder, change_records::Change, keys::Left, policy::Context, write::write_change},
    error::Error,
    status::parked_tables::Obstacle,
};

impl Encoder {
    /// Encodes a row of a snapshot. One that was too long to be kept lacks its long values, which no other row does.
    pub(crate) fn read_row(
        &mut self,
        oid: u32,
        row: &[Datum<'_>],
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        let cut = row
            .contains(&Datum::Unchanged)
            .then_some(self.config.source.connect.message_bytes_max);
        match self.write_beside(oid, Change::Read(row), origin, cut)? {
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

    /// Writes what a snapshot tells, which is no change of the stream. The table and its obstacle where it would have to wait.
    pub(super) fn write_beside(
        &mut self,
        oid: u32,
        change: Change<'_>,
        origin: &Origin<'_>,
        cut: Option<u64>,
    ) -> Result<Option<(Arc<str>, Obstacle)>, Error> {
        write_change(
            &mut self.relations,
            &mut self.builder,
            oid,
            change,
            origin,
            None,
            &Context {
                config: &self.config,
                status: &self.status,
                dead_letters: &self.dead_letters,
                left: Left::Free,
                cut,
            },
        )
    }
}
