//! The rows of a topic, by the registry's schemas.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use rdkafka::message::Message;
use serde_json::Value as Json;

use super::rendered::rendered;
use walferry_testkit::process::http;
use walferry_testkit::topics::Reader;

struct Known {
    schema: Schema,
    /// Types of the row's fields.
    row: HashMap<String, Json>,
}

/// Reads rows, and remembers schemas.
pub(super) struct Observed {
    registry_url: String,
    known: HashMap<u32, Rc<Known>>,
}

impl Observed {
    pub(super) fn new(registry_url: &str) -> Observed {
        Observed {
            registry_url: registry_url.to_owned(),
            known: HashMap::new(),
        }
    }

    /// Shows the row after each change of a topic: names and texts of its fields in their order.
    pub(super) fn read(
        &mut self,
        brokers: &str,
        topic: &str,
        mut each: impl FnMut(Vec<(String, Option<String>)>) -> Result<()>,
    ) -> Result<u64> {
        Reader::open(brokers, &[topic.to_owned()])?.read_to_end(|message| {
            let value = message.payload().context("a tombstone")?;
            each(self.row(value)?)
        })
    }

    fn row(&mut self, framed: &[u8]) -> Result<Vec<(String, Option<String>)>> {
        let Some((&[0, a, b, c, d], mut body)) = framed.split_first_chunk::<5>() else {
            bail!("a record is not framed")
        };
        let known = self.schema(u32::from_be_bytes([a, b, c, d]))?;
        let value = apache_avro::from_avro_datum(&known.schema, &mut body, None)?;
        if !body.is_empty() {
            bail!("{} bytes are left over", body.len());
        }
        let Avro::Record(envelope) = value else {
            bail!("a value is no record")
        };
        let after = envelope.into_iter().find(|(name, _)| name == "after");
        let Some((_, Avro::Union(_, after))) = after else {
            bail!("a value has no row after it")
        };
        let Avro::Record(fields) = *after else {
            bail!("a row is no record")
        };
        let text = |(name, value): (String, Avro)| {
            let schema = known.row.get(&name).unwrap_or(&Json::Null);
            let text = rendered(schema, &value).with_context(|| format!("field {name}"))?;
            Ok((name, text))
        };
        fields.into_iter().map(text).collect()
    }

    fn schema(&mut self, id: u32) -> Result<Rc<Known>> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let url = format!("{}/schemas/ids/{id}", self.registry_url);
        let answer = http::get(&url, Duration::from_secs(10))?.json()?;
        let text = answer["schema"].as_str().context("no such schema")?;
        let json: Json = serde_json::from_str(text)?;
        let fields = json["fields"][0]["type"][1]["fields"].as_array();
        let named =
            |field: &Json| Some((field["name"].as_str()?.to_owned(), field["type"].clone()));
        let known = Rc::new(Known {
            schema: Schema::parse_str(text)?,
            row: fields.into_iter().flatten().filter_map(named).collect(),
        });
        self.known.insert(id, known.clone());
        Ok(known)
    }
}
