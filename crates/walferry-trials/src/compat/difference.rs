//! What differs between two sides of a case.
//!
//! Owns: the walk over topics, records and schemas, and the paths by which a difference is named. Never: an opinion on
//! whether a difference is right; see the reviewed list.
//!
//! | path | names |
//! |---|---|
//! | `TOPIC` | the topic is not on both sides |
//! | `TOPIC: records` | the sequences of operations differ; then single records are not compared |
//! | `TOPIC: after.COLUMN` | a value; also `key.`, `before.`, `source`, `header.NAME`, `partition` |
//! | `TOPIC: key-schema.COLUMN…` | the key's schema; `schema.` the value's: `schema.before.COLUMN.default` |
//! | `TOPIC: position` | two live sides give different positions or times |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::canonical::{Record, Topic};

/// One difference: the first place where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// See the table above.
    pub path: String,
    /// What Debezium has.
    pub debezium: String,
    /// What Walferry has.
    pub walferry: String,
}

/// All differences of a case, each path once.
pub fn between(debezium: &[Topic], walferry: &[Topic]) -> Vec<Difference> {
    let mut found = Found::default();
    let names: BTreeSet<&str> = debezium
        .iter()
        .chain(walferry)
        .map(|it| it.name.as_str())
        .collect();
    for name in names {
        let of = |side: &'_ [Topic]| side.iter().position(|it| it.name == name);
        match (of(debezium), of(walferry)) {
            (Some(left), Some(right)) => {
                found.topic = name.to_owned();
                found.topics(&debezium[left], &walferry[right]);
            }
            (left, _) => {
                let words = |there| if there { "a topic" } else { "no topic" };
                found.all.insert(
                    name.to_owned(),
                    (
                        words(left.is_some()).to_owned(),
                        words(left.is_none()).to_owned(),
                    ),
                );
            }
        }
    }
    let all = found.all.into_iter();
    all.map(|(path, (debezium, walferry))| Difference {
        path,
        debezium,
        walferry,
    })
    .collect()
}

#[derive(Default)]
struct Found {
    topic: String,
    all: BTreeMap<String, (String, String)>,
    schemas: BTreeSet<(usize, usize)>,
}

impl Found {
    fn add(&mut self, path: &str, left: impl ToString, right: impl ToString) {
        let path = format!("{}: {path}", self.topic);
        let sides = (left.to_string(), right.to_string());
        self.all.entry(path).or_insert(sides);
    }

    fn topics(&mut self, left: &Topic, right: &Topic) {
        self.schemas.clear();
        let letters = |topic: &Topic| topic.records.iter().map(Record::letter).collect::<String>();
        let same_records = letters(left) == letters(right);
        if !same_records {
            self.add("records", letters(left), letters(right));
        }
        for (a, b) in left.records.iter().zip(&right.records) {
            if same_records {
                self.records(a, b);
            }
            let of = |record: &Record, key: bool| {
                let part = if key { &record.key } else { &record.value };
                part.as_ref().map(|(schema, _)| *schema)
            };
            for (name, is_key) in [("key-schema", true), ("schema", false)] {
                if let (Some(x), Some(y)) = (of(a, is_key), of(b, is_key))
                    && self.schemas.insert((x, y))
                {
                    self.schema(name, &left.schemas[x], &right.schemas[y]);
                }
            }
            if !same_records {
                break;
            }
        }
    }

    fn records(&mut self, left: &Record, right: &Record) {
        let json =
            |part: &Option<(usize, Json)>| part.as_ref().map_or(Json::Null, |(_, it)| it.clone());
        self.values("key", &json(&left.key), &json(&right.key));
        self.values("", &json(&left.value), &json(&right.value));
        let header = |headers: &[(String, String)]| -> Json {
            let pairs = headers
                .iter()
                .map(|(name, value)| (name.clone(), Json::from(value.as_str())));
            Json::Object(pairs.collect::<Map<_, _>>())
        };
        self.values("header", &header(&left.headers), &header(&right.headers));
        if left.partition != right.partition {
            self.add("partition", &left.partition, &right.partition);
        }
        if let (Some(a), Some(b)) = (&left.live, &right.live)
            && a != b
        {
            self.add("position", a, b);
        }
    }

    fn values(&mut self, path: &str, left: &Json, right: &Json) {
        if left == right {
            return;
        }
        match (left, right) {
            (Json::Object(a), Json::Object(b)) => {
                let names: Vec<&String> = a
                    .keys()
                    .chain(b.keys().filter(|it| !a.contains_key(*it)))
                    .collect();
                for name in names {
                    let (x, y) = (a.get(name), b.get(name));
                    let inner = join(path, name);
                    // Rows go by column, columns are whole.
                    match (x, y) {
                        (Some(x), Some(y)) if !path.contains('.') => self.values(&inner, x, y),
                        (Some(x), Some(y)) if x == y => {}
                        (x, y) => self.add(&inner, shown(x), shown(y)),
                    }
                }
            }
            _ => self.add(if path.is_empty() { "value" } else { path }, left, right),
        }
    }

    /// Schemas are compared with the order of their properties.
    fn schema(&mut self, path: &str, left: &Json, right: &Json) {
        if written(left) == written(right) {
            return;
        }
        match (left, right) {
            (Json::Object(a), Json::Object(b)) => {
                let names = a.keys().chain(b.keys().filter(|it| !a.contains_key(*it)));
                let mut same = true;
                for name in names {
                    let inner = match name.as_str() {
                        "type" | "fields" => path.to_owned(),
                        name => join(path, name),
                    };
                    match (a.get(name), b.get(name)) {
                        (Some(x), Some(y)) => {
                            same &= written(x) == written(y);
                            self.schema(&inner, x, y);
                        }
                        (x, y) => {
                            same = false;
                            self.add(&join(path, name), shown(x), shown(y));
                        }
                    }
                }
                if same {
                    self.add(&join(path, "(order)"), left, right);
                }
            }
            (Json::Array(a), Json::Array(b)) => self.lists(path, a, b),
            _ => self.add(path, left, right),
        }
    }

    fn lists(&mut self, path: &str, left: &[Json], right: &[Json]) {
        let name = |it: &Json| it.get("name").and_then(Json::as_str).map(str::to_owned);
        let is_fields = left
            .iter()
            .chain(right)
            .all(|it| name(it).is_some() && it.get("type").is_some());
        if !is_fields && left.len() != right.len() {
            let (a, b) = (Json::from(left), Json::from(right));
            return self.add(path, a, b);
        }
        if !is_fields {
            for (a, b) in left.iter().zip(right) {
                self.schema(path, a, b);
            }
            return;
        }
        let order = |side: &[Json]| side.iter().filter_map(name).collect::<Vec<_>>();
        let (a, b) = (order(left), order(right));
        for field in a.iter().chain(b.iter().filter(|it| !a.contains(it))) {
            let of = |side: &'_ [Json]| {
                side.iter()
                    .find(|it| name(it).as_ref() == Some(field))
                    .cloned()
            };
            let inner = join(path, field);
            match (of(left), of(right)) {
                (Some(x), Some(y)) => self.schema(&inner, &x, &y),
                (x, y) => self.add(&inner, shown(x.as_ref()), shown(y.as_ref())),
            }
        }
        let common = |list: &[String], other: &[String]| {
            list.iter()
                .filter(|it| other.contains(it))
                .cloned()
                .collect::<Vec<_>>()
        };
        if common(&a, &b) != common(&b, &a) {
            self.add(&join(path, "(order)"), a.join(","), b.join(","));
        }
    }
}

/// With the order of properties, which equality does not see.
fn written(schema: &Json) -> String {
    schema.to_string()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        return name.to_owned();
    }
    format!("{path}.{name}")
}

fn shown(value: Option<&Json>) -> String {
    value.map_or("nothing".to_owned(), Json::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn topic(schema: Json, value: Json) -> Vec<Topic> {
        vec![Topic {
            name: "t".to_owned(),
            schemas: vec![schema],
            records: vec![Record {
                value: Some((0, value)),
                ..Record::default()
            }],
        }]
    }

    #[test]
    fn values_and_schemas_are_named_by_their_path() {
        let row = |column: Json| {
            json!({"type": "record", "fields": [{"name": "before", "type": ["null",
            {"type": "record", "name": "Value", "fields": [{"name": "a", "type": column}]}]}]})
        };
        let left = topic(row(json!("int")), json!({"op": "c", "after": {"a": 1}}));
        let right = topic(
            row(json!({"type": "int", "x": 1})),
            json!({"op": "c", "after": {"a": 2}}),
        );
        let paths: Vec<String> = between(&left, &right)
            .into_iter()
            .map(|it| it.path)
            .collect();
        assert_eq!(paths, ["t: after.a", "t: schema.before.a"]);
        assert!(between(&left, &left).is_empty());
        assert_eq!(between(&left, &[])[0].path, "t");
    }

    #[test]
    fn the_order_of_properties_counts() {
        let side = |text: &str| topic(serde_json::from_str(text).unwrap(), json!({}));
        let (left, right) = (side(r#"{"a":1,"b":2}"#), side(r#"{"b":2,"a":1}"#));
        assert_eq!(between(&left, &right)[0].path, "t: schema.(order)");
    }
}
