//! `[[table]]`: from the keys of the file to the settings of tables.
//!
//! Owns the rules between the keys of one entry. Whether columns exist and filters can be evaluated is known at a start.

use anyhow::{Context, Result, bail};
use walferry_pipeline::config::{Mask, TableConfig};

use super::{
    file::{File, MaskSection, MaskWith},
    rules::{policy, readable, required},
};

pub(super) fn tables(file: &File) -> Result<Vec<TableConfig>> {
    let mut tables: Vec<TableConfig> = Vec::new();
    for section in &file.table {
        let name = required("name of a [[table]]", section.name.clone())?;
        if !name.contains('.') {
            bail!("[[table]] {name:?}: write it with its schema, as \"public.{name}\"");
        }
        if tables.iter().any(|table| table.name == name) {
            bail!("[[table]] {name:?} is there twice");
        }
        let mut masks: Vec<(String, Mask)> = Vec::new();
        for entry in &section.mask {
            let column = &entry.column;
            let of = || format!("[[table]] {name:?}: mask of column {column:?}");
            if masks.iter().any(|(masked, _)| masked == column) {
                bail!("{}: it is there twice", of());
            }
            if section.exclude_columns.contains(column) {
                bail!("{}: the column is in exclude_columns too", of());
            }
            masks.push((column.clone(), mask(entry).with_context(of)?));
        }
        if let Some(filter) = &section.r#where
            && filter.trim().is_empty()
        {
            bail!("[[table]] {name:?}: where is empty; take it out to publish every row");
        }
        tables.push(TableConfig {
            topic: topic(section.topic.as_deref(), &name)?,
            table_in_key: section.table_in_key,
            key: section.key.clone(),
            publish_without_identity: section.publish_without_identity,
            errors: section.errors.map(policy),
            exclude_columns: section.exclude_columns.clone(),
            row_filter: section.r#where.clone(),
            masks,
            name,
        });
    }
    Ok(tables)
}

fn topic(topic: Option<&str>, of: &str) -> Result<Option<String>> {
    let Some(topic) = topic else {
        return Ok(None);
    };
    let plain = topic.replace("{schema}", "").replace("{table}", "");
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || !plain.chars().all(allowed) {
        bail!(
            "[[table]] {of:?}: topic {topic:?} may only hold letters, digits, ., _ and -, and {{schema}} and {{table}} for the \
             table's own"
        );
    }
    Ok(Some(topic.to_owned()))
}

fn mask(entry: &MaskSection) -> Result<Mask> {
    match (entry.with, &entry.salt, entry.chars) {
        (MaskWith::Sha256, Some(salt), None) => {
            let salt = salt.clone().secret();
            readable("salt", &salt)?;
            Ok(Mask::Sha256(salt))
        }
        (MaskWith::Sha256, None, _) => {
            bail!(
                "sha256 needs a salt, as salt = {{ env = \"SALT\" }}: without one, values can be looked up by their hashes"
            )
        }
        (MaskWith::Redact, None, None) => Ok(Mask::Redact),
        (MaskWith::Truncate, None, Some(chars)) => Ok(Mask::Truncate(chars)),
        (MaskWith::Truncate, _, None) => {
            bail!("truncate needs chars, the number of characters to keep")
        }
        (_, _, _) => bail!("salt belongs to sha256, and chars to truncate"),
    }
}
