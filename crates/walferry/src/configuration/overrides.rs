//! Overrides: `WALFERRY_` + path in capitals with `__` between levels.
//!
//! Owns the way from a variable's name to a key. Invariant: a variable with `__` in it that names no key is an error,
//! unless the file uses it as a secret. One without is ours only when it is a key of the file's first level: others are set
//! by those who run us (`WALFERRY_PORT` and `WALFERRY_SERVICE_HOST` by Kubernetes, `WALFERRY_TOKEN` by an operator).

use anyhow::{Result, anyhow};
use serde::Deserialize;
use toml::{Table, Value};

use super::{
    explain::{with_nearest, without_text},
    file::File,
};

const PREFIX: &str = "WALFERRY_";
/// Keys of the first level that are no sections.
const SINGLE: [&str; 2] = ["name", "shutdown_ms"];

/// The file with every override of `variables`, as its keys and as what they are.
pub(super) fn apply(
    text: &str,
    file: File,
    variables: Vec<(String, String)>,
) -> Result<(Table, File)> {
    let mut table: Table = toml::from_str(text)?;
    let secrets = secret_variables(&Value::Table(table.clone()));
    let mut file = file;
    for (name, value) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let is_ours = path.len() > 1 || SINGLE.contains(&path[0].as_str());
        if secrets.contains(&name) || !is_ours {
            continue;
        }
        (table, file) = with(&table, &path, &value)
            .map_err(|reason| anyhow!("environment variable {name}: {reason}"))?;
    }
    Ok((table, file))
}

/// The names in every `{ env = "NAME" }`.
fn secret_variables(value: &Value) -> Vec<String> {
    match value {
        Value::Table(table) => match (table.len(), table.get("env")) {
            (1, Some(Value::String(name))) => vec![name.clone()],
            _ => table.values().flat_map(secret_variables).collect(),
        },
        Value::Array(values) => values.iter().flat_map(secret_variables).collect(),
        _ => Vec::new(),
    }
}

/// Sets one key: to a TOML value when the text is one that fits, else to the text.
fn with(table: &Table, path: &[String], text: &str) -> Result<(Table, File), String> {
    let literal = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut it| it.remove("value"));
    let mut reason = String::new();
    for value in literal.into_iter().chain([Value::String(text.to_owned())]) {
        let mut changed = table.clone();
        set(&mut changed, path, value)?;
        match File::deserialize(changed.clone()) {
            Ok(file) => return Ok((changed, file)),
            Err(error) => reason = with_nearest(&without_text(error.message())),
        }
    }
    Err(reason)
}

fn set(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Err("it names no key".into()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let inner = table
                .entry(section.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => set(inner, rest, value),
                _ => Err(format!("{section} is no section")),
            }
        }
    }
}
