//! What a change of one relation version is written by.
//!
//! Owns [`Plan`]. Never: makes one; the relations do.

use std::sync::Arc;

use walferry_avro::{EncodeError, EncodeErrorKind, EncodePlan};
use walferry_event::{Operation, Table};

use crate::{
    config::Policy,
    refusals::{Barred, Refusals},
    status::{SchemaIds, TableStatus},
};

/// A table's plan and where its records go.
pub(crate) struct Plan {
    /// `schema.table`.
    pub(crate) name: Arc<str>,
    /// What the plan was compiled from.
    pub(crate) table: Table,
    /// Compiled encoders.
    pub(crate) encode: EncodePlan,
    /// Topic of its records.
    pub(crate) topic: Arc<str>,
    /// Bytes that a record may have there, and in the dead-letter topic when the policy needs it.
    pub(crate) record_bytes_max: usize,
    pub(crate) letter_bytes_max: usize,
    /// What happens to a change that cannot be encoded.
    pub(crate) policy: Policy,
    /// Why no change of this version can be encoded: its schema was refused.
    pub(crate) refused: Option<String>,
    /// Why an update that comes without its old row may have changed the key.
    pub(crate) untold: Option<String>,
    /// Whether a whole old row may be one of the identity's columns only.
    pub(crate) mixed: bool,
    /// Whether a key may pass from row to row within a transaction.
    pub(crate) deferred: bool,
    /// The ids of its schemas, and the registry's generation that they are of.
    pub(crate) ids: SchemaIds,
    pub(crate) ids_of: u64,
    /// What its topic does not take, if it does not take everything.
    pub(crate) barred: Option<Box<Barred>>,
    /// Changes by operation, in the order of `OPERATIONS`, for the metric; taken when a block is sealed.
    pub(crate) changes: [u64; 4],
}

impl Plan {
    /// Whether a wider schema may have a place for the value that was refused, when it was widened so often for a change
    /// already. Each column can be widened in two ways, and looked up again once.
    pub(crate) fn can_widen(&self, error: &EncodeError, widened: usize) -> bool {
        let widens = matches!(
            error.kind,
            EncodeErrorKind::NullInRequired | EncodeErrorKind::Shape
        );
        widens && widened < 3 * self.table.columns.len()
    }

    /// Why its topic does not take a change. Somebody may have mended it meanwhile.
    #[cold]
    pub(crate) fn bars(&mut self, operation: Operation, refusals: &Refusals) -> Option<String> {
        let now = refusals.of(&self.topic);
        if now == Barred::default() {
            self.barred = None;
            return None;
        }
        let keyless = match operation {
            Operation::Truncate => self.encode.has_truncates(),
            _ => self.encode.key_schema().is_none(),
        };
        let reason = now
            .all
            .clone()
            .or_else(|| now.keyless.clone().filter(|_| keyless));
        self.barred = Some(Box::new(now));
        reason
    }

    /// What `/status` says of the table.
    pub(super) fn status(&self, schema_ids: SchemaIds) -> TableStatus {
        let name = |&i: &usize| self.table.columns[i].name.clone();
        TableStatus {
            name: self.name.to_string(),
            topic: self.topic.to_string(),
            key: self.table.key.iter().map(name).collect(),
            replica_identity: self.table.relation.replica_identity.to_string(),
            schema_ids,
            ..TableStatus::default()
        }
    }
}
