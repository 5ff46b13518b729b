//! The SQL of a role that may follow these tables and nothing else.
//!
//! Owns the commands and their order. Never: runs one.
//! Invariants: the role gets no right to create, change or own anything, so the publication is made for it; each name enters a
//! command quoted; what is there already is not made again.

use std::collections::BTreeMap;

use serde::Serialize;
use walferry_postgres::{NamedRole, Publish, TableFacts, TableInfo, quote_ident, quote_table};

use walferry_pipeline::config::Config;

/// A command, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is for.
    pub why: String,
    /// The command, with its semicolon; nothing where there is nothing to do but to read `why`.
    pub sql: String,
}

/// What the survey has found out before it is put in words.
pub(super) struct Found {
    pub(super) tables: Vec<(TableInfo, Option<TableFacts>)>,
    pub(super) role: Option<NamedRole>,
    pub(super) publication_exists: bool,
    pub(super) wal_level: String,
}

pub(super) fn steps(config: &Config, role: &str, found: &Found) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |why: &str, sql: String| {
        steps.push(Step {
            why: why.to_owned(),
            sql,
        });
    };
    let ident = quote_ident(role);
    if found.wal_level != "logical" {
        step(
            "Logical decoding needs this, and a restart of the server.",
            "ALTER SYSTEM SET wal_level = 'logical';".to_owned(),
        );
    }
    match found.role {
        None => step(
            "The role. Give it a password: \\password in psql. On Amazon RDS and Aurora, without REPLICATION, and GRANT rds_replication TO it.",
            format!("CREATE ROLE {ident} LOGIN REPLICATION;"),
        ),
        Some(it) if !it.replication || !it.login => step(
            "The role is there; it lacks a right.",
            format!("ALTER ROLE {ident} LOGIN REPLICATION;"),
        ),
        Some(_) => {}
    }
    step(
        "What it reads: for snapshots, resync and audit. The stream itself needs no right on a table.",
        format!(
            "GRANT CONNECT ON DATABASE {} TO {ident};",
            quote_ident(&config.source.connect.database)
        ),
    );
    let mut schemas = BTreeMap::<&str, Vec<&TableInfo>>::new();
    for (table, _) in &found.tables {
        schemas.entry(&table.schema).or_default().push(table);
    }
    for (schema, tables) in schemas {
        step(
            "",
            format!("GRANT USAGE ON SCHEMA {} TO {ident};", quote_ident(schema)),
        );
        let names = tables.iter().map(|it| quote_table(&it.schema, &it.name));
        let names = names.collect::<Vec<_>>().join(", ");
        step("", format!("GRANT SELECT ON {names} TO {ident};"));
    }
    let guarded =
        |(_, facts): &&(TableInfo, Option<_>)| facts.is_some_and(|it: TableFacts| it.row_security);
    let guarded: Vec<String> = found
        .tables
        .iter()
        .filter(guarded)
        .map(|(table, _)| table.qualified_name())
        .collect();
    if !guarded.is_empty() && !found.role.is_some_and(|it| it.bypasses_row_security) {
        step(
            &format!(
                "Row level security would hide rows of {}. Instead, these can be taken out of source.tables.",
                guarded.join(", ")
            ),
            format!("ALTER ROLE {ident} BYPASSRLS;"),
        );
    }
    publication(config, found, &mut step);
    steps
}

/// The publication is made for the role: to make it itself it would have to own the tables.
fn publication(config: &Config, found: &Found, step: &mut impl FnMut(&str, String)) {
    let ident = quote_ident(&config.source.publication);
    if found.publication_exists {
        return step(
            &format!(
                "Publication {ident} is there and stays as it is: `walferry check --fix-sql` says what it lacks."
            ),
            String::new(),
        );
    }
    let tables = found.tables.iter();
    let tables = tables.map(|(table, _)| Publish::whole(table.table_name()).sql());
    step(
        "The publication, so that the role needs to own nothing. A table that is created later has to be added to it: `walferry check \
         --fix-sql` says how. The slot is created by the first run.",
        format!(
            "CREATE PUBLICATION {ident} FOR TABLE {} WITH (publish_via_partition_root = {});",
            tables.collect::<Vec<_>>().join(", "),
            config.source.partitions_root
        ),
    );
}
