//! The flat envelope: the row itself, with a few fields of where it came from behind its columns.
//!
//! Owns: its fields, and which schema is chosen. It is what Debezium's `ExtractNewRecordState` makes of a record with
//! `delete.tombstone.handling.mode=rewrite` and `add.fields=op,lsn,ts_ms`:
//!
//! ```text
//! columns of the row … __op __lsn __ts_ms __deleted
//! ```
//!
//! A delete has the old row, as far as it is known, and `__deleted` is the text `true`. A truncate has no row, so it has
//! no record: [`super::EncodePlan::has_truncates`].
//! Invariant: no column of the table becomes one of these fields; one of such a name is `__op_2`.

use crate::format::Envelope;
use crate::schema::{self, Field};

/// The fields behind the columns, with their types.
const FIELDS: [(&str, &str); 4] = [
    ("__op", r#"{"name":"__op","type":"string"}"#),
    (
        "__lsn",
        r#"{"name":"__lsn","type":["null","long"],"default":null}"#,
    ),
    (
        "__ts_ms",
        r#"{"name":"__ts_ms","type":["null","long"],"default":null}"#,
    ),
    (
        "__deleted",
        r#"{"name":"__deleted","type":["null","string"],"default":null}"#,
    ),
];

/// The value's schema in this envelope.
pub(super) fn schema(envelope: Envelope, namespace: &str, fields: &[Option<Field>]) -> String {
    match envelope {
        Envelope::Debezium => schema::envelope(namespace, fields.iter().flatten()),
        Envelope::Flat => schema::flat(namespace, fields.iter().flatten(), FIELDS.map(|it| it.1)),
    }
}

/// Whether a field is one of the envelope's own.
pub(super) fn takes(envelope: Envelope, field: &str) -> bool {
    envelope == Envelope::Flat && FIELDS.iter().any(|(name, _)| *name == field)
}
