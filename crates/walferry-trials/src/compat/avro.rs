//! Avro bytes to JSON, by a schema that is itself kept as JSON.
//!
//! Owns: a small decoder of its own. It exists beside the library's because some of Debezium's schemas are not valid
//! Avro (names with `-`, a text as the default of a float), and they must be shown, not refused. Bytes come out as
//! `0x…`, numbers with a fraction and NaN as words; a schema's logical types are not applied. Never: trusts a length.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json, json};

/// A schema with its names resolved.
#[derive(Clone, Debug)]
pub struct Schema {
    /// As the registry gives it, property order included.
    pub json: Json,
    names: HashMap<String, Json>,
}

impl Schema {
    /// Reads a schema's text.
    pub fn parse(text: &str) -> Result<Schema> {
        let json: Json = serde_json::from_str(text).context("a schema is not JSON")?;
        let mut names = HashMap::new();
        collect(&json, "", &mut names);
        Ok(Schema { json, names })
    }

    /// Decodes one whole body.
    pub fn decode(&self, mut body: &[u8]) -> Result<Json> {
        let value = self.value(&self.json, "", &mut body)?;
        if !body.is_empty() {
            bail!("{} bytes are left over", body.len());
        }
        Ok(value)
    }

    fn value(&self, schema: &Json, space: &str, body: &mut &[u8]) -> Result<Json> {
        match schema {
            Json::Array(branches) => {
                let at = usize::try_from(long(body)?)?;
                let branch = branches.get(at).context("a union has no such branch")?;
                self.value(branch, space, body)
            }
            Json::String(name) => self.named(name, space, body),
            Json::Object(it) => self.complex(it, space, body),
            other => bail!("{other} is no schema"),
        }
    }

    fn named(&self, name: &str, space: &str, body: &mut &[u8]) -> Result<Json> {
        Ok(match name {
            "null" => Json::Null,
            "boolean" => Json::Bool(take(body, 1)?[0] != 0),
            "int" | "long" => json!(long(body)?),
            "float" => {
                let bytes = take(body, 4)?.try_into().unwrap_or_default();
                // By its shortest text, so that 3.3 is shown as 3.3.
                let number = f32::from_le_bytes(bytes);
                float(number.to_string().parse().unwrap_or(f64::from(number)))
            }
            "double" => {
                let bytes = take(body, 8)?.try_into().unwrap_or_default();
                float(f64::from_le_bytes(bytes))
            }
            "bytes" => {
                let length = usize::try_from(long(body)?)?;
                json!(hex(take(body, length)?))
            }
            "string" => {
                let length = usize::try_from(long(body)?)?;
                json!(String::from_utf8_lossy(take(body, length)?))
            }
            other => {
                let full = qualified(other, space);
                let schema = self.names.get(&full);
                let schema = schema.with_context(|| format!("there is no type {full}"))?;
                self.value(schema, space, body)?
            }
        })
    }

    fn complex(&self, it: &Map<String, Json>, space: &str, body: &mut &[u8]) -> Result<Json> {
        let kind = it.get("type").context("a schema has no type")?;
        let space = &namespace(it, space);
        match kind.as_str() {
            Some("record") => {
                let mut record = Map::new();
                for field in it["fields"].as_array().into_iter().flatten() {
                    let name = field["name"].as_str().unwrap_or_default();
                    let value = self
                        .value(&field["type"], space, body)
                        .with_context(|| format!("field {name}"))?;
                    record.insert(name.to_owned(), value);
                }
                Ok(Json::Object(record))
            }
            Some("array") => {
                let mut list = Vec::new();
                blocks(body, |body| {
                    list.push(self.value(&it["items"], space, body)?);
                    Ok(())
                })?;
                Ok(Json::Array(list))
            }
            Some("map") => {
                let mut entries = Vec::new();
                blocks(body, |body| {
                    let key = self.named("string", space, body)?;
                    let key = key.as_str().unwrap_or_default().to_owned();
                    entries.push((key, self.value(&it["values"], space, body)?));
                    Ok(())
                })?;
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Ok(Json::Object(entries.into_iter().collect()))
            }
            Some("enum") => {
                let at = usize::try_from(long(body)?)?;
                Ok(it["symbols"][at].clone())
            }
            Some("fixed") => {
                let size = it["size"].as_u64().context("a fixed has no size")?;
                Ok(json!(hex(take(body, usize::try_from(size)?)?)))
            }
            _ => self.value(kind, space, body),
        }
    }
}

fn collect(schema: &Json, space: &str, names: &mut HashMap<String, Json>) {
    match schema {
        Json::Array(branches) => branches.iter().for_each(|it| collect(it, space, names)),
        Json::Object(it) => {
            let inner = namespace(it, space);
            let is_named = matches!(it["type"].as_str(), Some("record" | "enum" | "fixed"));
            if let (true, Some(name)) = (is_named, it.get("name").and_then(Json::as_str)) {
                names.insert(qualified(name, &inner), schema.clone());
            }
            for key in ["type", "items", "values"] {
                if let Some(inner_schema) = it.get(key) {
                    collect(inner_schema, &inner, names);
                }
            }
            let fields = it.get("fields").and_then(Json::as_array);
            for field in fields.into_iter().flatten() {
                collect(&field["type"], &inner, names);
            }
        }
        _ => {}
    }
}

fn namespace(it: &Map<String, Json>, outer: &str) -> String {
    if let Some(space) = it.get("namespace").and_then(Json::as_str) {
        return space.to_owned();
    }
    match it.get("name").and_then(Json::as_str) {
        Some(name) if name.contains('.') => name
            .rsplit_once('.')
            .map_or("", |(space, _)| space)
            .to_owned(),
        _ => outer.to_owned(),
    }
}

fn qualified(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() {
        return name.to_owned();
    }
    format!("{space}.{name}")
}

fn blocks(body: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Result<()>) -> Result<()> {
    loop {
        let mut count = long(body)?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            count = count.saturating_neg();
            long(body)?;
        }
        for _ in 0..count {
            item(body)?;
        }
    }
}

fn long(body: &mut &[u8]) -> Result<i64> {
    let mut number = 0_u64;
    for at in 0..10 {
        let byte = take(body, 1)?[0];
        number |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    bail!("a number has no end")
}

fn take<'a>(body: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, rest) = body
        .split_at_checked(length)
        .context("the body is cut short")?;
    *body = rest;
    Ok(taken)
}

/// As text, because a number with a fraction may come back from JSON as its neighbour.
fn float(number: f64) -> Json {
    if number.is_finite() {
        return json!(json!(number).to_string());
    }
    json!(number.to_string())
}

/// Bytes as `0x` and hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_unions_and_arrays_are_decoded() {
        let schema = Schema::parse(
            r#"{"type":"record","name":"E","namespace":"a-b","fields":[
               {"name":"x","type":["null",{"type":"record","name":"V","fields":[
                  {"name":"f","type":{"type":"float","connect.default":"NaN"}}]}]},
               {"name":"y","type":["null","V"]},
               {"name":"l","type":{"type":"array","items":["null","bytes"]}}]}"#,
        )
        .unwrap();
        let body = [
            2, 0x33, 0x33, 0x53, 0x40, 2, 0, 0, 0xC0, 0x7F, 4, 0, 2, 4, 1, 255, 0,
        ];
        let expected = json!({"x": {"f": "3.3"}, "y": {"f": "NaN"}, "l": [null, "0x01ff"]});
        assert_eq!(schema.decode(&body).unwrap(), expected);
        assert!(schema.decode(&body[..12]).is_err());
    }
}
