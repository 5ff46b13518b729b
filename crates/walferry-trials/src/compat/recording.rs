//! Debezium's answers, kept: one file for each group, so that tests compare without it.
//!
//! Owns: the files `compat/recorded/GROUP.json`. Never: positions and times; the canonical words have none.
//! A record that is in every schema (`Source`, `block`) stands once, at the head. A line is a schema or a record, so
//! that a change of Debezium's is a readable difference.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value as Json, json};

use super::canonical::{Record, Topic};
use super::corpus;
use walferry_stack::DEBEZIUM_VERSION;

/// A group's cases with their topics, in their order.
pub type Recorded = Vec<(String, Vec<Topic>)>;

fn path(group: &str) -> PathBuf {
    corpus::folder()
        .join("recorded")
        .join(format!("{group}.json"))
}

/// Writes a group's recording.
pub fn save(group: &str, cases: &Recorded) -> Result<()> {
    let path = path(group);
    fs::create_dir_all(path.parent().unwrap_or(&path))?;
    fs::write(&path, written(cases)).with_context(|| path.display().to_string())
}

/// Reads a group's recording.
pub fn load(group: &str) -> Result<Recorded> {
    let path = path(group);
    let again = || {
        format!(
            "{}; `cargo xtask compat --record` writes it",
            path.display()
        )
    };
    let text = fs::read_to_string(&path).with_context(again)?;
    read(&text).with_context(again)
}

fn written(cases: &Recorded) -> String {
    let mut shared = Map::new();
    let mut body = String::new();
    for (at, (case, topics)) in cases.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(body, "{comma}\n{}: {{", json!(case));
        for (at, topic) in topics.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(body, "{comma}\n {}: {{\"schemas\": [", json!(topic.name));
            let schemas = topic
                .schemas
                .iter()
                .map(|it| shortened(it, &mut shared).to_string());
            let _ = write!(body, "{}], \"records\": [", lines(schemas));
            let _ = write!(
                body,
                "{}]}}",
                lines(topic.records.iter().map(|it| record(it).to_string()))
            );
        }
        body.push('}');
    }
    let head = json!(DEBEZIUM_VERSION);
    format!(
        "{{\"debezium\": {head},\n\"shared\": {},\n\"cases\": {{{body}\n}}}}\n",
        Json::Object(shared)
    )
}

fn lines(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|it| format!("\n  {it}")).collect();
    items.join(",")
}

fn record(record: &Record) -> Json {
    let mut json = Map::new();
    for (name, part) in [("k", &record.key), ("v", &record.value)] {
        if let Some((schema, value)) = part {
            json.insert(name.to_owned(), json!([schema, value]));
        }
    }
    if !record.headers.is_empty() {
        json.insert("h".to_owned(), json!(record.headers));
    }
    json.insert("p".to_owned(), json!(record.partition));
    Json::Object(json)
}

fn shortened(schema: &Json, shared: &mut Map<String, Json>) -> Json {
    match schema {
        Json::Object(it) => {
            let name = it.get("name").and_then(Json::as_str).unwrap_or_default();
            if SHARED.contains(&name) && it.contains_key("fields") {
                let known = shared
                    .entry(format!("${name}"))
                    .or_insert_with(|| schema.clone());
                let (known, own) = (known.to_string(), schema.to_string());
                if known == own {
                    return json!(format!("${name}"));
                }
            }
            let fields = it
                .iter()
                .map(|(key, it)| (key.clone(), shortened(it, shared)));
            Json::Object(fields.collect())
        }
        Json::Array(list) => list.iter().map(|it| shortened(it, shared)).collect(),
        other => other.clone(),
    }
}

fn restored(schema: &Json, shared: &Json) -> Json {
    match schema {
        Json::String(name) if name.starts_with('$') => {
            shared.get(name.as_str()).unwrap_or(schema).clone()
        }
        Json::Object(it) => {
            let fields = it
                .iter()
                .map(|(key, it)| (key.clone(), restored(it, shared)));
            Json::Object(fields.collect())
        }
        Json::Array(list) => list.iter().map(|it| restored(it, shared)).collect(),
        other => other.clone(),
    }
}

fn read(text: &str) -> Result<Recorded> {
    let file: Json = serde_json::from_str(text)?;
    let cases = file["cases"].as_object().context("no cases")?;
    let mut recorded = Vec::new();
    for (case, topics) in cases {
        let topics = topics.as_object().context("no topics")?;
        let topics = topics
            .iter()
            .map(|(name, it)| topic(name, it, &file["shared"]));
        recorded.push((case.clone(), topics.collect::<Result<_>>()?));
    }
    Ok(recorded)
}

fn topic(name: &str, json: &Json, shared: &Json) -> Result<Topic> {
    let schemas = json["schemas"].as_array().context("no schemas")?;
    let records = json["records"].as_array().context("no records")?;
    let part = |json: &Json| -> Option<(usize, Json)> {
        let at = usize::try_from(json[0].as_u64()?).ok()?;
        Some((at, json[1].clone()))
    };
    let records = records.iter().map(|it| Record {
        key: part(&it["k"]),
        value: part(&it["v"]),
        headers: serde_json::from_value(it["h"].clone()).unwrap_or_default(),
        partition: it["p"].as_str().unwrap_or_default().to_owned(),
        live: None,
    });
    Ok(Topic {
        name: name.to_owned(),
        schemas: schemas.iter().map(|it| restored(it, shared)).collect(),
        records: records.collect(),
    })
}

const SHARED: &[&str] = &["Source", "block"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let source = json!({"type": "record", "name": "Source", "fields": []});
        let schema = json!({"type": "record", "fields": [{"name": "source", "type": source}]});
        let topic = Topic {
            name: "t".to_owned(),
            schemas: vec![schema.clone(), schema],
            records: vec![
                Record {
                    key: Some((1, json!({"id": 1}))),
                    value: Some((0, json!({"op": "c"}))),
                    headers: vec![("a".to_owned(), "b".to_owned())],
                    partition: "hash".to_owned(),
                    live: None,
                },
                Record::default(),
            ],
        };
        let cases = vec![("one".to_owned(), vec![topic]), ("two".to_owned(), vec![])];
        let text = written(&cases);
        assert_eq!(text.matches("\"Source\"").count(), 1, "{text}");
        assert_eq!(read(&text).unwrap(), cases);
    }
}
