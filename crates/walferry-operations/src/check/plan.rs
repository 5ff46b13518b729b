//! The plan of `walferry check`: what `run` would do with schemas, slot and snapshot.

use std::collections::{BTreeMap, BTreeSet};

use walferry_event::{Code, Table};
use walferry_kafka::{Checkpoint, alter_line};
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

/// What a topic is set to that shall take records without a key.
const UNCOMPACTED: [(&str, &str); 2] = [("cleanup.policy", "delete"), ("retention.ms", "-1")];

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
        findings.push(Finding::of(
            severity,
            Code::SharedTopic,
            subject,
            it.message,
        ));
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
        let about = About {
            config,
            table,
            subject: &subject,
        };
        match about.verdicts(source, registry, &compacted).await {
            Ok(found) => findings.extend(found),
            Err(error) => {
                let text = error.to_string();
                findings.push(Finding::error(Code::TableSchema, subject, text));
            }
        }
    }
}

/// The topics that take no record without a key, and whether each exists.
async fn compacted(config: &Config, source: &Examined) -> BTreeMap<String, bool> {
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

/// A table whose schemas and key are looked at.
struct About<'a> {
    config: &'a Config,
    table: &'a TableInfo,
    subject: &'a str,
}

impl About<'_> {
    async fn verdicts(
        &self,
        source: &Examined,
        registry: &Registry,
        compacted: &BTreeMap<String, bool>,
    ) -> Result<Vec<Finding>, walferry_pipeline::error::Error> {
        let version = compile::described(self.config, &source.catalog, self.table).await?;
        let mut found: Vec<_> = self.other_key(&version).into_iter().collect();
        found.extend(self.keyless(&version, compacted));
        for schema in subject::of_version(self.config, &version)? {
            let subject = &schema.subject;
            let verdict = registry.verdict(subject, &schema.text).await?;
            let is_new = matches!(verdict, Verdict::New | Verdict::Compatible);
            if is_new && let Some(finding) = self.closed(registry, subject).await {
                found.push(finding);
                continue;
            }
            found.push(match verdict {
                Verdict::Registered(id) => {
                    let message = format!("subject {subject} holds the schema, id {id}");
                    Finding::ok(self.subject, message)
                }
                Verdict::New => Finding::plan(self.subject, format!("subject {subject} is new")),
                Verdict::Compatible => {
                    Finding::ok(self.subject, format!("subject {subject} is compatible"))
                }
                Verdict::Incompatible(reasons) => {
                    let why = refusal(registry, subject, &schema.text, &reasons).await;
                    let message = format!("subject {subject} is incompatible: {why}");
                    Finding::error(Code::SchemaRefused, self.subject, message)
                        .remedy("mend the table, or the subject's compatibility level")
                }
            });
        }
        Ok(found)
    }

    /// A subject that takes no new schema, though the registry does.
    async fn closed(&self, registry: &Registry, subject: &str) -> Option<Finding> {
        // A registry without modes takes schemas.
        let mode = registry.mode_of(subject).await.ok().flatten()?;
        if mode == "READWRITE" {
            return None;
        }
        let message =
            format!("subject {subject} is in mode {mode}, so that it takes no new schema");
        Some(
            Finding::error(Code::RegistryUnreachable, self.subject, message)
                .remedy(format!("set it back to READWRITE (PUT /mode/{subject})")),
        )
    }

    /// Records without a key that a compacted topic does not take.
    fn keyless(&self, version: &Table, compacted: &BTreeMap<String, bool>) -> Option<Finding> {
        let (config, table) = (self.config, self.table);
        let topic = config.topic(&table.schema, &table.name);
        let exists = *compacted.get(&topic)?;
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
        let message = format!("{}: {follows}", what.replace("{}", &topic));
        let finding = Finding::of(severity, Code::RecordRefused, self.subject, message);
        Some(match exists {
            // What consumers expect to find stays: nothing expires until somebody says so.
            true => finding
                .remedy(format!("{remedy}; the line below also sets retention.ms to -1, so that what the topic holds does not expire"))
                .kafka(&[alter_line(&config.kafka, &topic, &UNCOMPACTED)]),
            false => finding.remedy(format!("{remedy} (kafka.topics.config)")),
        })
    }

    /// A key that is not the primary key, because old rows do not carry that one.
    fn other_key(&self, version: &Table) -> Option<Finding> {
        let (config, table) = (self.config, self.table);
        let name = table.qualified_name();
        if config.table(&name).is_some_and(|own| own.key.is_some()) || table.key_columns.is_empty()
        {
            return None;
        }
        let columns = version.key.iter().map(|&i| &version.columns[i].name);
        let key: Vec<&str> = columns.map(String::as_str).collect();
        if key.iter().eq(table.key_columns.iter()) {
            return None;
        }
        let message = format!(
            "the key is ({}) and not the primary key ({}), because the replica identity {} does not carry that one, so that \
             deletes could not be published under it",
            key.join(", "),
            table.key_columns.join(", "),
            table.replica_identity,
        );
        let sql = format!(
            "ALTER TABLE {} REPLICA IDENTITY DEFAULT;",
            quote_table(&table.schema, &table.name)
        );
        Some(
            Finding::warning(Code::TableIdentity, self.subject, message)
                .remedy("let old rows carry the primary key")
                .sql(sql),
        )
    }
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
            Finding::error(
                Code::SlotMissing,
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
            findings.push(Finding::error(Code::Internal, subject, reason));
            return;
        }
    };
    findings.push(Finding::plan(subject, message));
    if begins && config.snapshot.mode != SnapshotMode::Never {
        let rows: i64 = source.tables.iter().map(|t| t.rows_estimated.max(0)).sum();
        findings.push(Finding::plan(
            "snapshot",
            format!("reads about {rows} rows of {} tables", source.tables.len()),
        ));
    }
}
