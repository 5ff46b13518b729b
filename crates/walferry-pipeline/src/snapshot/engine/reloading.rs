//! Another configuration, and tables of which something else is published than before, on the encode thread between two transactions.
//!
//! Owns the moment, and the record of what is published while the stream runs. Never: alters the publication; tables that are to be
//! added wait until that is done.
//! Invariants: a table that was added is not read before it is in the publication, since what changes before would be in neither;
//! what is recorded is in the same checkpoint as the snapshots that make it true.

use std::sync::Arc;

use walferry_event::{Relation, RowRange};

use crate::{
    encode::{Encoder, change_records::Change, relations::message_keys::KeyNews},
    error::Error,
    position::{
        published_record::{KnownLack, Mend, RecordChange},
        snapshot_id::SnapshotId,
        snapshot_progress::{Meeting, Progress, TableJob, TableState},
    },
    snapshot::{chunk::Sessions, engine::Engine, mailbox::Follow},
};

/// Why a snapshot has ended whose table another one reads.
const REPLACED: &str = "another snapshot reads the table from its beginning";

impl Engine {
    /// Puts the configuration that waits in force, and begins what has to be done about tables.
    pub(super) fn reload(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        if let Some(reload) = self.pending.reload.take() {
            // The tables that are followed stand in the same checkpoint as what is to be read because of it.
            self.progress.followed = Some(reload.config.source.tables.as_slice().into());
            self.config.put(reload.config.clone());
            // The encoder has made its selection and its plans by the one before, up to the end of the transaction.
            encoder.reload(reload.config);
            // Sessions that are open have the old limits.
            self.sessions = Sessions::new(self.config.clone());
            self.pending.follows.push(reload.follow);
        }
        for follow in std::mem::take(&mut self.pending.follows) {
            self.follow(encoder, follow)?;
        }
        Ok(())
    }

    fn follow(&mut self, encoder: &mut Encoder, follow: Follow) -> Result<(), Error> {
        if !follow.jobs.is_empty() {
            self.forget_finished();
            self.unpublished.extend(follow.adding);
            for job in follow.jobs {
                self.begin_job(job);
            }
            self.finished_told = self.progress.finished();
        }
        self.record(&follow.change);
        encoder.relations().admit();
        self.mark(encoder)?;
        // Whoever asked may be gone; what was asked for is done all the same.
        let _ = follow.reply.send(self.progress.serial);
        Ok(())
    }

    /// Begins a snapshot beside those that are under way. One that goes on looks at its table anew.
    fn begin_job(&mut self, mut job: TableJob) {
        let tables = &mut self.progress.tables;
        let (mut joined, mut replaced) = (Vec::new(), Vec::new());
        for (at, table) in tables.iter_mut().enumerate() {
            match job.meets(table) {
                Meeting::Apart => {}
                Meeting::Joined => {
                    table.join(&job);
                    joined.push(at);
                }
                Meeting::Replaced => {
                    job.take_over(table);
                    replaced.push(at);
                }
            }
        }
        for &at in &joined {
            self.let_go(at);
        }
        if joined.is_empty() {
            for at in replaced {
                self.cancel_at(at);
                self.progress.tables[at].shown.reason = Some(REPLACED.into());
            }
            self.progress.tables.push(job);
        }
    }

    /// Tables are in the publication, and may be read; others cannot be, and are not.
    pub(super) fn published(
        &mut self,
        encoder: &mut Encoder,
        added: &[String],
        refused: &[String],
        change: &RecordChange,
    ) -> Result<(), Error> {
        self.unpublished
            .retain(|it| !added.contains(it) && !refused.contains(it));
        self.cancel_if(|it| it.shown.id == SnapshotId::Added && refused.contains(&it.shown.name));
        self.record(change);
        self.mark(encoder)
    }

    /// What keys topics are written with, and what is wrong with those that were written with others: in a mark that commits with
    /// the first records of each, because a restart does not bring those again.
    pub(crate) fn record_keys(&mut self, encoder: &mut Encoder) -> Result<(), Error> {
        match self.take_keys(encoder) {
            true => self.mark(encoder),
            false => Ok(()),
        }
    }

    /// Whether there is anything new for the next mark.
    pub(super) fn take_keys(&mut self, encoder: &mut Encoder) -> bool {
        let news = encoder.relations().keys.take_news();
        self.unrecorded.extend(news);
        self.record_known_keys()
    }

    /// Records the keys of tables that stand in the record: the first change of a table may come before the first look at it.
    fn record_known_keys(&mut self) -> bool {
        let Some(record) = &mut self.progress.published else {
            return false;
        };
        let followed = |it: &mut KeyNews| record.tables.contains_key(&it.table);
        let news: Vec<KeyNews> = self.unrecorded.extract_if(.., followed).collect();
        if news.is_empty() {
            return false;
        }
        let record = Arc::make_mut(record);
        for it in news {
            record.uses_key(&it.table, it.key);
            if let Some(lack) = it.lack {
                record.lacks(&it.table, lack);
            }
        }
        true
    }

    fn record(&mut self, change: &RecordChange) {
        for (table, _) in &change.entries {
            self.strange.forget(table);
        }
        if !change.is_empty() {
            let record = self.progress.published.get_or_insert_default();
            Arc::make_mut(record).apply(change);
            // The caller's mark carries them.
            self.record_known_keys();
        }
    }

    /// The stream brings changes of a table under a name. Where the name, or the table under another name, is followed, its topic has
    /// to be told anew, unless that is about to be done.
    pub(super) fn strange(
        &mut self,
        encoder: &mut Encoder,
        relation: &Relation,
    ) -> Result<(), Error> {
        let Some(record) = &self.progress.published else {
            return Ok(());
        };
        let mut strange = record.strange_by(relation.oid, &relation.qualified_name());
        let untouched = |it: &TableJob| it.left.is_empty() || it.left == [RowRange::default()];
        let due = |it: &TableJob| !it.ended() && (it.sweep || it.truncate) && untouched(it);
        strange.retain(|table| {
            let mut jobs = self.progress.tables.iter();
            !jobs.any(|it| it.shown.name == *table && due(it))
        });
        if strange.is_empty() {
            return Ok(());
        }
        let record = Arc::make_mut(self.progress.published.get_or_insert_default());
        for table in &strange {
            tracing::info!(
                table,
                oid = relation.oid,
                name = relation.qualified_name(),
                "the stream brings changes of another table under the name of this one, or of this one under another name"
            );
            record.set_strange(table);
            self.strange.add(table);
        }
        self.mark(encoder)
    }

    /// The stream brings a change. Where it is of a table that the relation described just before is a partition of, and that was not
    /// known, a topic lacks it or has it too many as soon as it is behind us: what the next mark has to say.
    pub(crate) fn misplaced(&mut self, oid: u32, change: &Change<'_>) -> Option<Arc<Progress>> {
        // One TRUNCATE is of several tables, which are all described before it.
        let leaf = self.said.take().filter(|leaf| *leaf != oid)?;
        if matches!(change, Change::Truncate) {
            return None;
        }
        let record = Arc::make_mut(self.progress.published.as_mut()?);
        if !record.meet_leaf(oid, leaf, &self.strange) {
            return None;
        }
        self.progress.serial += 1;
        Some(Arc::new(self.progress.clone()))
    }

    /// What was known to be wrong with a topic is right when the last snapshot that mends that is done.
    pub(super) fn mended(&mut self) {
        let tables = &mut self.progress.tables;
        let done: Vec<usize> = (0..tables.len())
            .filter(|&job| tables[job].mends && tables[job].shown.state == TableState::Done)
            .collect();
        for job in done {
            tables[job].mends = false;
            let name = tables[job].shown.name.clone();
            let by = tables[job].by;
            for until in Mend::ALL.into_iter().filter(|it| by.covers(*it)) {
                let waits = |it: &TableJob| {
                    it.mends && it.by.covers(until) && it.shown.name == name && !it.ended()
                };
                if tables.iter().any(waits) {
                    continue;
                }
                let record = self.progress.published.get_or_insert_default();
                Arc::make_mut(record).mended(&name, until);
                self.status.findings.mended(&name, until);
            }
        }
    }

    /// A snapshot that was to complete a table cannot go on.
    pub(super) fn lacks(&mut self, job: usize, why: &str) {
        let Some(table) = self.progress.tables.get(job).filter(|it| it.mends) else {
            return;
        };
        let name = &table.shown.name;
        let reason = format!(
            "its rows cannot be read: {why}; mend that, then `walferry resync {name} -c FILE`"
        );
        let record = self.progress.published.get_or_insert_default();
        let lack = KnownLack {
            surplus: false,
            until: Mend::Whole,
            reason,
        };
        if Arc::make_mut(record).lacks(name, lack.clone()) {
            self.status.findings.tell(name, &lack);
        }
    }
}
