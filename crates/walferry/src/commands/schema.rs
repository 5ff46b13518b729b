//! `walferry schema`: the Avro schemas of the tables, and an operator's word on a table that is parked because of one.
//!
//! Owns the words that are printed. Exit status 1 says that the registry would refuse a schema, or that a migration fails.

mod approve;

use std::path::Path;

use anyhow::anyhow;
use serde_json::json;
use walferry_operations::schema::{
    self, Compared,
    difference::Difference,
    migration::{self, Fate, Migration, PlannedSubject, PlannedTable},
    subject::Judged,
};
use walferry_pipeline::config::ConnectConfig;

pub(crate) use approve::approve;

use super::{load, text_of, wait};
use crate::{Failure, command_line::Tables, print};

pub(crate) fn show(tables: &Tables) -> Result<(), Failure> {
    let config = load(&tables.file.path)?.pipeline;
    let schemas = wait(schema::show(&config, &tables.globs))??;
    if tables.json {
        return print(format!("{:#}\n", json!({ "schemas": schemas })).as_bytes());
    }
    let mut text = String::new();
    for it in &schemas {
        text.push_str(&format!(
            "{} ({} of {})\n{:#}\n\n",
            it.subject, it.part, it.table, it.schema
        ));
    }
    print(text.as_bytes())
}

pub(crate) fn diff(tables: &Tables) -> Result<(), Failure> {
    let config = load(&tables.file.path)?.pipeline;
    let compared = wait(schema::compare(&config, &tables.globs))??;
    if tables.json {
        print(format!("{:#}\n", json!({ "schemas": compared })).as_bytes())?;
    } else {
        let text: String = compared.iter().map(comparison).collect();
        print(text.as_bytes())?;
    }
    match compared.iter().any(|it| it.judged.is_incompatible()) {
        true => Err(Failure::told()),
        false => Ok(()),
    }
}

pub(crate) fn plan(
    path: &Path,
    ddl: &Path,
    source: Option<&str>,
    as_json: bool,
) -> Result<(), Failure> {
    let config = load(path)?.pipeline;
    let script = text_of(ddl)?;
    let connect = source.map(|url| trial_of(&config.source.connect, url));
    let connect = connect.transpose()?;
    let planned = wait(migration::plan(&config, &script, connect.as_ref()))?;
    let migration = match planned {
        Ok(migration) => migration,
        Err(error) => {
            return Err(anyhow!("{}: {error}; nothing has been changed", ddl.display()).into());
        }
    };
    if as_json {
        print(format!("{:#}\n", json!(migration)).as_bytes())?;
    } else {
        print(migration_text(&migration).as_bytes())?;
    }
    if migration.accepted {
        Ok(())
    } else {
        Err(Failure::told())
    }
}

/// The connection of `--source`, with the TLS settings of the file unless the URL has its own.
fn trial_of(ours: &ConnectConfig, url: &str) -> Result<ConnectConfig, Failure> {
    let mut connect = ConnectConfig::from_url(url)
        .map_err(|error| Failure::usage(&anyhow!("--source: {error}")))?;
    if !url.contains("sslmode=") {
        connect.tls = ours.tls.clone();
    }
    connect.application_name = ours.application_name.clone();
    Ok(connect)
}

fn comparison(it: &Compared) -> String {
    let registered = match it.version {
        Some(version) => format!(", version {version} is registered"),
        None => String::new(),
    };
    format!(
        "{} ({} of {}): {}{registered}\n{}{}",
        it.schema.subject,
        it.schema.part,
        it.schema.table,
        it.judged.verdict,
        lines(&it.differences),
        reasons(&it.judged)
    )
}

fn migration_text(migration: &Migration) -> String {
    let changed = |it: &&PlannedTable| it.fate != Fate::Unchanged;
    let mut text: String = migration
        .tables
        .iter()
        .filter(changed)
        .map(planned_table)
        .collect();
    let count = migration.tables.iter().filter(changed).count();
    text.push_str(&format!(
        "{} statements tried and rolled back; {count} of {} tables change; {}\n",
        migration.statements,
        migration.tables.len(),
        match migration.accepted {
            true => "accepted",
            false => "REFUSED",
        }
    ));
    text
}

fn planned_table(it: &PlannedTable) -> String {
    let mut text = format!("table {}: {}", it.table, word(it.fate));
    if let Some(was) = &it.was {
        text.push_str(&format!(" (was {was}: its records go to another topic)"));
    }
    if let Some(reason) = &it.reason {
        text.push_str(&format!(": {reason}"));
    }
    text.push('\n');
    let subjects = it.subjects.iter();
    subjects
        .filter(|it| it.fate != Fate::Unchanged)
        .for_each(|it| text.push_str(&planned_subject(it)));
    text
}

fn planned_subject(it: &PlannedSubject) -> String {
    let verdict = it.judged.as_ref().map_or("", |it| it.verdict);
    format!(
        "  {} ({}): {verdict}\n{}{}",
        it.subject,
        it.part,
        lines(&it.differences),
        it.judged.as_ref().map(reasons).unwrap_or_default()
    )
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Unchanged => "unchanged",
        Fate::Changed => "changed",
        Fate::Renamed => "renamed",
        Fate::New => "new",
        Fate::Gone => "gone",
        Fate::Broken => "BROKEN",
    }
}

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|it| format!("    {it}\n")).collect()
}

fn reasons(judged: &Judged) -> String {
    let reasons = judged.reasons.iter();
    reasons.map(|it| format!("    because {it}\n")).collect()
}
