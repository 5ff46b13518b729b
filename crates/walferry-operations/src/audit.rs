//! `walferry audit`: the tables and their topics at one moment, compared key by key.
//!
//! Owns the order of the steps. A temporary slot is created, which gives a moment between two commits and the tables as of
//! then; they are read; when the connector's checkpoint has passed the moment, the topics are read, and of them what
//! precedes it (`moment`). Rows and records meet as hashes of their columns in a sort that spills to disk.
//! Never: writes to the source, the topics or the registry. Nothing but hashes and keys is kept of a row.
//! Start reading at `audit`.

mod entry;
mod judge;
mod moment;
mod multiset;
mod records;
pub mod report;
mod subject;
mod unseen;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::time::{self, Instant};
use walferry_event::{Code, Datum, Lsn};
use walferry_kafka::Checkpoint;
use walferry_postgres::{
    Catalog, CopyRows, CreatedSlot, Replication, SnapshotReader, TableInfo, parse_copy_row,
};
use walferry_registry::Registry;

use crate::audit::{
    entry::Entry,
    judge::Judge,
    moment::Moment,
    multiset::Multiset,
    records::{Extent, Records},
    report::{AuditReport, TableAudit},
    subject::Subject,
};
use walferry_pipeline::{
    blocking::blocking,
    config::Config,
    connector::choice,
    error::Error,
    position::checkpoint_reader,
    snapshot::readers::is_of_table,
    sorter::Sorter,
    tables::{compile, followed},
};

/// Entries of one table in memory, in bytes; the rest is on disk.
const MEMORY_BYTES_MAX: usize = 32 << 20;
/// Between two looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(500);

/// What to audit and how.
#[derive(Clone, Debug)]
pub struct Audit {
    /// `schema.table`; none means every table of the connector.
    pub tables: Vec<String>,
    /// Rows of a table a second at most.
    pub rows_per_second_max: Option<u64>,
    /// Differences that are listed, per table.
    pub differences_max: usize,
    /// How long the checkpoint may stand still short of the moment.
    pub patience: Duration,
}

/// Compares tables and topics. `say` gets a line for each step.
///
/// # Errors
/// A server does not answer, the connector has not finished its first snapshot or does not run, a table is not followed.
pub async fn audit(config: &Config, what: Audit, say: impl Fn(&str)) -> Result<AuditReport, Error> {
    let begun = checkpoint_reader::checkpoint(config).await?;
    if begun.and_then(|it| it.position).is_none() {
        return Err(Error::failed(
            Code::AuditImpossible,
            format!(
                "connector {:?} has no checkpoint with a position: it was never run, or its first snapshot is not finished",
                config.name
            ),
        ));
    }
    let registry = Arc::new(Registry::new(config.registry.clone())?);
    registry.ping().await?;
    let catalog = Catalog::connect(&config.source.connect).await?;
    // Asked before the snapshot is held: a question about a table waits behind a TRUNCATE that waits for our reading.
    let (subjects, left_out) = describe(config, &catalog, &what.tables).await?;
    let unseen = unseen::tables(config, &catalog, &what.tables).await?;
    let origins_left_out = config.source.origin_none && catalog.has_origins().await?;
    let mut replication = Replication::connect(&config.source.connect).await?;
    let slot = format!("walferry_audit_{}", replication.backend_pid());
    say("waiting for a moment at which no older transaction is running");
    let created = replication
        .create_temporary_slot_with_snapshot(&slot)
        .await?;
    let (moment, mut read) = rows(config, &what, &catalog, &created, subjects, &say).await?;
    // Up to here the topics can tell what happened to a table while it was read.
    let until = read.iter().map(|(subject, _)| subject.read_until).max();
    let until = until.unwrap_or(moment.lsn);
    // The session held the snapshot, and with it what vacuum would remove, and the slot.
    drop(replication);
    let checkpoint = passed(config, &what, until, &say).await?;
    let mut report = AuditReport {
        lsn: moment.lsn,
        checkpoint: checkpoint.position.unwrap_or_default().end_lsn,
        tables: Vec::new(),
        unseen,
    };
    for (subject, sorter) in read.drain(..) {
        say(&format!("reading topic {}", subject.topic));
        let whole = (
            config.clone(),
            what.differences_max,
            moment.clone(),
            registry.clone(),
        );
        let judged = blocking("comparing", move || {
            let (config, differences_max, moment, registry) = whole;
            compare(
                &config,
                &subject,
                sorter,
                &moment,
                &registry,
                differences_max,
            )
        });
        let mut table = judged.await?;
        note_parked(&checkpoint, moment.lsn, &mut table);
        if origins_left_out {
            unseen::left_out_origins(&mut table);
        }
        report.tables.push(table);
    }
    report.tables.extend(left_out);
    Ok(report)
}

/// The tables that are audited, and those that cannot be because they are not published.
async fn describe(
    config: &Config,
    catalog: &Catalog,
    named: &[String],
) -> Result<(Vec<Subject>, Vec<TableAudit>), Error> {
    let mut tables = followed::select(config, catalog).await?;
    for name in named {
        if !tables.iter().any(|it| it.qualified_name() == *name) {
            return Err(Error::failed(
                Code::TableNotFollowed,
                format!(
                    "table {name:?} is not followed by connector {:?}; name it as schema.table, as in source.tables",
                    config.name
                ),
            ));
        }
    }
    let topic = |it: &TableInfo| config.topic(&it.schema, &it.name);
    let topics: Vec<String> = tables.iter().map(topic).collect();
    tables.retain(|it| named.is_empty() || named.contains(&it.qualified_name()));
    let publication = catalog.publication(&config.source.publication).await?;
    let choice = choice::admit(config, catalog, publication.as_ref(), tables).await?;
    let left_out = choice.left_out.into_iter().map(|it| TableAudit {
        name: it.table.qualified_name(),
        topic: topic(&it.table),
        incomplete: vec![format!("the table is left out: {}; {}", it.what, it.remedy)],
        ..TableAudit::default()
    });
    let left_out: Vec<TableAudit> = left_out.collect();
    let tables = choice.tables;
    let reader = SnapshotReader::connect(&config.source.connect, 0).await?;
    let mut subjects = Vec::new();
    for table in tables {
        let (relation, row_filter) = compile::shape(config, catalog, table.oid).await?;
        let version = compile::version(config, catalog, &relation).await?;
        let mut subject = Subject::new(config, version)?;
        let scan = reader.scan(&relation).await?;
        match reader.contents(&scan, row_filter.as_deref()).await {
            Ok(contents) => subject.contents = Some(contents),
            Err(error) if is_of_table(&error) => subject.unread = Some(error.to_string()),
            Err(error) => return Err(error.into()),
        }
        subject.row_filter = row_filter;
        subject.shared = topics.iter().filter(|it| **it == subject.topic).count() > 1;
        subjects.push(subject);
    }
    Ok((subjects, left_out))
}

/// The moment, and the rows of every table as of then.
async fn rows(
    config: &Config,
    what: &Audit,
    catalog: &Catalog,
    created: &CreatedSlot,
    subjects: Vec<Subject>,
    say: &impl Fn(&str),
) -> Result<(Moment, Vec<(Subject, Sorter)>), Error> {
    let snapshot = created.snapshot_name.as_deref().unwrap_or_default();
    let begin = || async {
        let reader = SnapshotReader::connect(&config.source.connect, 0).await?;
        reader.enter(snapshot).await?;
        Ok::<_, walferry_postgres::Error>(reader)
    };
    let visibility = begin().await?.visibility().await?;
    let next = catalog.next_xid().await?;
    let moment = Moment::new(created.consistent_point, &visibility, next);
    let mut read = Vec::new();
    for mut subject in subjects {
        say(&format!("reading table {}", subject.name));
        let mut sorter = Sorter::new(MEMORY_BYTES_MAX);
        // A transaction for each table: it holds a lock on what it has read, which a TRUNCATE would wait for.
        let reader = begin().await?;
        table_rows(config, what, &reader, &mut subject, &mut sorter).await?;
        drop(reader);
        subject.read_until = catalog.current_wal().await?.max(moment.lsn);
        sorter.rest().map_err(sorting)?;
        read.push((subject, sorter));
    }
    Ok((moment, read))
}

async fn table_rows(
    config: &Config,
    what: &Audit,
    reader: &SnapshotReader,
    subject: &mut Subject,
    sorter: &mut Sorter,
) -> Result<(), Error> {
    if subject.unread.is_some() {
        return Ok(());
    }
    let relation = subject.table.relation.clone();
    let mut rows = match open(reader, subject).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(reason)) => {
            subject.unread = Some(reason);
            return Ok(());
        }
        Err(error) if is_of_table(&error) => {
            subject.unread = Some(error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let begun = Instant::now();
    let (mut count, mut scratch, mut bytes) = (0_u64, Vec::new(), Vec::new());
    while let Some(block) = rows.next().await {
        for line in block?.lines() {
            let mut datums: Vec<Datum<'_>> = Vec::with_capacity(relation.columns.len());
            parse_copy_row(line, &mut scratch, &mut datums)?;
            subject.row(config, &datums)?.write(&mut bytes);
            sorter.push(&bytes).map_err(sorting)?;
            count += 1;
        }
        if let Some(rate) = what.rows_per_second_max {
            let due = Duration::from_secs_f64(count as f64 / rate.max(1) as f64);
            time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
    }
    Ok(())
}

/// The rows of a table as of the moment, or why they cannot be read as they were then.
async fn open(
    reader: &SnapshotReader,
    subject: &Subject,
) -> Result<Result<CopyRows, String>, walferry_postgres::Error> {
    let mut scan = reader.scan(&subject.table.relation).await?;
    scan.condition.clone_from(&subject.row_filter);
    reader.lock(&scan).await?;
    let now = reader.contents(&scan, scan.condition.as_deref()).await?;
    let why = subject.contents.as_ref().and_then(|it| it.hidden(&now));
    if let Some(why) = why {
        // Not even a snapshot from before it sees the rows that a truncate or a rewrite removes.
        return Ok(Err(format!(
            "{why} between the moment of the audit and its reading; audit it again"
        )));
    }
    reader.copy_all(&scan).await.map(Ok)
}

/// Waits until the topics hold everything from before an LSN.
async fn passed(
    config: &Config,
    what: &Audit,
    until: Lsn,
    say: &impl Fn(&str),
) -> Result<Checkpoint, Error> {
    let mut moved = (Lsn::ZERO, Instant::now());
    loop {
        if let Some(checkpoint) = checkpoint_reader::checkpoint(config).await? {
            let at = checkpoint.position.unwrap_or_default().end_lsn;
            if at >= until {
                return Ok(checkpoint);
            }
            if at > moved.0 {
                say(&format!(
                    "the connector is at {at}, and has to come to {until}"
                ));
                moved = (at, Instant::now());
            }
        }
        if moved.1.elapsed() > what.patience {
            return Err(Error::failed(
                Code::AuditImpossible,
                format!(
                    "the checkpoint of connector {:?} stands still at {} short of {until}, where the audit has read the tables; \
                 it has to run while it is audited",
                    config.name, moved.0
                ),
            ));
        }
        time::sleep(LOOK).await;
    }
}

/// Reads a topic beside the rows of its table, and judges. Blocks.
fn compare(
    config: &Config,
    subject: &Subject,
    mut sorter: Sorter,
    moment: &Moment,
    registry: &Registry,
    differences_max: usize,
) -> Result<TableAudit, Error> {
    let mut report = TableAudit {
        name: subject.name.clone(),
        topic: subject.topic.clone(),
        ..TableAudit::default()
    };
    if let Some(reason) = &subject.unread {
        let reason = format!("table {} was not compared: {reason}", subject.name);
        report.incomplete.push(reason);
        return Ok(report);
    }
    let missing = walferry_kafka::topics_missing(&config.kafka, &[&subject.topic])?;
    let mut extent = Extent::default();
    // A table that never had a row may have no topic yet.
    if missing.is_empty() {
        let mut records = Records::new(
            subject,
            moment,
            registry,
            &mut sorter,
            &mut report,
            differences_max,
        );
        let take = |record: walferry_kafka::TopicRecord<'_>| records.take(record);
        let never = AtomicBool::new(false);
        let ends = walferry_kafka::read_topic(&config.kafka, &subject.topic, &never, take)?;
        extent = records.extent();
        if extent.truncated_while_read {
            // Not even a snapshot from before it sees the rows that a truncate removes.
            report.incomplete.push(format!(
                "table {} was truncated between the moment of the audit and its reading; audit it again",
                subject.name
            ));
            return Ok(report);
        }
        let unlike = extent.unlike();
        if unlike > 0 {
            report.incomplete.push(format!(
                "table {} has no key, and {unlike} of its rows in the topic are of an older version of the table",
                subject.name
            ));
        }
        for cut in ends.iter().filter(|it| it.first > 0) {
            report.incomplete.push(format!(
                "retention has removed partition {} of topic {} up to offset {}: rows that have not changed since cannot be \
                 compared",
                cut.partition, subject.topic, cut.first
            ));
        }
    }
    let (truncated, snapshot_until) = (extent.truncated, extent.snapshot_until);
    let columns: Vec<String> = subject.columns.iter().map(|it| it.0.clone()).collect();
    let key_text = |key: &[u8]| subject.key_text(key);
    let mut entries = sorter.merge().map_err(sorting)?;
    let mut each = |take: &mut dyn FnMut(Entry)| -> Result<(), Error> {
        while let Some(bytes) = entries.next_entry().map_err(sorting)? {
            let entry = Entry::read(&bytes);
            take(entry.ok_or_else(|| {
                    Error::failed(Code::TemporaryDisk, "the temporary sort file is corrupt: look for faults of the disk under the temporary folder, then try again")
                })?);
        }
        Ok(())
    };
    if subject.keys.is_some() {
        let mut judge = Judge::new(&mut report, &columns, &key_text, differences_max, truncated);
        each(&mut |entry| judge.take(entry))?;
        judge.finish();
    } else {
        let mut multiset = Multiset::new(&mut report, differences_max, truncated, snapshot_until);
        each(&mut |entry| multiset.take(entry))?;
        multiset.finish();
    }
    Ok(report)
}

/// A table that waits is not as far as the others.
fn note_parked(checkpoint: &Checkpoint, moment: Lsn, table: &mut TableAudit) {
    let parked = checkpoint.parked.iter().find(|it| it.table == table.name);
    if let Some(parked) = parked.filter(|it| it.position.end_lsn < moment) {
        let at = parked.position.end_lsn;
        table.incomplete.push(format!(
            "table {} is parked at {at}, before the moment of the audit: {}",
            table.name, parked.reason
        ));
    }
}

fn sorting(error: std::io::Error) -> Error {
    Error::failed(
        Code::TemporaryDisk,
        format!("sorting in {}: {error}", std::env::temp_dir().display()),
    )
}
