//! Records of what no change of the stream says: the delete of a key that only a topic knows, and the truncate of a topic.
//!
//! Owns how the two are written. Never: decides what is gone; the sweep of a snapshot does.
//! Invariant: a delete has the very key that the topic has, framing included, so that compaction knows it for the same.

use walferry_avro::KeyReader;
use walferry_event::{Code, Origin, Relation};

use crate::{
    config::Tombstones,
    encode::{Encoder, change_records::Change, record_writer::beside, relations::Entry},
    error::Error,
};

impl Encoder {
    /// Reads keys as the plan of this relation writes them; nothing when it is not followed or has no key.
    pub(crate) fn key_reader(&mut self, oid: u32) -> Result<Option<KeyReader>, Error> {
        let Some(Entry::Followed(plan)) = self.writer.relations.entry(oid) else {
            return Ok(None);
        };
        let reader = plan.encode.key_schema().map(KeyReader::parse).transpose();
        reader.map_err(|error| {
            Error::failed(
                Code::TopicUnreadable,
                format!("table {}: its key: {error}", plan.name),
            )
        })
    }

    /// Writes the delete of a key that the topic has and the table has no more, and its tombstone.
    pub(crate) fn delete_key(
        &mut self,
        oid: u32,
        gone: &Gone,
        written: &KeyReader,
        own: &KeyReader,
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        let Some(Entry::Followed(plan)) = self.writer.relations.entry(oid) else {
            return Ok(());
        };
        if let Some(reason) = &plan.refused {
            return Err(Error::failed(
                Code::SchemaRefused,
                format!(
                    "table {}: what is gone from it cannot be told: the registry refused its schema: {reason}; mend the \
                 subject's compatibility level",
                    plan.name
                ),
            ));
        }
        let mut value = Vec::new();
        plan.encode
            .delete_of_key(&gone.body, written, own, origin, &mut value)
            .map_err(|error| {
                Error::failed(Code::TopicUnreadable, format!(
                    "table {}: cannot write a delete for a key found only in topic {:?}: {error}",
                    plan.name, plan.topic
                ))
            })?;
        let block = self.builder.records();
        let (key, value) = (block.append(&gone.key()), block.append(&value));
        let topic = block.topic(&plan.topic);
        block.push(topic, Some(key.clone()), Some(value), None);
        if self.config.tombstones() != Tombstones::None {
            block.push(topic, Some(key), None, None);
        }
        Ok(())
    }

    /// Writes a truncate of a table: what its topic holds ends with it.
    pub(crate) fn truncate_topic(
        &mut self,
        relation: &Relation,
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        if !self.writer.relations.follows(relation) {
            self.writer.relations.learn(relation.clone());
        }
        let put = beside(Change::Truncate, origin, None);
        match self
            .writer
            .publish(self.builder.records(), relation.oid, put)?
        {
            None => Ok(()),
            Some((table, obstacle)) => Err(Error::failed(
                Code::SnapshotRow,
                format!(
                    "table {table}: its topic cannot be truncated: {}; a snapshot cannot wait for one table",
                    obstacle.reason
                ),
            )),
        }
    }
}

/// A key of the topic that the table does not have.
pub(crate) struct Gone {
    /// Without its framing.
    pub(crate) body: Vec<u8>,
    /// The schema that it was written with.
    pub(crate) schema_id: u32,
}

impl Gone {
    pub(crate) fn read(entry: &[u8]) -> Option<Gone> {
        let (body, id) = taken_apart(entry)?;
        Some(Gone {
            body: body.to_vec(),
            schema_id: u32::from_be_bytes(id.try_into().ok()?),
        })
    }

    /// As it stands in the topic.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = vec![0];
        key.extend_from_slice(&self.schema_id.to_be_bytes());
        key.extend_from_slice(&self.body);
        key
    }
}

/// The key, and what stands behind it.
pub(crate) fn taken_apart(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = entry.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}
