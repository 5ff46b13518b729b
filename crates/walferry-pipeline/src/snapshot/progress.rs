//! What is left of each snapshot: the cursor in the checkpoint record, and the part of it that `/status` shows.
//!
//! Owns [`Progress`]. Pure: no I/O. The shape is in every checkpoint record while a snapshot runs, so that any start can go on.
//! Invariants: a range leaves `left` only with the mark behind its last row; the ranges of a table do not overlap; a table is
//! done when nothing is left of it.

use serde::{Deserialize, Serialize};
use walferry_event::{RowKey, RowRange};

/// How far all snapshots have come: the `snapshot` field of the checkpoint record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The tables of all snapshots that have not been forgotten, in the order in which they are read.
    pub tables: Vec<TableJob>,
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
    /// The table was added to the publication for this snapshot: changes that were made before that are not streamed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
}

/// How far the snapshot of one table has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProgress {
    /// `schema.table`.
    pub name: String,
    /// Which snapshot it belongs to: `initial`, `added`, or the id of one that was asked for.
    pub id: String,
    /// Rows published.
    pub rows: u64,
    /// Rows as the planner's statistics have it; 0 when unknown.
    pub rows_estimated: u64,
    /// Where it stands.
    pub state: TableState,
}

/// The state of one table's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// Not begun.
    Waiting,
    /// Being read.
    Running,
    /// Read.
    Done,
    /// Cancelled before its end.
    Cancelled,
}

impl TableJob {
    /// A table that has not been begun.
    pub(crate) fn new(name: String, id: &str, rows_estimated: u64) -> TableJob {
        TableJob {
            shown: TableProgress {
                name,
                id: id.to_owned(),
                rows: 0,
                rows_estimated,
                state: TableState::Waiting,
            },
            left: vec![RowRange::default()],
            condition: None,
            base: None,
            added: false,
        }
    }

    /// Whether there is nothing more to do.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.shown.state, TableState::Done | TableState::Cancelled)
    }

    /// Everything of the range up to and including `key` is in the topics.
    pub(crate) fn advance(&mut self, range: usize, key: RowKey) {
        self.shown.state = TableState::Running;
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
    /// Whether no snapshot has anything left to do.
    pub(crate) fn finished(&self) -> bool {
        self.tables.iter().all(TableJob::ended)
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
                Some(before) => before
                    .tables
                    .get(i)
                    .filter(same)
                    .map_or(0, |it| it.shown.rows),
                None => table.shown.rows,
            };
            let fresh = table.shown.rows.saturating_sub(known);
            if fresh > 0 {
                metrics::counter!("walferry_snapshot_rows_total", &labels).increment(fresh);
            }
            metrics::gauge!("walferry_snapshot_progress_ratio", &labels).set(table.ratio());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_read_back_as_it_was_written() {
        let mut job = TableJob::new("public.t".into(), "initial", 100);
        job.advance(0, vec!["7".into(), "ä'\"".into()]);
        job.shown.rows = 7;
        job.condition = Some("a > 1".into());
        let progress = Progress { tables: vec![job] };
        let json = serde_json::to_value(&progress).unwrap();
        assert_eq!(json["tables"][0]["left"][0]["after"][0], "7");
        assert_eq!(json["tables"][0]["state"], "running");
        assert_eq!(Progress::read(Some(&json)).unwrap(), Some(progress));
    }

    #[test]
    fn a_finished_one_is_not_gone_on_with() {
        let mut job = TableJob::new("public.t".into(), "initial", 0);
        job.left.clear();
        job.shown.state = TableState::Done;
        let json = serde_json::to_value(Progress { tables: vec![job] }).unwrap();
        assert_eq!(Progress::read(Some(&json)).unwrap(), None);
        assert_eq!(Progress::read(None).unwrap(), None);
    }

    #[test]
    fn the_ratio_never_passes_one() {
        let mut job = TableJob::new("public.t".into(), "initial", 10);
        job.shown.rows = 40;
        assert!((job.ratio() - 1.0).abs() < f64::EPSILON);
        job.shown.rows_estimated = 80;
        assert!((job.ratio() - 0.5).abs() < f64::EPSILON);
    }
}
