//! `walferry resync`: a new slot where changes were lost, and every table to be read again.
//!
//! Owns what a resync has to know and to create before the ring turns. The rows and what is gone are told by snapshots beside the
//! stream (`snapshot`), whose state is in the checkpoint, so that a resync goes on after a crash, also as `walferry run`.
//! Never: empties a topic; creates a slot before everything else has been looked at.
//! Invariant: until the checkpoint says that the tables are read again, a start is refused as before, and a resync begins anew.
//! Start reading at `Start::anew`.

use std::sync::{Arc, atomic::Ordering};

use walferry_event::{Code, Position};
use walferry_postgres::{Catalog, SnapshotReader, TableInfo};

use crate::{
    config::{Config, Envelope, Operation},
    connector::{
        Start, choice,
        claimant::{Claimant, Claimed},
        published::act,
        ring::Begin,
        startup::{self, Found},
    },
    error::Error,
    position::{
        committed::Committed,
        recovery::{self, Decision, Evidence},
        snapshot_id::SnapshotId,
        snapshot_progress::{self, TableJob},
        table_positions::Held,
    },
    status::known,
    tables::{
        compile::{self, has_key},
        followed, publication,
    },
};

impl Start {
    /// What to do, by the recovery table or, when a resync is asked for, by what it makes of it.
    pub(super) fn decide(
        &self,
        evidence: &Evidence,
        progress: Option<&snapshot_progress::Progress>,
    ) -> (&'static str, Decision) {
        match self.wanted() {
            None => recovery::decide(evidence),
            Some(tables) => {
                let ours = |it: &TableJob| it.shown.id == SnapshotId::Resync && !it.ended();
                let begun = progress.is_some_and(|it| it.tables.iter().any(ours));
                recovery::resync(evidence, !tables.is_empty(), begun)
            }
        }
    }

    /// The tables of the resync that is asked for; none when there is none, or it has been begun.
    fn wanted(&self) -> Option<&[String]> {
        let wanted = self.config.resync.as_deref();
        wanted.filter(|_| self.resync.load(Ordering::Relaxed))
    }

    /// The progress, with the tables that are to be read again while the slot is as it should be.
    pub(super) async fn again(
        &self,
        found: &Found,
        progress: Option<snapshot_progress::Progress>,
    ) -> Result<Option<snapshot_progress::Progress>, Error> {
        let Some(names) = self.wanted().filter(|names| !names.is_empty()) else {
            return Ok(progress);
        };
        let mut progress = progress.unwrap_or_default();
        let is_named = |it: &&choice::LeftOut| names.contains(&it.table.qualified_name());
        if let Some(it) = found.left_out.iter().find(is_named) {
            let (name, what, remedy) = (it.table.qualified_name(), &it.what, &it.remedy);
            let text = format!("table {name:?} is left out and not read again: {what}; {remedy}");
            return Err(Error::invalid(Code::TableLeftOut, text));
        }
        let tables = named(&self.config, &found.tables, names)?;
        let infos: Vec<TableInfo> = tables.into_iter().cloned().collect();
        for job in jobs(&self.config, &found.catalog, &infos, &found.tables).await? {
            let same = |it: &TableJob| {
                it.shown.id == SnapshotId::Resync && it.shown.name == job.shown.name
            };
            progress.tables.retain(|it| !same(it));
            progress.begin(job);
        }
        renew_topics(&self.config, &infos);
        Ok(Some(progress))
    }

    /// The tables of a slot that is taken over with a snapshot: what the slot does not bring is read beside its stream. Without a key
    /// it cannot be told what it brings.
    pub(super) async fn adopted(
        &self,
        found: &Found,
        progress: Option<snapshot_progress::Progress>,
        known: &mut known::Known,
    ) -> Result<Option<snapshot_progress::Progress>, Error> {
        if !self.config.source.adopt_with_snapshot {
            return Ok(progress);
        }
        let mut progress = progress.unwrap_or_default();
        for table in &found.tables {
            let name = table.qualified_name();
            if !has_key(&self.config, &found.catalog, table).await? {
                known.lacks(
                    &self.status.findings,
                    &name,
                    "the slot was taken over, and without a key it cannot be told which rows it brings: what was there before is not \
                     published",
                );
                continue;
            }
            let rows = u64::try_from(table.rows_estimated).unwrap_or(0);
            let mut job = TableJob::new(name, SnapshotId::Initial, rows);
            job.added = true;
            progress.tables.push(job);
        }
        Ok(Some(progress))
    }

    /// Whether every table may be read again.
    pub(super) async fn can_resync(&self, found: &Found) -> Result<(), Error> {
        if !self.config.source.create {
            return Err(Error::invalid(
                Code::SlotMissing,
                "a resync creates a slot, and source.create is false: let it be true until the resync has ended",
            ));
        }
        jobs(&self.config, &found.catalog, &found.tables, &found.tables)
            .await
            .map(drop)
    }

    /// A new slot, and every table to be read again.
    pub(super) async fn anew(
        &self,
        found: &mut Found,
        claimant: Claimant,
    ) -> Result<Claimed, Error> {
        let source = &self.config.source;
        let mut jobs = jobs(&self.config, &found.catalog, &found.tables, &found.tables).await?;
        // The publication first: a slot streams by what the publication was when a change was made.
        choice::take_out(&self.config, &found.catalog, &found.left_out).await?;
        let added = publication::added(&self.config, &found.catalog, &found.tables).await?;
        publication::add_tables(&self.config, &found.catalog, &added).await?;
        publication::ensure_publication(&self.config, &found.catalog, &found.tables).await?;
        let reader = SnapshotReader::connect(&source.connect, 0).await?;
        for (job, table) in jobs.iter_mut().zip(&found.tables) {
            // Before the slot: what is rewritten between the two is found out.
            let (relation, filter) =
                compile::shape(&self.config, &found.catalog, table.oid).await?;
            let scan = reader.scan(&relation).await?;
            let contents = reader.contents(&scan, filter.as_deref()).await?;
            job.contents = Some(contents.of_cursor());
        }
        if startup::drop_slot(&self.config, &found.catalog, &self.stop).await? {
            tracing::info!(target: "audit", slot = source.slot, "slot dropped, for a new one");
        }
        let created = self.create_slot(found, true).await?;
        reader
            .enter(&created.snapshot_name.unwrap_or_default())
            .await?;
        let base = reader.visibility().await?;
        reader.leave().await?;
        tracing::info!(target: "audit", slot = source.slot, lsn = %created.consistent_point, tables = jobs.len(),
            "slot created: every table is read again");
        for job in &mut jobs {
            // Of a table without a key: what the slot does not bring is what this snapshot sees.
            job.base = Some(base.to_string());
        }
        renew_topics(&self.config, &found.tables);
        let held = Held::at(Position::at(created.consistent_point));
        let progress = snapshot_progress::Progress {
            tables: jobs,
            ..snapshot_progress::Progress::default()
        };
        let known = act::first(&self.config, &found.catalog).await?;
        let committed = Committed {
            snapshot: Some(Arc::new(progress)),
            published: Some(self.known(known).await),
            ..Committed::at(held, &source.tables)
        };
        let claimant = claimant.claim(&committed).await?;
        self.resync.store(false, Ordering::Relaxed);
        Ok(Claimed {
            claimant,
            begin: Begin::Stream,
            committed,
        })
    }
}

/// What has to be done for tables that are to be read again while the connector runs.
pub(crate) async fn jobs_of(
    config: &Config,
    catalog: &Catalog,
    names: &[String],
) -> Result<Vec<TableJob>, Error> {
    let all = followed::select(config, catalog).await?;
    let tables = named(config, &all, names)?;
    let infos: Vec<TableInfo> = tables.into_iter().cloned().collect();
    jobs(config, catalog, &infos, &all).await
}

/// What was deleted and created again is filled from now on.
fn renew_topics(config: &Config, tables: &[TableInfo]) {
    for table in tables {
        config
            .kafka
            .topics
            .renew(&config.topic(&table.schema, &table.name));
    }
}

/// The tables of these names.
fn named<'a>(
    config: &Config,
    tables: &'a [TableInfo],
    names: &[String],
) -> Result<Vec<&'a TableInfo>, Error> {
    let find = |name: &String| {
        let found = tables.iter().find(|it| it.qualified_name() == *name);
        found.ok_or_else(|| {
            Error::invalid(Code::TableNotFollowed, format!(
                "table {name:?} is not followed by connector {:?}; name it as schema.table, as in source.tables",
                config.name
            ))
        })
    };
    names.iter().map(find).collect()
}

/// What has to be done for each table, if all checks pass. `all` are the connector's tables.
async fn jobs(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
    all: &[TableInfo],
) -> Result<Vec<TableJob>, Error> {
    let topic = |it: &TableInfo| config.topic(&it.schema, &it.name);
    let mut jobs = Vec::with_capacity(tables.len());
    for table in tables {
        let name = table.qualified_name();
        followed::readable(config, std::slice::from_ref(table))?;
        let keyed = has_key(config, catalog, table).await?;
        let apart = keyed && config.physical_table(&table.schema, &table.name).is_some();
        let other = |it: &&TableInfo| it.oid != table.oid && topic(it) == topic(table);
        if let Some(other) = all.iter().find(other).filter(|_| !apart) {
            return Err(Error::invalid(
                Code::SharedTopic,
                format!(
                    "tables {name} and {} share topic {:?}, so that it cannot be told which keys of it are gone from which table; \
                 let keys tell them apart (table_in_key), or give each its own topic",
                    other.qualified_name(),
                    topic(table)
                ),
            ));
        }
        let skips = |operation| config.skipped_operations.contains(&operation);
        if !keyed && (skips(Operation::Truncate) || config.format.envelope == Envelope::Flat) {
            return Err(Error::invalid(
                Code::SnapshotImpossible,
                format!(
                    "table {name} has no key, so that its topic has to be ended by a truncate before its rows are told again, and \
                 truncates are not published; publish them (format.skipped_operations, format.envelope), give the table a \
                 key, or a new topic"
                ),
            ));
        }
        let rows = u64::try_from(table.rows_estimated).unwrap_or(0);
        jobs.push(TableJob {
            sweep: keyed && !skips(Operation::Delete),
            truncate: !keyed,
            mends: true,
            ..TableJob::new(name, SnapshotId::Resync, rows)
        });
    }
    Ok(jobs)
}
