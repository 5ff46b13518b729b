//! The plan of `walferry check`: what `run` would do with topics, schemas, slot and snapshot.

use std::collections::{BTreeSet, HashSet};

use walferry_event::Table;
use walferry_kafka::Checkpoint;
use walferry_postgres::{TableInfo, quote_literal, quote_table};
use walferry_registry::{Registry, Verdict};

use crate::{
    check::{
        finding::{Finding, Severity},
        postgres::Examined,
        registry::refusal,
    },
    schema::subject,
};
use walferry_pipeline::{
    blocking::blocking,
    config::{Config, Envelope, Operation, Policy, SnapshotMode},
    connector::startup,
    position::{
        checkpoint_writer,
        recovery::{self, Decision, Slot},
    },
    tables::{
        compile,
        shared_topic::{self, Weight},
    },
};

/// Which topics `run` would create, and those that it could not use or create.
pub(super) async fn topics(config: &Config, source: &Examined, findings: &mut Vec<Finding>) {
    let tables = source.tables.iter();
    // Several tables may share a topic, and a broker refuses a request that names one twice.
    let topics: BTreeSet<String> = tables
        .map(|table| config.topic(&table.schema, &table.name))
        .chain([config.kafka.checkpoint_topic.clone()])
        .chain(letters(config, source))
        .chain(
            config
                .transaction_metadata
                .then(|| config.transaction_topic()),
        )
        .collect();
    let kafka = config.kafka.clone();
    let asked = blocking("looking at topics", move || {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let planned = walferry_kafka::plan_topics(&kafka, &names)?;
        let concerns = walferry_kafka::topic_safety(&kafka, &names)?;
        Ok((planned, concerns, walferry_kafka::request_limit(&kafka)?))
    });
    // That no broker answers has been said already.
    let (planned, concerns, limit) = asked.await.unwrap_or_default();
    findings.extend(limit.map(|it| Finding::new(Severity::Warning, "kafka", it)));
    for concern in concerns {
        // With one broker nothing better is to be had.
        let severity = match concern.alone {
            true => Severity::Ok,
            false => Severity::Warning,
        };
        let subject = format!("topic {}", concern.topic);
        findings.push(Finding::new(severity, subject, concern.message));
    }
    for (topic, outcome) in planned {
        let when = match topic == config.kafka.checkpoint_topic {
            true => "",
            false => ", with its first record",
        };
        let (severity, message) = match outcome {
            Ok(()) => (Severity::Plan, format!("is created by run{when}")),
            Err(error) => (Severity::Error, error.to_string()),
        };
        findings.push(Finding::new(severity, format!("topic {topic}"), message));
    }
}

/// The dead-letter topic, when the policy of a table needs it.
fn letters(config: &Config, source: &Examined) -> Option<String> {
    let mut tables = source.tables.iter();
    tables
        .any(|table| config.policy(&table.qualified_name()) == Policy::DeadLetter)
        .then(|| config.errors.dead_letter_topic.clone())
}

/// Whether tables can share their topics.
pub(super) async fn shared_topics(config: &Config, source: &Examined, findings: &mut Vec<Finding>) {
    let said = match shared_topic::look(config, &source.catalog, &source.tables).await {
        Ok(said) => said,
        // What is wrong with a table is said with its schemas.
        Err(_) => return,
    };
    for it in said {
        let severity = match it.weight {
            Weight::Fine => Severity::Ok,
            Weight::Look => Severity::Warning,
            Weight::Refused => Severity::Error,
        };
        let subject = format!("topic {}", it.topic);
        findings.push(Finding::new(severity, subject, it.message));
    }
}

/// Whether the registry would take each table's schemas.
pub(super) async fn schemas(
    config: &Config,
    source: &Examined,
    registry: &Registry,
    findings: &mut Vec<Finding>,
) {
    let compacted = compacted(config, source).await;
    for table in &source.tables {
        let subject = format!("schemas of {}", table.qualified_name());
        let topic = config.topic(&table.schema, &table.name);
        match verdicts(config, source, registry, table, compacted.contains(&topic)).await {
            Ok(found) => findings.extend(found.into_iter().map(|(severity, message)| {
                let of_a_subject = message.starts_with("subject ");
                let finding = Finding::new(severity, &subject, message);
                if severity == Severity::Error && of_a_subject {
                    finding.remedy("mend the table, or the subject's compatibility level")
                } else {
                    finding
                }
            })),
            Err(error) => findings.push(Finding::new(Severity::Error, subject, error.to_string())),
        }
    }
}

async fn verdicts(
    config: &Config,
    source: &Examined,
    registry: &Registry,
    table: &TableInfo,
    compacted: bool,
) -> Result<Vec<(Severity, String)>, walferry_pipeline::error::Error> {
    let version = compile::described(config, &source.catalog, table).await?;
    let mut found: Vec<_> = other_key(config, table, &version).into_iter().collect();
    found.extend(
        compacted
            .then(|| keyless(config, table, &version))
            .flatten(),
    );
    for schema in subject::of_version(config, &version)? {
        let subject = &schema.subject;
        found.push(match registry.verdict(subject, &schema.text).await? {
            Verdict::Registered(id) => (
                Severity::Ok,
                format!("subject {subject} holds the schema, id {id}"),
            ),
            Verdict::New => (Severity::Plan, format!("subject {subject} is new")),
            Verdict::Compatible => (Severity::Ok, format!("subject {subject} is compatible")),
            Verdict::Incompatible(reasons) => {
                let why = refusal(registry, subject, &schema.text, &reasons).await;
                (
                    Severity::Error,
                    format!("subject {subject} is incompatible: {why}"),
                )
            }
        });
    }
    Ok(found)
}

/// The topics that take no record without a key.
async fn compacted(config: &Config, source: &Examined) -> HashSet<String> {
    let tables = source.tables.iter();
    let topics: BTreeSet<String> = tables
        .map(|it| config.topic(&it.schema, &it.name))
        .collect();
    let kafka = config.kafka.clone();
    let asked = blocking("looking for compacted topics", move || {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        Ok(walferry_kafka::compacted_topics(&kafka, &names)?)
    });
    asked.await.unwrap_or_default()
}

/// Records without a key that a compacted topic does not take.
fn keyless(config: &Config, table: &TableInfo, version: &Table) -> Option<(Severity, String)> {
    let topic = config.topic(&table.schema, &table.name);
    let truncates = config.format.envelope == Envelope::Debezium
        && !config.skipped_operations.contains(&Operation::Truncate);
    let (what, remedy) = match (version.key.is_empty(), truncates) {
        (true, _) => (
            "the table has no key, and topic {} is compacted and takes no record without one",
            "give the table a key, or set the topic's cleanup.policy to delete",
        ),
        (false, true) => (
            "topic {} is compacted and takes no record without a key, so that a TRUNCATE of the table cannot be published",
            "leave truncates out (format.skipped_operations = [\"t\"]), or set the topic's cleanup.policy to delete",
        ),
        (false, false) => return None,
    };
    let (severity, follows) = match config.policy(&table.qualified_name()) {
        Policy::Stop => (Severity::Error, "the connector would stop there"),
        Policy::DeadLetter => (Severity::Warning, "it becomes a dead letter"),
        Policy::Skip => (Severity::Warning, "it is skipped"),
        Policy::Park => (Severity::Warning, "the table is parked there"),
    };
    let what = what.replace("{}", &topic);
    Some((severity, format!("{what}: {follows}; {remedy}")))
}

/// A key that is not the primary key, because old rows do not carry that one.
fn other_key(config: &Config, table: &TableInfo, version: &Table) -> Option<(Severity, String)> {
    let name = table.qualified_name();
    if config.table(&name).is_some_and(|own| own.key.is_some()) || table.key_columns.is_empty() {
        return None;
    }
    let columns = version.key.iter().map(|&i| &version.columns[i].name);
    let key: Vec<&String> = columns.collect();
    if key.iter().copied().eq(&table.key_columns) {
        return None;
    }
    let list = |names: Vec<&String>| {
        names
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    Some((
        Severity::Warning,
        format!(
            "the key is ({}) and not the primary key ({}), because the replica identity {} does not carry that one, so \
             that deletes could not be published under it; ALTER TABLE {} REPLICA IDENTITY DEFAULT makes it the key",
            list(key),
            list(table.key_columns.iter().collect()),
            table.replica_identity,
            quote_table(&table.schema, &table.name)
        ),
    ))
}

/// What a start would do, and the row of the recovery table that says so.
pub(super) struct Start {
    row: &'static str,
    decision: Decision,
}

impl Start {
    /// Whether it goes on where the topics end.
    pub(super) fn resumes(&self) -> bool {
        matches!(self.decision, Decision::Resume(_))
    }

    /// Whether nothing is begun at all.
    fn refuses(&self) -> bool {
        matches!(self.decision, Decision::Refuse(_))
    }
}

/// Which row of the recovery table applies.
pub(super) fn decide(config: &Config, source: &Examined, checkpoint: Option<&Checkpoint>) -> Start {
    let evidence = startup::evidence(
        config,
        source.slot.clone(),
        checkpoint_writer::evidence(checkpoint),
        source.server.clone(),
    );
    let (row, decision) = recovery::decide(&evidence);
    Start { row, decision }
}

/// What follows from the row that applies.
pub(super) fn start(config: &Config, source: &Examined, start: Start, findings: &mut Vec<Finding>) {
    let subject = format!("recovery: {}", start.row);
    let begins = !start.resumes() && !start.refuses();
    let slot = &config.source.slot;
    if begins && source.slot == Slot::Missing && !config.source.create {
        findings.push(
            Finding::new(
                Severity::Error,
                format!("slot {slot}"),
                "does not exist, and source.create is false",
            )
            .remedy("create it, then start with `walferry run --adopt-slot --with-snapshot`")
            .sql(format!(
                "SELECT pg_create_logical_replication_slot({}, 'pgoutput');",
                quote_literal(slot)
            )),
        );
        return;
    }
    let created = match source.publication {
        Some(_) => format!("slot {slot} is created"),
        None => format!(
            "publication {} and slot {slot} are created",
            config.source.publication
        ),
    };
    let message = match start.decision {
        Decision::Create => created,
        Decision::StartOver => format!("an unfinished start begins anew: {created}"),
        Decision::Resume(position) => format!("goes on at {}", position.end_lsn),
        Decision::Resync => format!("slot {slot} is created anew, and every table is read again"),
        Decision::Refuse(reason) => {
            findings.push(Finding::new(Severity::Error, subject, reason));
            return;
        }
    };
    findings.push(Finding::new(Severity::Plan, subject, message));
    if begins && config.snapshot.mode != SnapshotMode::Never {
        let rows: i64 = source.tables.iter().map(|t| t.rows_estimated.max(0)).sum();
        findings.push(Finding::new(
            Severity::Plan,
            "snapshot",
            format!("reads about {rows} rows of {} tables", source.tables.len()),
        ));
    }
}
