//! What has changed in a file since it was read, and whether that can be put in force while the connector runs.
//!
//! Owns the list of such keys. Never: reads a file, puts anything in force.
//! Start reading at [`changes`].

use toml::{Table, Value};

use super::Loaded;

/// Keys that are put in force while the connector runs.
pub(crate) const RELOADED: [&str; 5] = [
    "source.tables",
    "snapshot.readers",
    "snapshot.chunk_rows",
    "snapshot.statement_timeout_ms",
    "snapshot.rows_per_second_max",
];

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Keys that can be put in force.
    pub(crate) reloaded: Vec<String>,
    /// Keys that need a new start.
    pub(crate) refused: Vec<String>,
}

/// The keys that differ.
pub(crate) fn changes(running: &Loaded, read: &Loaded) -> Changes {
    let mut differing = Vec::new();
    compare("", &running.keys, &read.keys, &mut differing);
    let mut changes = Changes::default();
    for key in differing {
        // The settings of a table that is not followed yet are its own matter.
        let fresh = key
            .strip_prefix("[[table]] ")
            .is_some_and(|table| !table.contains(['*', '?']) && !running.pipeline.follows(table));
        match fresh || RELOADED.contains(&key.as_str()) {
            true => changes.reloaded.push(key),
            false => changes.refused.push(key),
        }
    }
    changes
}

fn compare(path: &str, before: &Table, now: &Table, differing: &mut Vec<String>) {
    let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let empty = Value::Table(Table::new());
        match (before.get(key), now.get(key)) {
            (before, now) if before == now => {}
            (before, now) if path == "table" => compare_tables(before, now, differing),
            (Some(Value::Table(before)), now) => match now.unwrap_or(&empty) {
                Value::Table(now) => compare(&path, before, now, differing),
                _ => differing.push(path),
            },
            (None, Some(Value::Table(now))) => compare(&path, &Table::new(), now, differing),
            _ => differing.push(path),
        }
    }
}

/// The `[[table]]`s that differ, by their names.
fn compare_tables(before: Option<&Value>, now: Option<&Value>, differing: &mut Vec<String>) {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (before, now) = (list(before), list(now));
    for table in before.iter().chain(&now) {
        let name = table
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let path = format!("[[table]] {name}");
        let known = before.contains(table) && now.contains(table);
        if !known && !differing.contains(&path) {
            differing.push(path);
        }
    }
}
