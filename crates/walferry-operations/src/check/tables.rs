//! The tables of `walferry check`: whether the publication carries each, whether its rows can be read, what is its key.
//!
//! Owns these findings. They depend on the start: one that goes on adds tables to the publication and reads none again.

use walferry_event::{Code, ReplicaIdentity, Table};
use walferry_postgres::{TableInfo, quote_ident, quote_table};

use crate::check::{
    finding::{Finding, Severity},
    plan::Start,
    postgres::Examined,
};
use walferry_pipeline::{
    config::{Config, SnapshotMode},
    connector::choice,
    tables::{
        compile,
        publication::{self, Unpublished},
    },
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
                Finding::warning(
                    Code::PublicationLacks,
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
        let Some(it) = publication::unpublished(&config.source, publication, table, publish) else {
            continue;
        };
        if resumes && publication::may_be_added(&config.source, publication, table) {
            findings.push(added(&subject, publication.owned, table, it));
            continue;
        }
        let otherwise = publication::named_otherwise(&config.source, publication, table);
        if start.is_some_and(Start::resumes) && !otherwise {
            findings.push(unpublished_yet(&subject, it));
            continue;
        }
        findings.push(
            Finding::error(Code::PublicationLacks, &subject, it.what)
                .remedy(it.remedy)
                .sql(it.sql),
        );
    }
    findings.push(Finding::ok(subject, "exists"));
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
        return Finding::error(Code::PublicationMissing, subject, message)
            .remedy("create it")
            .sql(create);
    }
    let foreign = source.tables.iter().filter(|it| !it.owned);
    let foreign: Vec<String> = foreign.map(TableInfo::qualified_name).collect();
    if foreign.is_empty() {
        return Finding::plan(subject, "is created by run");
    }
    let message = format!(
        "does not exist, and role {} may not create it, because it does not own {}",
        config.source.connect.user,
        foreign.join(", ")
    );
    Finding::error(Code::PublicationMissing, subject, message)
        .remedy("let the owner of the tables or a superuser create it")
        .sql(create)
}

/// A table that a start adds, if it may.
fn added(subject: &str, owned: bool, table: &TableInfo, it: Unpublished) -> Finding {
    let name = table.qualified_name();
    if owned && table.owned {
        let message = format!("table {name} is added by run, with a snapshot of its rows");
        return Finding::plan(subject, message);
    }
    let what = if owned {
        "the table"
    } else {
        "the publication"
    };
    let message = format!(
        "does not hold table {name}, and only the owner of {what} may add it: it is left out until it is there"
    );
    Finding::warning(Code::PublicationLacks, subject, message)
        .remedy("let the owner of both or a superuser add it; then it is followed with the rows that it has")
        .sql(it.sql)
}

/// A table that a start leaves out because it may not be added.
fn unpublished_yet(subject: &str, it: Unpublished) -> Finding {
    let message = format!("{}: it is left out until it is there", it.what);
    Finding::warning(Code::PublicationLacks, subject, message)
        .remedy(it.remedy)
        .sql(it.sql)
}

/// The tables that `run` leaves out.
pub(super) fn left_out(source: &Examined, findings: &mut Vec<Finding>) {
    for it in &source.left_out {
        let subject = format!("table {}", it.table.qualified_name());
        let message = format!("is left out by run: {}", it.what);
        let finding = Finding::error(Code::TableLeftOut, subject, message).remedy(&it.remedy);
        findings.push(match &it.sql {
            Some(sql) => finding.sql(sql),
            None => finding,
        });
    }
}

/// A table: what PostgreSQL will say of its rows, and whether they can be read.
pub(super) async fn table(
    config: &Config,
    source: &Examined,
    table: &TableInfo,
    start: Option<&Start>,
    findings: &mut Vec<Finding>,
) {
    let subject = format!("table {}", table.qualified_name());
    findings.extend(broken(config, source, table, &subject));
    let snapshot = config.snapshot.mode != SnapshotMode::Never;
    let reads = snapshot && !start.is_some_and(Start::resumes);
    if !table.can_select && snapshot {
        let (severity, message) = match reads {
            true => (
                Severity::Error,
                "may not be read, so its rows cannot be snapshot: SELECT on it or USAGE on its schema is missing",
            ),
            false => (
                Severity::Warning,
                "may not be read, by a snapshot, a resync or an audit: SELECT on it or USAGE on its schema is missing",
            ),
        };
        findings.push(
            Finding::of(severity, Code::TableUnreadable, &subject, message)
                .remedy("grant both")
                .sql(format!(
                    "GRANT USAGE ON SCHEMA {} TO {};\n{};",
                    quote_ident(&table.schema),
                    quote_ident(&config.source.connect.user),
                    table.grant_select(&config.source.connect.user)
                )),
        );
    }
    if table.guarded {
        let severity = match reads {
            true => Severity::Error,
            false => Severity::Warning,
        };
        let role = quote_ident(&config.source.connect.user);
        findings.push(
            Finding::of(severity, Code::RowSecurity, &subject,
                "row level security hides rows of it from the role, so that PostgreSQL refuses to let a snapshot, a resync \
                 or an audit read it",
            )
            .remedy("let a superuser give the role BYPASSRLS, or take the table out of source.tables")
            .sql(format!("ALTER ROLE {role} BYPASSRLS;")),
        );
    }
    // What is wrong with a description is said with its schemas.
    let Ok(version) = compile::described(config, &source.catalog, table).await else {
        return;
    };
    findings.extend(leaves(table, &version, &subject));
    for words in compile::merged_keys(config, &version) {
        findings.push(Finding::warning(Code::KeyRefused, &subject, words));
    }
    let names = version
        .key
        .iter()
        .map(|&at| version.columns[at].name.as_str());
    let names: Vec<&str> = names.collect();
    let key = match names.is_empty() {
        true => "no key".to_owned(),
        false => format!("key ({})", names.join(", ")),
    };
    let identity = match table.replica_identity {
        ReplicaIdentity::Full => "old rows are complete",
        ReplicaIdentity::Nothing => "no old rows",
        ReplicaIdentity::Default | ReplicaIdentity::Index if names.is_empty() => {
            "old rows do not name a row"
        }
        ReplicaIdentity::Default | ReplicaIdentity::Index => "old rows hold the key",
    };
    findings.push(Finding::ok(
        subject,
        format!(
            "{key}, replica identity {}: {identity}",
            table.replica_identity
        ),
    ));
}

/// A followed table whose rows the application cannot change.
fn broken(config: &Config, source: &Examined, table: &TableInfo, subject: &str) -> Option<Finding> {
    let found = source.broken.iter().find(|(it, _)| it.oid == table.oid);
    let name = table.qualified_name();
    if let Some((_, refused)) = found {
        let (severity, message) = match choice::asks(config, &name) {
            true => (
                Severity::Warning,
                format!("{}; publish_without_identity asks for it", refused.what()),
            ),
            false => (Severity::Error, refused.what()),
        };
        let finding =
            Finding::of(severity, Code::TableIdentity, subject, message).remedy(refused.remedy());
        return Some(match &refused.sql {
            Some(sql) => finding.sql(sql),
            None => finding,
        });
    }
    choice::later_leaves(table)
        .then(|| Finding::warning(Code::TableIdentity, subject, choice::LATER_LEAVES))
}

/// Leaves whose old rows are not those of their partitioned table.
fn leaves(table: &TableInfo, version: &Table, subject: &str) -> Option<Finding> {
    let root_full = version.relation.replica_identity == ReplicaIdentity::Full;
    // Without a key a row is named by all of it, or not at all.
    let full = root_full || version.key.is_empty();
    let to = if full { "FULL" } else { "DEFAULT" };
    let alter = |schema: &str, name: &str| {
        let table = quote_table(schema, name);
        format!("ALTER TABLE {table} REPLICA IDENTITY {to};")
    };
    let differ = version.old_rows.leaves.iter().filter(|it| match full {
        true => !it.full,
        false => it.full || !version.key.iter().all(|at| it.columns.contains(at)),
    });
    let differ = differ.map(|it| {
        let (schema, name) = it.name.split_once('.').unwrap_or(("public", &it.name));
        alter(schema, name)
    });
    let root = (full && !root_full).then(|| alter(&table.schema, &table.name));
    let sql: Vec<String> = root.into_iter().chain(differ).collect();
    if let Some(leaf) = version.leaf_without_key() {
        let message = format!(
            "old rows of its partition {} carry neither the whole key nor the whole row, so that it cannot be told which row \
             has changed: such changes follow the table's policy",
            leaf.name
        );
        return Some(
            Finding::error(Code::TableIdentity, subject, message)
                .remedy("let the partitioned table and its partitions have one replica identity")
                .sql(sql.join(" ")),
        );
    }
    let leaf = version.other_leaf()?;
    let message = format!(
        "the replica identity of its partition {} is not that of the partitioned table: old rows are told as far as they are \
         sure",
        leaf.name
    );
    Some(
        Finding::warning(Code::TableIdentity, subject, message)
            .remedy("let the partitioned table and its partitions have one replica identity")
            .sql(sql.join(" ")),
    )
}
