//! What a change of one relation version is written by.
//!
//! Owns `Plan`. Never: makes one; the relations do.

use std::sync::Arc;

use serde::Serialize;
use walferry_avro::{EncodeError, EncodeErrorKind, EncodePlan};
use walferry_event::{Operation, Table};

use crate::{
    config::{Config, Policy},
    tables::refusals::{Barred, Refusals},
};

/// A table's plan and where its records go.
pub struct Plan {
    /// `schema.table`.
    pub(crate) name: Arc<str>,
    /// What the plan was compiled from.
    pub table: Table,
    /// Compiled encoders.
    pub(crate) encode: EncodePlan,
    /// Topic of its records.
    pub topic: Arc<str>,
    /// Bytes that a record may have there, and in the dead-letter topic when the policy needs it.
    pub record_bytes_max: usize,
    pub(crate) letter_bytes_max: usize,
    /// What happens to a change that cannot be encoded.
    pub(crate) policy: Policy,
    /// Why no change of this version can be encoded: its schema was refused.
    pub refused: Option<String>,
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
    pub fn can_widen(&self, error: &EncodeError, widened: usize) -> bool {
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
}

/// Ids of a table's schemas in the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SchemaIds {
    /// Of the key, if the table has one.
    pub key: Option<u32>,
    /// Of the value.
    pub value: Option<u32>,
}

/// The schemas of a plan, each with its part of a record and its subject.
pub fn offers(
    config: &Config,
    topic: &str,
    encode: &EncodePlan,
) -> impl Iterator<Item = (&'static str, Offer)> {
    let parts = [
        ("key", encode.key_schema()),
        ("value", Some(encode.value_schema())),
    ];
    let offer = move |(part, schema): (&'static str, Option<&str>)| {
        let schema = schema?;
        let offer = Offer {
            subject: config.subject(topic, part, schema),
            schema: schema.to_owned(),
        };
        Some((part, offer))
    };
    parts.into_iter().filter_map(offer)
}

/// A subject and the schema that it is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The subject.
    pub subject: String,
    /// The schema, as the registry is given it.
    pub schema: String,
}
