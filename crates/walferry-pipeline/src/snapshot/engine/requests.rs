//! What people ask of snapshots, on the encode thread: one that begins, ends, is held or goes on.
//!
//! Owns the change of the progress. Never: answers before the mark that makes it durable is made.

use crate::{
    encode::Encoder,
    error::Error,
    position::{
        published_record::Lack,
        snapshot_id::SnapshotId,
        snapshot_progress::{TableJob, TableState},
    },
    snapshot::{engine::Engine, mailbox::Request},
};

impl Engine {
    pub(super) fn accept(&mut self, encoder: &mut Encoder, request: Request) -> Result<(), Error> {
        if request.is_given_up() {
            return Ok(());
        }
        self.forget_finished();
        self.progress.tables.extend(request.jobs());
        self.finished_told = false;
        // Its first mark makes it survive a crash.
        self.mark(encoder)?;
        request.done();
        Ok(())
    }

    /// What has ended is shown until the next snapshot begins.
    pub(super) fn forget_finished(&mut self) {
        let asking = self.described.values().any(Option::is_none);
        if self.windows.is_empty() && !asking && self.progress.finished() {
            self.progress.tables.clear();
            self.described.clear();
            self.rows_max.clear();
            self.unclear.clear();
            self.anew.clear();
            self.held_back.clear();
        }
    }

    pub(super) fn cancel(&mut self, id: &SnapshotId) -> bool {
        self.cancel_if(|table| table.shown.id == *id)
    }

    /// Ends the snapshots of the tables that are chosen. Whether there was one.
    pub(super) fn cancel_if(&mut self, chosen: impl Fn(&TableJob) -> bool) -> bool {
        self.cancel_where(|_, table| chosen(table))
    }

    /// Ends the snapshot of one table.
    pub(super) fn cancel_at(&mut self, at: usize) {
        self.cancel_where(|job, _| job == at);
    }

    fn cancel_where(&mut self, chosen: impl Fn(usize, &TableJob) -> bool) -> bool {
        let mut found = false;
        for (job, table) in self.progress.tables.iter_mut().enumerate() {
            if chosen(job, table) && !table.ended() {
                let id = table.shown.id.as_str();
                found = true;
                table.left.clear();
                table.shown.state = TableState::Cancelled;
                self.windows.retain(|open| open.job != job);
                self.sweeps.retain(|sweep| sweep.job != job);
                self.anew.remove(&job);
                tracing::info!(target: "audit", table = table.shown.name, id, "snapshot cancelled");
                let held = self.held_back.remove(&job).is_some() || table.shown.reason.is_some();
                if held {
                    let reason = "its snapshot was cancelled before its end; `walferry snapshot start -c FILE TABLE` reads its rows";
                    let findings = &self.status.findings;
                    findings.set(&table.shown.name, Lack::Incomplete, reason);
                }
            }
        }
        found
    }

    /// What is being read of a snapshot that is held is let go, and read again when it goes on.
    pub(super) fn hold(&mut self, id: &SnapshotId, held: bool) -> bool {
        let mut found = false;
        for (job, table) in self.progress.tables.iter_mut().enumerate() {
            if table.shown.id != *id || table.ended() {
                continue;
            }
            found = true;
            let reason = table.shown.reason.is_some();
            if table.hold(held) {
                if reason {
                    self.status.findings.clear(&table.shown.name);
                }
                self.anew.remove(&job);
                self.windows.retain(|open| open.job != job);
                self.sweeps.retain(|sweep| sweep.job != job);
                tracing::info!(target: "audit", table = table.shown.name, %id,
                    "snapshot {}", if held { "paused" } else { "resumed" });
            }
        }
        found
    }
}
