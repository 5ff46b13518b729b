//! What the status knows of snapshots: how far they have come, and how fast.
//!
//! Owns the log line and the metrics that show the same figures. Never: asks a server.

use std::{sync::Arc, time::Instant};

use crate::{
    position::snapshot_progress::{Progress, TableState},
    status::{Inner, Status, report::SnapshotStatus},
};

impl Status {
    /// This is how far snapshots have come, as far as it is committed.
    pub(crate) fn set_snapshot(&self, progress: Arc<Progress>) {
        let mut inner = self.inner();
        progress.meter(&self.name, inner.snapshot.as_deref());
        let tell = inner.rates.note(&progress, Instant::now());
        inner.snapshot = Some(progress);
        for it in inner.snapshots() {
            let labels = [
                ("connector", self.name.clone()),
                ("table", it.table.name.clone()),
            ];
            let shown = |figure: Option<u64>| figure.unwrap_or_default() as f64;
            metrics::gauge!("walferry_snapshot_rows_per_second", &labels)
                .set(shown(it.rows_per_second));
            metrics::gauge!("walferry_snapshot_seconds_left", &labels).set(shown(it.seconds_left));
            if tell && it.table.state == TableState::Running {
                tracing::info!(
                    table = it.table.name,
                    rows = it.table.rows,
                    rows_estimated = it.table.rows_estimated,
                    rows_per_second = it.rows_per_second,
                    seconds_left = it.seconds_left,
                    "snapshot of a table goes on"
                );
            }
        }
    }

    /// Which mark of the progress is committed.
    pub(crate) fn snapshot_serial(&self) -> u64 {
        self.inner().snapshot.as_ref().map_or(0, |it| it.serial)
    }
}

impl Inner {
    /// The tables of all snapshots, with their rates.
    pub(super) fn snapshots(&self) -> Vec<SnapshotStatus> {
        let now = Instant::now();
        let tables = self.snapshot.iter().flat_map(|it| &it.tables);
        tables
            .map(|job| SnapshotStatus {
                table: job.shown.clone(),
                rows_per_second: self.rates.rows_per_second(&job.shown, now),
                seconds_left: self.rates.seconds_left(&job.shown, now),
            })
            .collect()
    }
}
