//! What is left of each snapshot: the cursor in the checkpoint record, and the part of it that `/status` shows.
//!
//! Owns `Progress`. Pure: no I/O. The shape is in every checkpoint record while a snapshot runs, so that any start can go on.
//! Invariants: a range leaves `left` only with the mark behind its last row; the ranges of a table do not overlap; a table is
//! done when nothing is left of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use walferry_event::{Lsn, RowKey, RowRange};
use walferry_postgres::Contents;

use crate::position::{
    published_record::{Mend, Record},
    snapshot_id::SnapshotId,
};

/// How far all snapshots have come: the `snapshot` field of the checkpoint record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The tables of all snapshots that have not been forgotten, in the order in which they are read.
    pub tables: Vec<TableJob>,
    /// Grows with each mark of this ring: what stands before a mark is committed when the committed progress has come to it.
    #[serde(skip)]
    pub(crate) serial: u64,
    /// The tables that are followed from here on, when they have changed since the start: they go into the same checkpoint.
    #[serde(skip)]
    pub(crate) followed: Option<Arc<[String]>>,
    /// What is published of the tables from here on: it goes into the same transaction.
    #[serde(skip)]
    pub(crate) published: Option<Arc<Record>>,
}

/// One table of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableJob {
    /// What `/status` shows of it.
    #[serde(flatten)]
    pub shown: TableProgress,
    /// What has not been read yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<RowRange>,
    /// Only rows that fit this SQL condition.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Of a table without a key: the snapshot whose rows are read; later ones come with the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What the ranges are of; unknown until the table has been looked at. With other contents they mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// The table was added to the publication for this snapshot: changes that were made before that are not streamed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
    /// Keys that the topic has and the table has no more are to be deleted, once the rows have been read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sweep: bool,
    /// Among what is deleted are keys that rows of the table may have in another form: they are told again behind that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) retell: bool,
    /// What the topic has is to be ended by a truncate, before anything else: nothing tells its rows apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncate: bool,
    /// What is known to be wrong with the topic is right when this is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mends: bool,
    /// How far that goes.
    #[serde(default, skip_serializing_if = "Mend::is_whole")]
    pub(crate) by: Mend,
    /// Where the stream stood when its reading began: an earlier reading may have given the same rows there, and a record is told
    /// once at a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) beyond: Option<Lsn>,
}

/// How far the snapshot of one table has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProgress {
    /// `schema.table`.
    pub name: String,
    /// Which snapshot it belongs to.
    pub id: SnapshotId,
    /// Rows published.
    pub rows: u64,
    /// Deletes published, of keys that only the topic had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deletes: u64,
    /// Rows as the planner's statistics have it; 0 when unknown.
    pub rows_estimated: u64,
    /// Where it stands.
    pub state: TableState,
    /// Why it was ended or held back, when that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Snapshots with a higher one are read first.
    #[serde(default, skip_serializing_if = "is_none")]
    pub priority: i32,
}

/// The state of one table's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// Not begun.
    Waiting,
    /// Being read.
    Running,
    /// Held by the operator, until it is resumed.
    Paused,
    /// Read.
    Done,
    /// Cancelled before its end.
    Cancelled,
}

/// What becomes of a snapshot of a whole table that is under way when something else has to be done about the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// They have nothing to do with each other.
    Apart,
    /// The one that is under way does what the other was to do, beside what is left of it.
    Joined,
    /// The other reads the table from its beginning, in place of the one that is under way.
    Replaced,
}

fn is_none(priority: &i32) -> bool {
    *priority == 0
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl TableJob {
    /// A table that has not been begun.
    pub(crate) fn new(name: String, id: SnapshotId, rows_estimated: u64) -> TableJob {
        TableJob {
            shown: TableProgress {
                name,
                id,
                rows: 0,
                deletes: 0,
                rows_estimated,
                state: TableState::Waiting,
                reason: None,
                priority: 0,
            },
            left: vec![RowRange::default()],
            condition: None,
            base: None,
            contents: None,
            added: false,
            sweep: false,
            retell: false,
            truncate: false,
            mends: false,
            by: Mend::Whole,
            beyond: None,
        }
    }

    /// Its reading begins while the stream stands at `at`. An initial one is the first that gives any rows.
    pub(crate) fn begins_at(&mut self, at: Lsn) {
        let fresh = self.left == [RowRange::default()];
        if fresh && (self.shown.id != SnapshotId::Initial || self.beyond.is_some()) {
            self.beyond = Some(at);
        }
    }

    /// What was read is not worth anything: all of it is left again. The stream stands at `at`.
    pub(crate) fn begin_again(&mut self, at: Lsn) {
        self.left = vec![RowRange::default()];
        (self.base, self.contents, self.beyond) = (None, None, Some(at));
        self.shown.rows = 0;
        if !self.ended() && self.shown.state != TableState::Paused {
            self.shown.state = TableState::Waiting;
        }
    }

    /// What becomes of one that is `under_way` when this one begins. One that only sweeps never takes the place of one that may
    /// have rows to read.
    pub(crate) fn meets(&self, under_way: &TableJob) -> Meeting {
        let whole = self.condition.is_none() && under_way.condition.is_none();
        if !whole || under_way.ended() || self.shown.name != under_way.shown.name {
            return Meeting::Apart;
        }
        match self.left.is_empty() {
            true => Meeting::Joined,
            false => Meeting::Replaced,
        }
    }

    /// Does what another was to do as well, when its own rows have been read.
    pub(crate) fn join(&mut self, other: &TableJob) {
        self.sweep |= other.sweep;
        if other.mends && !self.mends {
            (self.mends, self.by) = (true, other.by);
        }
    }

    /// Does what another, in whose place it is, had still to do about the topic.
    pub(crate) fn take_over(&mut self, other: &TableJob) {
        self.mends |= other.mends;
        // Of what is half in the stream, the rows have to wait for its end whoever reads them.
        self.added |= other.added;
        if !self.sweep && !self.truncate {
            (self.sweep, self.truncate) = (other.sweep, other.truncate);
        }
    }

    /// Ends it before its end, for a reason that was not asked for.
    pub(crate) fn give_up(&mut self, reason: &str) {
        self.left.clear();
        self.shown.state = TableState::Cancelled;
        self.shown.reason = Some(reason.to_owned());
    }

    /// Nothing is left of it: it is done, unless something else has still to be done.
    pub(crate) fn settle(&mut self) {
        if self.ended() || !self.left.is_empty() || self.sweep {
            return;
        }
        self.shown.state = TableState::Done;
        tracing::info!(target: "audit", table = self.shown.name, rows = self.shown.rows,
            deletes = self.shown.deletes, "snapshot of a table is complete");
    }

    /// Whether there is nothing more to do.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.shown.state, TableState::Done | TableState::Cancelled)
    }

    /// Whether it may be read now.
    pub(crate) fn due(&self) -> bool {
        !self.ended() && self.shown.state != TableState::Paused
    }

    /// Holds it, or lets it go on. Whether that is news.
    pub(crate) fn hold(&mut self, held: bool) -> bool {
        let paused = self.shown.state == TableState::Paused;
        if self.ended() || paused == held {
            return false;
        }
        self.shown.state = match held {
            true => TableState::Paused,
            false => TableState::Waiting,
        };
        self.shown.reason = None;
        true
    }

    /// Everything of the range up to and including `key` is in the topics.
    pub(crate) fn advance(&mut self, range: usize, key: RowKey) {
        if self.shown.state != TableState::Paused {
            self.shown.state = TableState::Running;
        }
        if let Some(range) = self.left.get_mut(range) {
            range.after = Some(key);
        }
    }

    /// Part of the table that is read, 0 to 1, by the estimate.
    pub(crate) fn ratio(&self) -> f64 {
        match self.shown.state {
            TableState::Done => 1.0,
            _ => {
                self.shown.rows as f64
                    / self.shown.rows_estimated.max(self.shown.rows).max(1) as f64
            }
        }
    }
}

impl Progress {
    /// Begins the snapshot of one more table, before anything is read of any.
    pub(crate) fn begin(&mut self, mut job: TableJob) {
        let mut joined = false;
        self.tables.retain_mut(|it| match job.meets(it) {
            Meeting::Apart => true,
            Meeting::Joined => {
                it.join(&job);
                joined = true;
                true
            }
            Meeting::Replaced => {
                job.take_over(it);
                false
            }
        });
        if !joined {
            self.tables.push(job);
        }
    }

    /// Whether no snapshot has anything left to do.
    pub(crate) fn finished(&self) -> bool {
        self.tables.iter().all(TableJob::ended)
    }

    /// The tables in the order in which they are read: by priority, then as they were asked for.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.tables.len()).collect();
        order.sort_by_key(|&job| std::cmp::Reverse(self.tables[job].shown.priority));
        order
    }

    /// From a checkpoint record; nothing when no snapshot was under way.
    ///
    /// # Errors
    /// The record was written by a version whose cursor is not known here.
    pub(crate) fn read(
        value: Option<&serde_json::Value>,
    ) -> Result<Option<Progress>, serde_json::Error> {
        value
            .map(Progress::deserialize)
            .transpose()
            .map(|progress| progress.filter(|progress| !progress.finished()))
    }

    /// Shows it in the metrics; rows are counted from what was shown `before` on.
    pub(crate) fn meter(&self, connector: &str, before: Option<&Progress>) {
        for (i, table) in self.tables.iter().enumerate() {
            let labels = [
                ("connector", connector.to_owned()),
                ("table", table.shown.name.clone()),
            ];
            let same =
                |it: &&TableJob| it.shown.id == table.shown.id && it.shown.name == table.shown.name;
            let known = match before {
                Some(before) => before.tables.get(i).filter(same),
                None => Some(table),
            };
            let known = known.map_or((0, 0), |it| (it.shown.rows, it.shown.deletes));
            let fresh = table.shown.rows.saturating_sub(known.0);
            if fresh > 0 {
                metrics::counter!("walferry_snapshot_rows_total", &labels).increment(fresh);
            }
            let fresh = table.shown.deletes.saturating_sub(known.1);
            if fresh > 0 {
                metrics::counter!("walferry_snapshot_deletes_total", &labels).increment(fresh);
            }
            metrics::gauge!("walferry_snapshot_progress_ratio", &labels).set(table.ratio());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(tables: Vec<TableJob>) -> Progress {
        Progress {
            tables,
            ..Progress::default()
        }
    }

    #[test]
    fn the_cursor_is_read_back_as_it_was_written() {
        let mut job = TableJob::new("public.t".into(), SnapshotId::Initial, 100);
        job.advance(0, vec!["7".into(), "ä'\"".into()]);
        job.shown.rows = 7;
        job.condition = Some("a > 1".into());
        job.contents = Some(Contents {
            oid: 7,
            files: [(7, 70)].into(),
            order: String::new(),
            filter: None,
        });
        let progress = progress(vec![job]);
        let json = serde_json::to_value(&progress).unwrap();
        assert_eq!(json["tables"][0]["left"][0]["after"][0], "7");
        assert_eq!(json["tables"][0]["state"], "running");
        assert_eq!(Progress::read(Some(&json)).unwrap(), Some(progress.clone()));
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }

    #[test]
    fn a_finished_one_is_not_gone_on_with() {
        let mut job = TableJob::new("public.t".into(), SnapshotId::Initial, 0);
        job.left.clear();
        job.shown.state = TableState::Done;
        let json = serde_json::to_value(progress(vec![job])).unwrap();
        assert_eq!(Progress::read(Some(&json)).unwrap(), None);
        assert_eq!(Progress::read(None).unwrap(), None);
    }

    #[test]
    fn a_higher_priority_is_read_first_and_a_paused_one_not_at_all() {
        let job = |name: &str, priority| {
            let mut job = TableJob::new(name.into(), SnapshotId::Asked("1f2e3d4c".into()), 1);
            job.shown.priority = priority;
            job
        };
        let tables = vec![
            job("a", 0),
            job("b", 5),
            job("c", 0),
            job("d", -1),
            job("e", 5),
        ];
        let mut progress = progress(tables);
        assert_eq!(progress.order(), [1, 4, 0, 2, 3]);
        let table = &mut progress.tables[0];
        assert!(table.hold(true) && !table.hold(true) && !table.due());
        table.advance(0, vec!["7".into()]);
        assert!(
            !table.due(),
            "a row that was on its way does not let it go on"
        );
        assert!(!progress.finished(), "it is not over");
        let json = serde_json::to_value(&progress).unwrap();
        let mut read = Progress::read(Some(&json)).unwrap().unwrap();
        assert_eq!(read, progress);
        assert!(read.tables[0].hold(false) && read.tables[0].due());
    }

    #[test]
    fn the_ratio_never_passes_one() {
        let mut job = TableJob::new("public.t".into(), SnapshotId::Initial, 10);
        job.shown.rows = 40;
        assert!((job.ratio() - 1.0).abs() < f64::EPSILON);
        job.shown.rows_estimated = 80;
        assert!((job.ratio() - 0.5).abs() < f64::EPSILON);
    }
}
