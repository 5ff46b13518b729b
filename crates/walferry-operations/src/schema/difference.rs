//! What differs between two Avro schemas, field by field, for people.
//!
//! Owns the walk over both. Never judges compatibility: the registry does.
//! Start reading at `between`.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

/// What has become of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its type, default or an attribute is another.
    Changed,
    /// The fields of a record stand in another order.
    Reordered,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub kind: Kind,
    /// `Record.field`, or the record.
    pub field: String,
    /// What the field was.
    pub from: Option<Json>,
    /// What it is.
    pub to: Option<Json>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            field, from, to, ..
        } = self;
        match (self.kind, from, to) {
            (Kind::Added, _, Some(to)) => write!(f, "+ {field}: {}", words(to)),
            (Kind::Removed, Some(from), _) => write!(f, "- {field}: {}", words(from)),
            (Kind::Changed, Some(from), Some(to)) => {
                write!(f, "~ {field}: {} → {}", words(from), words(to))
            }
            (Kind::Reordered, ..) => write!(f, "~ {field}: the fields stand in another order"),
            _ => write!(f, "~ {field}"),
        }
    }
}

/// A field without its name: its type alone when there is nothing else to tell.
fn words(field: &Json) -> String {
    match field.as_object() {
        Some(map) if map.len() == 1 => map.values().map(Json::to_string).collect(),
        _ => field.to_string(),
    }
}

/// A record of a schema: its name, what it says of itself, and its fields.
struct Record {
    name: String,
    attributes: Json,
    fields: Vec<(String, Json)>,
}

/// The differences from `old` to `new`; none when they say the same.
pub(super) fn between(old: &Json, new: &Json) -> Vec<Difference> {
    if old == new {
        return Vec::new();
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    gather(old, &mut before);
    gather(new, &mut after);
    let mut found = Vec::new();
    for record in &after {
        match before.iter().find(|it| it.name == record.name) {
            Some(was) => compare(was, record, &mut found),
            None => found.extend(record.fields.iter().map(|(name, to)| Difference {
                kind: Kind::Added,
                field: format!("{}.{name}", record.name),
                from: None,
                to: Some(to.clone()),
            })),
        }
    }
    let gone = before
        .iter()
        .filter(|was| !after.iter().any(|it| it.name == was.name));
    found.extend(gone.map(|record| Difference {
        kind: Kind::Removed,
        field: record.name.clone(),
        from: Some(record.attributes.clone()),
        to: None,
    }));
    if found.is_empty() {
        // Not records, or not as they were: the whole is told.
        found.push(Difference {
            kind: Kind::Changed,
            field: "schema".into(),
            from: Some(flat(old)),
            to: Some(flat(new)),
        });
    }
    found
}

fn compare(was: &Record, is: &Record, found: &mut Vec<Difference>) {
    let path = |name: &str| format!("{}.{name}", is.name);
    let old = |name: &str| was.fields.iter().find(|(it, _)| it == name);
    let new = |name: &str| is.fields.iter().any(|(it, _)| it == name);
    if was.attributes != is.attributes {
        found.push(Difference {
            kind: Kind::Changed,
            field: is.name.clone(),
            from: Some(was.attributes.clone()),
            to: Some(is.attributes.clone()),
        });
    }
    for (name, to) in &is.fields {
        let from = old(name).map(|(_, from)| from);
        let kind = match from {
            None => Kind::Added,
            Some(from) if from != to => Kind::Changed,
            Some(_) => continue,
        };
        found.push(Difference {
            kind,
            field: path(name),
            from: from.cloned(),
            to: Some(to.clone()),
        });
    }
    for (name, from) in was.fields.iter().filter(|(name, _)| !new(name)) {
        found.push(Difference {
            kind: Kind::Removed,
            field: path(name),
            from: Some(from.clone()),
            to: None,
        });
    }
    let kept = was.fields.iter().map(|(name, _)| name).filter(|it| new(it));
    let stand = is.fields.iter().map(|(name, _)| name);
    if !kept.eq(stand.filter(|it| old(it).is_some())) {
        found.push(Difference {
            kind: Kind::Reordered,
            field: is.name.clone(),
            from: None,
            to: None,
        });
    }
}

/// Every record of a schema, each where it is defined.
fn gather(schema: &Json, records: &mut Vec<Record>) {
    match schema {
        Json::Array(branches) => branches.iter().for_each(|it| gather(it, records)),
        Json::Object(map) if map.get("fields").is_some_and(Json::is_array) => {
            let mut attributes = map.clone();
            attributes.remove("fields");
            let fields = map["fields"].as_array().into_iter().flatten();
            records.push(Record {
                name: text(map, "name"),
                attributes: Json::Object(attributes),
                fields: fields.clone().filter_map(field).collect(),
            });
            fields.for_each(|field| gather(&field["type"], records));
        }
        Json::Object(map) => {
            for part in ["type", "items", "values"] {
                map.get(part).into_iter().for_each(|it| gather(it, records));
            }
        }
        _ => {}
    }
}

/// A field's name, and the field without it.
fn field(field: &Json) -> Option<(String, Json)> {
    let mut map = field.as_object()?.clone();
    let name = text(&map, "name");
    map.remove("name");
    let kind = map.get("type").map(flat)?;
    map.insert("type".into(), kind);
    Some((name, Json::Object(map)))
}

/// A type in which records are named and not told.
fn flat(kind: &Json) -> Json {
    match kind {
        Json::Array(branches) => branches.iter().map(flat).collect(),
        Json::Object(map) if map.get("fields").is_some_and(Json::is_array) => {
            text(map, "name").into()
        }
        Json::Object(map) => {
            let part = |(key, value): (&String, &Json)| match key.as_str() {
                "type" | "items" | "values" => (key.clone(), flat(value)),
                _ => (key.clone(), value.clone()),
            };
            Json::Object(map.iter().map(part).collect())
        }
        other => other.clone(),
    }
}

fn text(map: &Map<String, Json>, key: &str) -> String {
    map.get(key)
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(fields: Json) -> Json {
        json!({"type": "record", "name": "Envelope", "fields": [
            {"name": "before", "type": ["null", {"type": "record", "name": "Value", "fields": fields}], "default": null},
            {"name": "after", "type": ["null", "Value"], "default": null},
        ]})
    }

    fn told(old: Json, new: Json) -> Vec<String> {
        let found = between(&envelope(old), &envelope(new));
        found.iter().map(Difference::to_string).collect()
    }

    #[test]
    fn each_field_tells_what_has_become_of_it() {
        let id = json!({"name": "id", "type": "int"});
        let note = json!({"name": "note", "type": ["null", "string"], "default": null});
        let text = json!({"name": "note", "type": "string"});
        for (old, new, expected) in [
            (json!([id]), json!([id]), &[][..]),
            (
                json!([id]),
                json!([id, text]),
                &["+ Value.note: \"string\""],
            ),
            (
                json!([id, text]),
                json!([id]),
                &["- Value.note: \"string\""],
            ),
            (
                json!([id, text]),
                json!([id, note]),
                &["~ Value.note: \"string\" → {\"default\":null,\"type\":[\"null\",\"string\"]}"],
            ),
            (
                json!([id, text]),
                json!([text, id]),
                &["~ Value: the fields stand in another order"],
            ),
        ] {
            assert_eq!(told(old.clone(), new.clone()), expected, "{old} {new}");
        }
    }

    #[test]
    fn schemas_that_are_no_records_are_told_whole() {
        let found = between(&json!("string"), &json!("long"));
        assert_eq!(found[0].to_string(), "~ schema: \"string\" → \"long\"");
        assert!(between(&json!("string"), &json!("string")).is_empty());
    }
}
