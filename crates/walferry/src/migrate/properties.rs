//! A connector's properties, from what Kafka Connect and Debezium Server read.
//!
//! Owns the two forms: JSON (as it is, or in the `config` of a connector) and Java properties. A library for the latter would
//! bring a machine for regular expressions and one for character sets along.
//! Source: `java.util.Properties.load`; Kafka Connect REST API, "POST /connectors".

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Debezium Server's names of what the connector, the producer and the worker are told.
const SERVER: [(&str, &str); 6] = [
    ("debezium.source.", ""),
    ("debezium.sink.kafka.producer.", "producer.override."),
    ("debezium.format.key", "key.converter"),
    ("debezium.format.value", "value.converter"),
    ("debezium.transforms", "transforms"),
    ("debezium.predicates", "predicates"),
];

/// The converters, and what Debezium Server takes where it is told of none.
const SERVER_FORMAT: [(&str, &str); 2] = [("key.converter", "json"), ("value.converter", "json")];

/// Reads either form. The names are those of a connector.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>> {
    let pairs = match text.trim_start().starts_with('{') {
        true => from_json(text)?,
        false => from_properties(text)?,
    };
    let by_server = pairs.iter().any(|(name, _)| name.starts_with("debezium."));
    let mut named: BTreeMap<String, String> = pairs
        .into_iter()
        .map(|(name, value)| {
            let server = SERVER
                .iter()
                .find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)));
            (server.unwrap_or(name), value.trim().to_owned())
        })
        .collect();
    for (name, format) in SERVER_FORMAT.iter().filter(|_| by_server) {
        named
            .entry((*name).to_owned())
            .or_insert_with(|| (*format).to_owned());
    }
    Ok(named)
}

fn from_json(text: &str) -> Result<Vec<(String, String)>> {
    let mut object: Map<String, Value> =
        serde_json::from_str(text).context("it begins as JSON and is none")?;
    let mut name = None;
    if let Some(Value::Object(config)) = object.get_mut("config") {
        let config = std::mem::take(config);
        name = object.remove("name");
        object = config;
    }
    let text_of = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        _ => bail!("{name:?} is neither a text, nor a number, nor true or false"),
    };
    let name = name.map(|name| ("name".to_owned(), name));
    name.into_iter().chain(object).map(text_of).collect()
}

fn from_properties(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&line) {
            line.pop();
            let Some((_, next)) = lines.next() else {
                break;
            };
            line.push_str(next.trim_start());
        }
        let pair = pair(&line).with_context(|| format!("line {}", number + 1))?;
        pairs.push(pair);
    }
    Ok(pairs)
}

/// A line with an odd number of backslashes at its end.
fn goes_on(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// `name = value`, `name: value` or `name value`, with the escapes of both undone.
fn pair(line: &str) -> Result<(String, String)> {
    let (mut name, mut value) = (String::new(), String::new());
    let mut rest = line.chars();
    let mut ended = false;
    while let Some(c) = rest.next() {
        let part = if ended { &mut value } else { &mut name };
        match c {
            '\\' => part.push(escaped(&mut rest)?),
            '=' | ':' | ' ' | '\t' if !ended => {
                ended = true;
                let after = rest.as_str().trim_start();
                let spaced = c == ' ' || c == '\t';
                let after = match spaced.then(|| after.strip_prefix(['=', ':'])).flatten() {
                    Some(after) => after.trim_start(),
                    None => after,
                };
                rest = after.chars();
            }
            c => part.push(c),
        }
    }
    if name.is_empty() {
        bail!("it has a value and no name");
    }
    Ok((name, value))
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Result<char> {
    Ok(match rest.next().unwrap_or('\\') {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'f' => '\u{c}',
        'u' => {
            let digits = rest.as_str().get(..4).unwrap_or_default();
            let code = u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32);
            let code = code.with_context(|| format!("\\u{digits} is no character"))?;
            *rest = rest.as_str()[4..].chars();
            code
        }
        c => c,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(text: &str) -> Vec<(String, String)> {
        read(text).unwrap().into_iter().collect()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn both_forms_of_json_are_read() {
        let pairs = expected(&[
            ("name", "shop"),
            ("slot.drop.on.stop", "false"),
            ("tasks.max", "1"),
        ]);
        let config = r#"{"tasks.max": 1, "slot.drop.on.stop": false}"#;
        let connector = format!(r#"{{"name": "shop", "config": {config}}}"#);
        assert_eq!(read_pairs(&connector), pairs);
        assert_eq!(read_pairs(config), pairs[1..]);
        assert!(read(r#"{"a": [1]}"#).is_err());
        assert!(read("{").is_err());
    }

    #[test]
    fn properties_are_read_with_their_escapes() {
        let text = "# a comment\n\n a = 1\nb:two words \nc three\nd=x\\\n   y\ne=\\u0041\\\\.b\nf\nh i = \\ j";
        let pairs = [
            ("a", "1"),
            ("b", "two words"),
            ("c", "three"),
            ("d", "xy"),
            ("e", "A\\.b"),
            ("f", ""),
        ];
        let mut pairs = expected(&pairs);
        pairs.push(("h".to_owned(), "i =  j".to_owned()));
        assert_eq!(read_pairs(text), pairs);
        assert!(read("a=\\u00").is_err());
        assert!(read("= 1").is_err());
    }

    #[test]
    fn the_names_of_debezium_server_are_those_of_a_connector() {
        let text = "debezium.source.slot.name=s\ndebezium.sink.kafka.producer.bootstrap.servers=k:9092\n\
                    debezium.transforms=a\ndebezium.transforms.a.type=T\ndebezium.format.value=avro\n\
                    debezium.format.value.schema.registry.url=u";
        let pairs = [
            ("key.converter", "json"),
            ("producer.override.bootstrap.servers", "k:9092"),
            ("slot.name", "s"),
            ("transforms", "a"),
            ("transforms.a.type", "T"),
            ("value.converter", "avro"),
            ("value.converter.schema.registry.url", "u"),
        ];
        assert_eq!(read_pairs(text), expected(&pairs));
    }
}
