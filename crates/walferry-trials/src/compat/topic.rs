//! What a side has published, as bytes with their schemas.
//!
//! Owns: the reading of all topics of a prefix, the schemas by id, the hash that picks a partition. Never: an opinion of
//! what a record should be.
//! Start reading at [`Topics::read`].

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde_json::Value as Json;

use super::avro::Schema;
use walferry_testkit::process::http;
use walferry_testkit::topics::{Ends, Reader};

/// A record as it lies in its topic, decoded.
pub struct Raw {
    /// Of the topic.
    pub partition: i32,
    /// Whether the key's bytes hash to the partition; none without a key.
    pub hashed: Option<bool>,
    /// The key and its schema.
    pub key: Option<(Rc<Schema>, Json)>,
    /// The value and its schema; none for a tombstone.
    pub value: Option<(Rc<Schema>, Json)>,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
}

/// Reads topics, and remembers schemas.
pub struct Topics<'a> {
    brokers: &'a str,
    registry: &'a str,
    schemas: HashMap<u32, Rc<Schema>>,
}

impl<'a> Topics<'a> {
    /// `registry` is the root of the Confluent interface.
    pub fn new(brokers: &'a str, registry: &'a str) -> Topics<'a> {
        Topics {
            brokers,
            registry,
            schemas: HashMap::new(),
        }
    }

    /// All topics that begin with `prefix` and a dot, without these, each with its records; a partition after another.
    pub fn read(&mut self, prefix: &str) -> Result<Vec<(String, Vec<Raw>)>> {
        let start = format!("{prefix}.");
        let ends = Ends::open(self.brokers)?;
        let mut names = ends.topics(&start)?;
        // Dead letters are JSON; the record that is missing elsewhere tells of them.
        names.retain(|name| !name.ends_with(".dead_letters"));
        names.sort();
        let mut messages: HashMap<String, Vec<Framed>> = HashMap::new();
        Reader::open(self.brokers, &names)?.read_to_end(|message| {
            let framed = Framed::new(message)?;
            messages
                .entry(message.topic().to_owned())
                .or_default()
                .push(framed);
            Ok(())
        })?;
        let mut all = Vec::new();
        for name in names {
            let partitions = ends.partitions(&name)?;
            let mut framed = messages.remove(&name).unwrap_or_default();
            framed.sort_by_key(|it| (it.partition, it.offset));
            let records: Result<Vec<Raw>> = framed
                .into_iter()
                .map(|it| self.raw(it, partitions))
                .collect();
            let records = records.with_context(|| format!("topic {name}"))?;
            all.push((name[start.len()..].to_owned(), records));
        }
        Ok(all)
    }

    fn raw(&mut self, framed: Framed, partitions: i32) -> Result<Raw> {
        let hashed = framed
            .key
            .as_deref()
            .map(|key| murmur2(key) % partitions == framed.partition);
        Ok(Raw {
            partition: framed.partition,
            hashed,
            key: self.decoded(framed.key.as_deref()).context("key")?,
            value: self.decoded(framed.value.as_deref()).context("value")?,
            headers: framed.headers,
        })
    }

    fn decoded(&mut self, bytes: Option<&[u8]>) -> Result<Option<(Rc<Schema>, Json)>> {
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let Some((&[0, a, b, c, d], body)) = bytes.split_first_chunk::<5>() else {
            bail!("not framed");
        };
        let id = u32::from_be_bytes([a, b, c, d]);
        let schema = self.schema(id)?;
        let value = schema
            .decode(body)
            .with_context(|| format!("schema {id}"))?;
        Ok(Some((schema, value)))
    }

    fn schema(&mut self, id: u32) -> Result<Rc<Schema>> {
        if let Some(known) = self.schemas.get(&id) {
            return Ok(known.clone());
        }
        let url = format!("{}/schemas/ids/{id}", self.registry);
        let answer = http::get(&url, Duration::from_secs(10))?.json()?;
        let text = answer["schema"].as_str();
        let text = text.with_context(|| format!("the registry has no schema {id}"))?;
        let schema = Rc::new(Schema::parse(text)?);
        self.schemas.insert(id, schema.clone());
        Ok(schema)
    }
}

struct Framed {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
}

impl Framed {
    fn new(message: &BorrowedMessage<'_>) -> Result<Framed> {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|it| (it.key.to_owned(), text(it.value)))
                .collect()
        });
        Ok(Framed {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        })
    }
}

/// The hash by which Kafka's own producer picks a partition, without its sign.
fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (at, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    ((hash ^ (hash >> 15)) & 0x7FFF_FFFF) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_kafkas() {
        // From the tests of Kafka's own client.
        let cases: [(&[u8], i32); 4] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text), expected & 0x7FFF_FFFF);
        }
    }
}
