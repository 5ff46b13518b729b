//! What values and keys of records say, whatever schema they were written with.
//!
//! Owns the readers, one for each schema id, asked of the registry once. Never: an error for a value of another kind; such a record is passed
//! over.
//! Start reading at `Values::change`.

use std::collections::HashMap;

use serde_json::Value as Json;
use walferry_avro::{EnvelopeReader, KeyReader, RecordEnvelope};
use walferry_registry::Registry;

use walferry_pipeline::error::Error;

/// Magic byte and schema id.
const FRAME_BYTES: usize = 5;

/// The readers.
pub(super) struct Values {
    registry: Registry,
    runtime: tokio::runtime::Handle,
    values: HashMap<u32, Option<EnvelopeReader>>,
    keys: HashMap<u32, Option<KeyReader>>,
    hashes: Vec<u64>,
    /// Whether a value was met that is not in Debezium's envelope.
    pub(super) others: bool,
}

impl Values {
    pub(super) fn new(registry: Registry) -> Values {
        Values {
            registry,
            runtime: tokio::runtime::Handle::current(),
            values: HashMap::new(),
            keys: HashMap::new(),
            hashes: Vec::new(),
            others: false,
        }
    }

    /// The change that a value tells of; none of what is no change of a transaction.
    pub(super) fn change(&mut self, value: Option<&[u8]>) -> Result<Option<RecordEnvelope>, Error> {
        let Some((id, body)) = value.and_then(framed) else {
            return Ok(None);
        };
        if !self.values.contains_key(&id) {
            let schema = self.runtime.block_on(self.registry.schema(id))?;
            let reader = schema.and_then(|it| EnvelopeReader::parse(&it).ok());
            self.others |= reader.is_none();
            self.values.insert(id, reader);
        }
        let reader = self.values.get(&id).and_then(Option::as_ref);
        let read = reader.and_then(|it| it.read(body, &mut self.hashes).ok());
        Ok(read.filter(|it| it.xid.is_some() && it.operation != b'r'))
    }

    /// A key as JSON.
    pub(super) fn key(&mut self, key: Option<&[u8]>) -> Result<Option<Json>, Error> {
        let Some((id, body)) = key.and_then(framed) else {
            return Ok(None);
        };
        if !self.keys.contains_key(&id) {
            let schema = self.runtime.block_on(self.registry.schema(id))?;
            let reader = schema.and_then(|it| KeyReader::parse(&it).ok());
            self.keys.insert(id, reader);
        }
        let reader = self.keys.get(&id).and_then(Option::as_ref);
        Ok(reader.and_then(|it| serde_json::from_str(&it.text(body)).ok()))
    }
}

fn framed(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (frame, body) = bytes.split_at_checked(FRAME_BYTES)?;
    let (magic, id) = frame.split_first()?;
    (*magic == 0).then_some((u32::from_be_bytes(id.try_into().ok()?), body))
}
