//! Records in words that can be compared between two sides, and between now and a recording.
//!
//! Owns: what is replaced because it must differ; the table is in the module above. Never: hides anything else.
//! Invariant: equal canonical topics mean equal records but for what the table names.
//! Start reading at [`topic`].

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::topic::Raw;

/// One topic of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topic {
    /// Its name after the prefix.
    pub name: String,
    /// Schemas in the order of their first use.
    pub schemas: Vec<Json>,
    /// Records in order; with several partitions, in order for each key.
    pub records: Vec<Record>,
}

/// One record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Index of its schema, and the key.
    pub key: Option<(usize, Json)>,
    /// Index of its schema, and the value.
    pub value: Option<(usize, Json)>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// `hash`, `any` (no key), or that it is neither.
    pub partition: String,
    /// Position and time as they are, of a streamed record.
    pub live: Option<String>,
}

impl Record {
    /// One letter: the operation, `-` for a tombstone, `?` for a record that has none.
    pub fn letter(&self) -> &str {
        match &self.value {
            None => "-",
            Some((_, value)) => value["op"].as_str().unwrap_or("?"),
        }
    }
}

/// The words for one topic. `prefix` is replaced; `markers` keeps first and last of a snapshot.
pub fn topic(name: &str, raw: &[Raw], prefix: &str, markers: bool) -> Topic {
    let mut topic = Topic {
        name: name.to_owned(),
        ..Topic::default()
    };
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut schema_at = |json: &Json| {
        let text = json.to_string().replace(prefix, PREFIX);
        *known.entry(text.clone()).or_insert_with(|| {
            topic
                .schemas
                .push(serde_json::from_str(&text).unwrap_or(Json::Null));
            topic.schemas.len() - 1
        })
    };
    let mut words = Words {
        prefix,
        markers,
        transactions: Vec::new(),
        lsns: Vec::new(),
    };
    for raw in ordered(raw) {
        let key = raw
            .key
            .as_ref()
            .map(|(schema, value)| (schema_at(&schema.json), words.key(value)));
        let mut live = None;
        let value = raw.value.as_ref().map(|(schema, value)| {
            live = Words::live(value);
            (schema_at(&schema.json), words.value(value))
        });
        let headers = raw
            .headers
            .iter()
            .map(|(name, value)| words.header(name, value));
        topic.records.push(Record {
            key,
            value,
            headers: headers.collect(),
            partition: match raw.hashed {
                Some(true) => "hash".to_owned(),
                None => "any".to_owned(),
                Some(false) => format!("not by hash: {}", raw.partition),
            },
            live,
        });
    }
    topic
}

/// The order between partitions is not defined; the sort is stable, so that of each key stays.
fn ordered(raw: &[Raw]) -> Vec<&Raw> {
    let mut records: Vec<&Raw> = raw.iter().collect();
    let mut partitions = raw.iter().map(|it| it.partition);
    if partitions
        .next()
        .is_some_and(|first| partitions.any(|it| it != first))
    {
        records.sort_by_cached_key(|it| it.key.as_ref().map(|(_, key)| key.to_string()));
    }
    records
}

struct Words<'a> {
    prefix: &'a str,
    markers: bool,
    transactions: Vec<String>,
    lsns: Vec<String>,
}

impl Words<'_> {
    fn key(&mut self, key: &Json) -> Json {
        let mut key = self.plain(key);
        if let Some(id) = key.get_mut("id").filter(|it| is_transaction(it)) {
            *id = self.transaction(id);
        }
        key
    }

    fn value(&mut self, value: &Json) -> Json {
        let mut value = self.plain(value);
        let Some(fields) = value.as_object_mut() else {
            return value;
        };
        clocks(fields);
        if let Some(source) = fields.get("source").and_then(Json::as_object).cloned() {
            fields.insert("source".to_owned(), self.source(source));
        }
        for holder in ["transaction", ""] {
            let place = match holder {
                "" => Some(&mut *fields),
                name => fields.get_mut(name).and_then(Json::as_object_mut),
            };
            if let Some(id) = place
                .and_then(|it| it.get_mut("id"))
                .filter(|it| is_transaction(it))
            {
                *id = self.transaction(id);
            }
        }
        value
    }

    /// A whole source in one line, so that recordings are short.
    fn source(&mut self, mut source: Map<String, Json>) -> Json {
        clocks(&mut source);
        source.shift_remove("version");
        if let Some(database) = source.get_mut("db") {
            *database = json!(PREFIX);
        }
        let lsn = source.get("lsn").map(Json::to_string).unwrap_or_default();
        for (key, list) in [("txId", &mut self.transactions), ("lsn", &mut self.lsns)] {
            if let Some(value) = source.get_mut(key).filter(|it| it.is_number()) {
                *value = json!(ordinal(list, &value.to_string()));
            }
        }
        if let Some(Json::String(sequence)) = source.get_mut("sequence") {
            let parts: Vec<Json> = serde_json::from_str(sequence).unwrap_or_default();
            let own = parts
                .last()
                .and_then(Json::as_str)
                .is_some_and(|last| last == lsn);
            let first = match parts.first() {
                Some(Json::String(_)) => "commit",
                Some(Json::Null) => "null",
                _ => "?",
            };
            *sequence = format!("{first},{}", if own { "lsn" } else { "?" });
        }
        if let (false, Some(Json::String(marker))) = (self.markers, source.get_mut("snapshot"))
            && marker != "false"
        {
            *marker = "true".to_owned();
        }
        let line: Vec<String> = source
            .iter()
            .map(|(name, value)| match value {
                Json::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            })
            .collect();
        json!(line.join(" "))
    }

    fn transaction(&mut self, id: &Json) -> Json {
        let id = id.as_str().unwrap_or_default();
        let xid = id.split(':').next().unwrap_or_default();
        json!(format!("{}:lsn", ordinal(&mut self.transactions, xid)))
    }

    fn header(&self, name: &str, value: &str) -> (String, String) {
        let value = match name {
            "__debezium.context.runId" => "run".to_owned(),
            _ => value.replace(self.prefix, PREFIX),
        };
        (name.to_owned(), value)
    }

    fn plain(&self, value: &Json) -> Json {
        match value {
            Json::String(text) if text.contains(self.prefix) => {
                json!(text.replace(self.prefix, PREFIX))
            }
            Json::Array(list) => list.iter().map(|it| self.plain(it)).collect(),
            Json::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, it)| (name.clone(), self.plain(it)));
                Json::Object(fields.collect())
            }
            other => other.clone(),
        }
    }

    /// What two live sides must have in common. A snapshot's position and time are each side's own.
    fn live(value: &Json) -> Option<String> {
        let source = &value["source"];
        let fields = ["txId", "lsn", "sequence", "ts_us", "xmin"];
        (source["snapshot"] == "false" && source["txId"].is_number()).then(|| {
            let parts: Vec<String> = fields
                .iter()
                .map(|it| format!("{it}={}", source[it]))
                .collect();
            parts.join(" ")
        })
    }
}

fn is_transaction(id: &Json) -> bool {
    let parts = id.as_str().and_then(|id| id.split_once(':'));
    parts.is_some_and(|(xid, lsn)| {
        [xid, lsn]
            .iter()
            .all(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Clocks that agree, within their units, become one word.
fn clocks(fields: &mut Map<String, Json>) {
    let number = |name: &str| fields.get(name).and_then(Json::as_i64);
    let (ms, us, ns) = (number("ts_ms"), number("ts_us"), number("ts_ns"));
    let agree = us.is_none_or(|us| ms == Some(us.div_euclid(1000)))
        && ns.is_none_or(|ns| us == Some(ns.div_euclid(1000)));
    if agree {
        for name in ["ts_ms", "ts_us", "ts_ns"] {
            if let Some(value) = fields.get_mut(name).filter(|it| it.is_number()) {
                *value = json!("clock");
            }
        }
    }
}

fn ordinal(list: &mut Vec<String>, text: &str) -> usize {
    let at = list.iter().position(|it| it == text).unwrap_or_else(|| {
        list.push(text.to_owned());
        list.len() - 1
    });
    at + 1
}

const PREFIX: &str = "compat";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_differ_is_replaced_and_nothing_else() {
        let mut words = Words {
            prefix: "p1",
            markers: false,
            transactions: Vec::new(),
            lsns: Vec::new(),
        };
        let value = json!({
            "after": {"id": 7, "at": "3:4", "ts_ms": 5},
            "source": {"version": "x", "name": "p1", "db": "d", "ts_ms": 1, "ts_us": 1999, "snapshot": "first",
                       "sequence": "[null,\"900\"]", "txId": 77, "lsn": 900},
            "transaction": {"id": "77:900", "total_order": 1},
            "op": "c", "ts_ms": 5});
        let expected = json!({
            "after": {"id": 7, "at": "3:4", "ts_ms": 5},
            "source": "name=compat db=compat ts_ms=clock ts_us=clock snapshot=true sequence=null,lsn txId=1 lsn=1",
            "transaction": {"id": "1:lsn", "total_order": 1},
            "op": "c", "ts_ms": "clock"});
        assert_eq!(words.value(&value), expected);
        let torn = json!({"ts_ms": 1, "ts_us": 5000});
        assert_eq!(words.value(&torn), torn);
    }
}
