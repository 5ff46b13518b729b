//! The tables of `walferry check`: whether the publication carries each, whether its rows can be read, what is its key.
//!
//! Owns these findings. They depend on the start: one that goes on adds tables to the publication and reads none again.

use walferry_event::ReplicaIdentity;
use walferry_postgres::{TableInfo, quote_ident, quote_table};

use super::{Finding, Severity, plan::Start, postgres::Examined};
use crate::{
    config::{Config, SnapshotMode},
    source::{self, Unpublished},
};

/// The publication: that it is there or can be created, and that it carries the tables.
pub(super) fn publication(
    config: &Config,
    source: &Examined,
    start: Option<&Start>,
    findings: &mut Vec<Finding>,
) {
    let name = &config.source.publication;
    let subject = format!("publication {name}");
    let ident = quote_ident(name);
    let Some(publication) = &source.publication else {
        findings.push(missing(config, source, subject));
        return;
    };
    for (kind, published) in [
        ("inserts", publication.inserts),
        ("updates", publication.updates),
        ("deletes", publication.deletes),
        ("truncates", publication.truncates),
    ] {
        if !published {
            findings.push(
                Finding::new(
                    Severity::Warning,
                    &subject,
                    format!("does not publish {kind}"),
                )
                .remedy("publish them, unless that is wanted")
                .sql(format!(
                    "ALTER PUBLICATION {ident} SET (publish = 'insert, update, delete, truncate');"
                )),
            );
        }
    }
    // Whether a table that was added is also published by a start is known with the start.
    let resumes = start.is_none_or(Start::resumes);
    for (table, (publish, _)) in source.tables.iter().zip(&source.options) {
        let Some(it) = source::unpublished(&config.source, publication, table, publish) else {
            continue;
        };
        if resumes && source::may_be_added(&config.source, publication, table) {
            findings.push(added(&subject, publication.owned, table, it));
            continue;
        }
        findings.push(
            Finding::new(Severity::Error, &subject, it.what)
                .remedy(it.remedy)
                .sql(it.sql),
        );
    }
    findings.push(Finding::new(Severity::Ok, subject, "exists"));
}

/// One that does not exist: `run` creates it, if it may.
fn missing(config: &Config, source: &Examined, subject: String) -> Finding {
    let publish: Vec<_> = source.options.iter().map(|it| it.0.sql()).collect();
    let create = format!(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = {});",
        quote_ident(&config.source.publication),
        publish.join(", "),
        config.source.partitions_root
    );
    if !config.source.create {
        let message = "does not exist, and source.create is false";
        return Finding::new(Severity::Error, subject, message)
            .remedy("create it")
            .sql(create);
    }
    let foreign = source.tables.iter().filter(|it| !it.owned);
    let foreign: Vec<String> = foreign.map(TableInfo::qualified_name).collect();
    if foreign.is_empty() {
        return Finding::new(Severity::Plan, subject, "is created by run");
    }
    let message = format!(
        "does not exist, and role {} may not create it, because it does not own {}",
        config.source.connect.user,
        foreign.join(", ")
    );
    Finding::new(Severity::Error, subject, message)
        .remedy("let the owner of the tables or a superuser create it")
        .sql(create)
}

/// A table that a start adds, if it may.
fn added(subject: &str, owned: bool, table: &TableInfo, it: Unpublished) -> Finding {
    let name = table.qualified_name();
    if owned && table.owned {
        let message = format!("table {name} is added by run, with a snapshot of its rows");
        return Finding::new(Severity::Plan, subject, message);
    }
    let what = if owned {
        "the table"
    } else {
        "the publication"
    };
    let message = format!("does not hold table {name}, and only the owner of {what} may add it");
    Finding::new(Severity::Error, subject, message)
        .remedy("let the owner of both or a superuser add it; the rows that it has by then come with `walferry snapshot start`")
        .sql(it.sql)
}

/// A table: what PostgreSQL will say of its rows, and whether they can be read.
pub(super) fn table(
    config: &Config,
    table: &TableInfo,
    start: Option<&Start>,
    findings: &mut Vec<Finding>,
) {
    let subject = format!("table {}", table.qualified_name());
    let qualified = quote_table(&table.schema, &table.name);
    if !table.has_identity() {
        findings.push(
            Finding::new(
                Severity::Warning,
                &subject,
                "has neither a primary key nor a replica identity: PostgreSQL refuses UPDATE and DELETE on it once it is \
                 published",
            )
            .remedy("give it a primary key, or REPLICA IDENTITY FULL")
            .sql(format!("ALTER TABLE {qualified} REPLICA IDENTITY FULL;")),
        );
    }
    let snapshot = config.snapshot.mode != SnapshotMode::Never;
    if !table.can_select && snapshot && !start.is_some_and(Start::resumes) {
        findings.push(
            Finding::new(
                Severity::Error,
                &subject,
                "may not be read, so its rows cannot be snapshot",
            )
            .remedy("grant SELECT on it")
            .sql(format!(
                "GRANT SELECT ON {qualified} TO {};",
                quote_ident(&config.source.connect.user)
            )),
        );
    }
    let key = if table.key_columns.is_empty() {
        "no key".to_owned()
    } else {
        format!("key ({})", table.key_columns.join(", "))
    };
    let identity = match table.replica_identity {
        ReplicaIdentity::Full => "old rows are complete",
        ReplicaIdentity::Nothing => "no old rows",
        ReplicaIdentity::Default | ReplicaIdentity::Index => "old rows hold the key",
    };
    findings.push(Finding::new(
        Severity::Ok,
        subject,
        format!(
            "{key}, replica identity {}: {identity}",
            table.replica_identity
        ),
    ));
}
