//! The first start: what is created on the server, and the rows that are there by then.
//!
//! Owns the order of intent, publication and slot, and what the first snapshot has to know of each table before the slot exists.
//! Invariant: the intent is in Kafka before anything is created, so that a start after a crash knows what is its own.
//! Start reading at `Start::create`.

use std::sync::Arc;

use walferry_event::{Position, RowRange};
use walferry_postgres::{CreatedSlot, SnapshotReader, TableInfo};

use crate::{
    config::SnapshotMode,
    connector::{
        Start, choice,
        claimant::{Claimant, Claimed},
        published::act,
        ring::Begin,
        startup::{self, Found},
    },
    error::Error,
    position::{
        committed::Committed, snapshot_id::SnapshotId, snapshot_progress, table_positions::Held,
    },
    snapshot::{consistent, readers},
    tables::{compile, followed, publication},
};

impl Start {
    /// Intent, publication, slot; and the snapshot that its creation exports.
    pub(super) async fn create(
        &self,
        found: &mut Found,
        claimant: Claimant,
    ) -> Result<Claimed, Error> {
        let source = &self.config.source;
        let with_rows = self.config.snapshot.mode != SnapshotMode::Never;
        if with_rows {
            followed::readable(&self.config, &found.tables)?;
        }
        let claimant = claimant.intend(&source.tables).await?;
        choice::take_out(&self.config, &found.catalog, &found.left_out).await?;
        let ensured = publication::ensure_publication(&self.config, &found.catalog, &found.tables);
        let pid = found.catalog.backend_pid().await?;
        let publication = &self.config.source.publication;
        let what = format!("publication {publication:?}");
        Box::pin(self.held_up(pid, &what, ensured)).await?;
        if !startup::drop_slot(&self.config, &found.catalog, &self.stop).await? {
            startup::may_create_slot(&self.config, &found.catalog).await?;
        }
        let prepared = match with_rows {
            true => Some(self.sources(found).await?),
            false => None,
        };
        let created = self.create_slot(found, with_rows).await?;
        tracing::info!(target: "audit", slot = source.slot, lsn = %created.consistent_point, "slot created");
        let known = act::first(&self.config, &found.catalog).await?;
        let held = Held::at(Position::at(created.consistent_point));
        let mut committed = Committed {
            published: Some(self.known(known).await),
            ..Committed::at(held, &source.tables)
        };
        let Some((reader, sources)) = prepared else {
            return Ok(Claimed {
                claimant: claimant.claim(&committed).await?,
                begin: Begin::Stream,
                committed,
            });
        };
        let exported = created.snapshot_name.unwrap_or_default();
        let anchor = readers::Anchor::hold(reader, &exported).await?;
        let progress = initial(&found.tables, &sources, &anchor.visibility.to_string());
        committed.snapshot = Some(Arc::new(progress.clone()));
        if self.config.snapshot.while_streaming {
            return Ok(Claimed {
                claimant: claimant.claim(&committed).await?,
                begin: Begin::Stream,
                committed,
            });
        }
        let task = consistent::Task {
            config: self.config.clone(),
            anchor,
            consistent_point: created.consistent_point,
            sources,
            progress,
        };
        Ok(Claimed {
            claimant,
            begin: Begin::Snapshot(Box::new(task)),
            committed,
        })
    }

    /// Creates the slot. That waits for every transaction that runs, and for prepared ones; the status says for which.
    pub(super) async fn create_slot(
        &self,
        found: &mut Found,
        with_rows: bool,
    ) -> Result<CreatedSlot, Error> {
        let slot = &self.config.source.slot;
        let pid = found.replication.backend_pid();
        let creation = found.replication.create_slot(slot, with_rows);
        self.held_up(pid, &format!("the creation of slot {slot:?}"), creation)
            .await
    }

    /// What a consistent snapshot has to know before the slot is created, and the session that will hold it.
    async fn sources(
        &self,
        found: &Found,
    ) -> Result<(SnapshotReader, Vec<readers::Source>), Error> {
        startup::can_be_read(&self.config, &found.tables)?;
        let reader = SnapshotReader::connect(&self.config.source.connect, 0).await?;
        let mut sources = Vec::with_capacity(found.tables.len());
        for (job, table) in found.tables.iter().enumerate() {
            let (relation, condition) =
                compile::shape(&self.config, &found.catalog, table.oid).await?;
            let scan = reader.scan(&relation).await?;
            sources.push(readers::Source {
                contents: reader.contents(&scan, condition.as_deref()).await?,
                relation,
                condition,
                left: vec![RowRange::default()],
                job,
            });
        }
        Ok((reader, sources))
    }
}

/// The first snapshot of these tables, not begun: of the rows that `base`, the snapshot of the slot's creation, sees.
fn initial(
    tables: &[TableInfo],
    sources: &[readers::Source],
    base: &str,
) -> snapshot_progress::Progress {
    let job = |(table, source): (&TableInfo, &readers::Source)| {
        let rows = u64::try_from(table.rows_estimated).unwrap_or(0);
        let job =
            snapshot_progress::TableJob::new(table.qualified_name(), SnapshotId::Initial, rows);
        snapshot_progress::TableJob {
            base: Some(base.to_owned()),
            contents: Some(source.contents.of_cursor()),
            ..job
        }
    };
    snapshot_progress::Progress {
        tables: tables.iter().zip(sources).map(job).collect(),
        ..snapshot_progress::Progress::default()
    }
}
