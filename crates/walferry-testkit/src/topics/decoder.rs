//! Turns records into the checker's words, by the schemas that the registry serves.
//!
//! Owns: the schemas by id. Never: the product's Avro; `apache-avro` decodes, and the registry's JSON tells what a
//! field means. A record that does not decode is an error: no unframed body may be in a topic.
//!
//! ```text
//! +------+----------------+-------------+
//! | 0x00 | schema id, be32| Avro binary |
//! +------+----------------+-------------+
//! ```

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use rdkafka::message::{BorrowedMessage, Message};
use serde_json::Value as Json;

use crate::checker::{Event, Observed, Op, Record, Row, from_avro};
use crate::process::http;

struct Known {
    schema: Schema,
    /// The fields of the record itself, and of the row inside an envelope, with their types in JSON.
    fields: HashMap<String, Json>,
    row: HashMap<String, Json>,
}

/// Decodes keys and values, and remembers schemas.
pub struct Decoder {
    registry_url: String,
    known: HashMap<u32, Rc<Known>>,
    topics: HashMap<String, Arc<str>>,
    names: HashMap<String, Arc<str>>,
}

impl Decoder {
    /// `registry_url` is the root of the Confluent API, as in the connector's configuration.
    pub fn new(registry_url: &str) -> Decoder {
        Decoder {
            registry_url: registry_url.trim_end_matches('/').to_owned(),
            known: HashMap::new(),
            topics: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// What a message says.
    pub fn decode(&mut self, message: &BorrowedMessage<'_>) -> Result<Observed> {
        let topic = self
            .topics
            .entry(message.topic().to_owned())
            .or_insert_with(|| Arc::from(message.topic()))
            .clone();
        let record = self
            .record(message.key(), message.payload())
            .with_context(|| {
                format!(
                    "{topic} partition {} offset {}",
                    message.partition(),
                    message.offset()
                )
            })?;
        Ok(Observed {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            record,
        })
    }

    /// What a record says, from its key and value.
    pub fn record(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Record> {
        let key = match key {
            Some(key) => {
                let (known, decoded) = self.avro(key).context("the key")?;
                Some(self.row(&known.fields, decoded)?)
            }
            None => None,
        };
        let Some(value) = value else {
            return Ok(Record::Tombstone { key });
        };
        let (known, decoded) = self.avro(value).context("the value")?;
        let Avro::Record(mut fields) = decoded else {
            bail!("the value is no record")
        };
        let op = take(&mut fields, "op")
            .as_ref()
            .and_then(text)
            .and_then(|code| Op::from_code(&code));
        let Some(op) = op else {
            return Ok(Record::Other);
        };
        let Some(Avro::Record(source)) = take(&mut fields, "source") else {
            bail!("the value has no source");
        };
        let number = |name: &str| {
            source
                .iter()
                .find(|(field, _)| field == name)
                .and_then(|(_, v)| long(v))
        };
        let word = |name: &str| {
            source
                .iter()
                .find(|(field, _)| field == name)
                .and_then(|(_, v)| text(v))
        };
        let (schema, table) = (
            word("schema").unwrap_or_default(),
            word("table").unwrap_or_default(),
        );
        let table = self.name(&format!("{schema}.{table}"));
        let mut side = |name: &str| match take(&mut fields, name) {
            Some(Avro::Null) | None => Ok(None),
            Some(row) => self.row(&known.row, row).map(Some),
        };
        Ok(Record::Event(Event {
            table,
            op,
            key,
            before: side("before")?,
            after: side("after")?,
            lsn: number("lsn").unwrap_or(0) as u64,
            xid: number("txId").unwrap_or(0) as u32,
            commit_us: number("ts_us").unwrap_or(0),
        }))
    }

    fn avro(&mut self, framed: &[u8]) -> Result<(Rc<Known>, Avro)> {
        let Some((&[0, a, b, c, d], mut body)) = framed.split_first_chunk::<5>() else {
            bail!(
                "not framed: {} bytes that do not begin with 0 and a schema id",
                framed.len()
            );
        };
        let id = u32::from_be_bytes([a, b, c, d]);
        let known = self.schema(id)?;
        let value = apache_avro::from_avro_datum(&known.schema, &mut body, None)
            .with_context(|| format!("does not decode with schema {id}"))?;
        if !body.is_empty() {
            bail!(
                "{} bytes are left after schema {id} is satisfied",
                body.len()
            );
        }
        Ok((known, value))
    }

    fn schema(&mut self, id: u32) -> Result<Rc<Known>> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let url = format!("{}/schemas/ids/{id}", self.registry_url);
        let answer = http::get(&url, Duration::from_secs(10))?;
        if answer.status != 200 {
            bail!("the registry answers {} for schema {id}", answer.status);
        }
        let answer = answer.json()?;
        let text = answer["schema"]
            .as_str()
            .with_context(|| format!("schema {id} has no text"))?;
        let known = Rc::new(Known::parse(text).with_context(|| format!("schema {id}"))?);
        self.known.insert(id, known.clone());
        Ok(known)
    }

    fn row(&mut self, types: &HashMap<String, Json>, value: Avro) -> Result<Row> {
        let value = if let Avro::Union(_, inner) = value {
            *inner
        } else {
            value
        };
        let Avro::Record(fields) = value else {
            bail!("a row is no record")
        };
        let mut row = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let schema = types.get(&name).unwrap_or(&Json::Null);
            let canonical = from_avro(schema, &value).with_context(|| format!("column {name}"))?;
            row.push((self.name(&name), canonical));
        }
        Ok(Row(row))
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let fresh: Arc<str> = Arc::from(name);
        self.names.insert(name.to_owned(), fresh.clone());
        fresh
    }
}

/// Whoever reads with the writer's schema needs no defaults, and apache-avro does not know those of a decimal in a union.
fn forget_defaults(schema: &mut Json) {
    match schema {
        Json::Array(parts) => parts.iter_mut().for_each(forget_defaults),
        Json::Object(map) => {
            if map.contains_key("name") && map.contains_key("type") {
                map.remove("default");
            }
            map.values_mut().for_each(forget_defaults);
        }
        _ => {}
    }
}

impl Known {
    fn parse(text: &str) -> Result<Known> {
        let json: Json = serde_json::from_str(text).context("not JSON")?;
        let mut written = json.clone();
        forget_defaults(&mut written);
        let schema = Schema::parse(&written).context("not an Avro schema")?;
        let fields = fields(&json);
        let row = ["before", "after"]
            .iter()
            .filter_map(|side| fields.get(*side))
            .flat_map(|kind| match kind {
                Json::Array(branches) => branches.clone(),
                other => vec![other.clone()],
            })
            .map(|branch| self::fields(&branch))
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        Ok(Known {
            schema,
            fields,
            row,
        })
    }
}

fn fields(record: &Json) -> HashMap<String, Json> {
    let list = record
        .get("fields")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let named = |field: &Json| {
        Some((
            field.get("name")?.as_str()?.to_owned(),
            field.get("type")?.clone(),
        ))
    };
    list.iter().filter_map(named).collect()
}

fn take(fields: &mut Vec<(String, Avro)>, name: &str) -> Option<Avro> {
    let at = fields.iter().position(|(field, _)| field == name)?;
    match fields.swap_remove(at).1 {
        Avro::Union(_, inner) => Some(*inner),
        value => Some(value),
    }
}

fn long(value: &Avro) -> Option<i64> {
    match value {
        Avro::Union(_, inner) => long(inner),
        Avro::Long(number) => Some(*number),
        Avro::Int(number) => Some(i64::from(*number)),
        _ => None,
    }
}

fn text(value: &Avro) -> Option<String> {
    match value {
        Avro::Union(_, inner) => text(inner),
        Avro::String(text) | Avro::Enum(_, text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Value;

    const VALUE: &str = r#"{"type":"record","name":"Envelope","namespace":"p.public.t","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
            {"name":"id","type":"long"},
            {"name":"price","type":["null",{"type":"bytes","scale":2,"precision":12,"connect.version":1,
                "connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal",
                "logicalType":"decimal"}],"default":null}],"connect.name":"p.public.t.Value"}],"default":null},
        {"name":"after","type":["null","Value"],"default":null},
        {"name":"source","type":{"type":"record","name":"Source","namespace":"io.x","fields":[
            {"name":"schema","type":"string"},{"name":"table","type":"string"},
            {"name":"txId","type":["null","long"]},{"name":"lsn","type":["null","long"]}]}},
        {"name":"op","type":"string"}]}"#;

    fn decoder() -> Decoder {
        let mut decoder = Decoder::new("http://nowhere");
        decoder
            .known
            .insert(7, Rc::new(Known::parse(VALUE).unwrap()));
        decoder
    }

    /// after = {id 5, price 1.10}, source = {public, t, 9, 256}, op = c.
    const BODY: &[u8] = &[
        0, 0, 0, 0, 7, 0, 2, 10, 2, 2, 110, 12, b'p', b'u', b'b', b'l', b'i', b'c', 2, b't', 2, 18,
        2, 128, 4, 2, b'c',
    ];

    #[test]
    fn an_envelope_becomes_an_event() {
        let Record::Event(event) = decoder().record(None, Some(BODY)).unwrap() else {
            panic!("no event")
        };
        assert_eq!((event.op, event.table.as_ref()), (Op::Create, "public.t"));
        assert_eq!((event.lsn, event.xid), (256, 9));
        let after = event.after.unwrap();
        assert_eq!(after.column("id"), Some(&Value::Text("5".into())));
        assert_eq!(after.column("price"), Some(&Value::Text("1.1".into())));
    }

    #[test]
    fn unframed_cut_and_overlong_bodies_are_errors() {
        assert!(decoder().record(None, Some(b"{}")).is_err());
        assert!(decoder().record(None, Some(&BODY[..10])).is_err());
        let mut long = BODY.to_vec();
        long.push(0);
        assert!(decoder().record(None, Some(&long)).is_err());
    }
}
