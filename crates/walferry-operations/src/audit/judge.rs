//! The verdict on one table: what the topic makes of each key, against the table's row.
//!
//! Owns the rules. Takes entries in their order (key, then partition and place in it, then the table's row) and holds one key's
//! state at a time. Never: reads anything.
//! Invariants: a key's changes have growing LSNs, because a row is locked until its transaction ends; so a record whose LSN
//! is not above the last one's is a double when the same has been seen, and out of order when not. Rows of snapshots
//! stand outside of this order. A key has its row in one partition: between two there is no order.
//! A key that was written in two forms is two keys to whoever compares bytes, each of which has a state of its own here, and one
//! to whoever decodes them: a delete in another form behind the row takes it from him.
//! Start reading at `Judge::take`.

use std::collections::{BTreeMap, HashSet};

use walferry_event::Lsn;

use crate::audit::{
    entry::{Entry, Side, TOMBSTONE, UNCHANGED, is_value},
    report::{AuditDifference, TableAudit},
};

/// Changes of one key that are remembered to tell a double from a record out of order.
const REMEMBERED_MAX: usize = 100_000;

/// Judges one table.
pub(crate) struct Judge<'a> {
    report: &'a mut TableAudit,
    columns: &'a [String],
    /// Keys as text.
    key_text: &'a dyn Fn(&[u8]) -> String,
    differences_max: usize,
    /// LSN of the last truncate that the moment holds.
    truncated: Option<u64>,
    key: Option<Vec<u8>>,
    /// By the form of the key; 0 is that of now.
    forms: BTreeMap<u32, State>,
}

/// What the topic has said so far of the key in one form.
#[derive(Default)]
struct State {
    /// The partition that is being read, and the row that it tells, as of the moment.
    partition: u32,
    row: Option<Row>,
    /// Rows that the partitions before it tell.
    others: Vec<Row>,
    lsn_max: u64,
    /// LSN, operation and, where it matters, the key's schema of each record.
    seen: HashSet<(u64, u8, u32)>,
    /// Whether the record before this one counts for the moment; a tombstone goes with it.
    last_counted: bool,
}

struct Row {
    lsn: u64,
    columns: Vec<u64>,
    /// LSN of a delete of the key in another form that stands behind it.
    deleted: Option<u64>,
}

impl State {
    /// The records that follow are of another partition.
    fn enter(&mut self, partition: u32) {
        self.partition = partition;
        self.others.extend(self.row.take());
        (self.lsn_max, self.last_counted) = (0, false);
    }
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        report: &'a mut TableAudit,
        columns: &'a [String],
        key_text: &'a dyn Fn(&[u8]) -> String,
        differences_max: usize,
        truncated: Option<u64>,
    ) -> Judge<'a> {
        Judge {
            report,
            columns,
            key_text,
            differences_max,
            truncated,
            key: None,
            forms: BTreeMap::new(),
        }
    }

    /// The next entry.
    pub(crate) fn take(&mut self, entry: Entry) {
        if self.key.as_ref() != Some(&entry.key) {
            self.end_key();
            self.key = Some(entry.key.clone());
        }
        if entry.side == Side::Table {
            return self.row(&entry);
        }
        let state = self.forms.entry(entry.form).or_default();
        if entry.partition != state.partition {
            state.enter(entry.partition);
        }
        if entry.operation != TOMBSTONE {
            self.record(entry);
        } else if state.last_counted {
            state.row = None;
        }
    }

    /// The last key has ended.
    pub(crate) fn finish(mut self) {
        self.end_key();
    }

    fn record(&mut self, entry: Entry) {
        self.order(&entry);
        let state = self.forms.entry(entry.form).or_default();
        state.last_counted = entry.seen;
        if !entry.seen {
            return;
        }
        if entry.operation == b'd' {
            state.row = None;
            let others = self.forms.iter_mut().filter(|it| *it.0 != entry.form);
            for (_, other) in others.filter(|it| it.1.partition == entry.partition) {
                if let Some(row) = &mut other.row {
                    row.deleted = Some(entry.lsn);
                }
            }
            return;
        }
        let mut columns = entry.columns;
        // A value that was not logged because it has not changed is the one of the record before.
        if let Some(before) = &state.row {
            for (column, before) in columns.iter_mut().zip(&before.columns) {
                if *column == UNCHANGED {
                    *column = *before;
                }
            }
        }
        state.row = Some(Row {
            lsn: entry.lsn,
            columns,
            deleted: None,
        });
    }

    fn order(&mut self, entry: &Entry) {
        let state = self.forms.entry(entry.form).or_default();
        let record = (entry.lsn, entry.operation, entry.key_schema);
        let new = if state.seen.len() < REMEMBERED_MAX {
            state.seen.insert(record)
        } else {
            !state.seen.contains(&record)
        };
        // A key that is deleted and inserted by one statement has two records of one LSN.
        let behind = entry.operation != b'r' && entry.lsn < state.lsn_max;
        if new && !behind && entry.operation != b'r' {
            state.lsn_max = entry.lsn;
        }
        if !new {
            self.report.duplicates += 1;
            self.differs("duplicate", Vec::new(), Some(entry.lsn));
        } else if behind {
            self.report.out_of_order += 1;
            self.differs("out_of_order", Vec::new(), Some(entry.lsn));
        }
    }

    /// What the topic says in the end of the key in a form.
    fn held(&mut self, form: u32) -> Option<Row> {
        let truncated = self.truncated;
        let mut state = self.forms.remove(&form)?;
        state.others.extend(state.row.take());
        let mut rows = state.others;
        rows.retain(|row| truncated.is_none_or(|lsn| row.lsn > lsn));
        rows.sort_by_key(|row| row.lsn);
        let last = rows.pop();
        if let (Some(last), false) = (&last, rows.is_empty()) {
            self.report.split += 1;
            self.differs("split", Vec::new(), Some(last.lsn));
        }
        last
    }

    fn row(&mut self, entry: &Entry) {
        self.report.rows += 1;
        let held = self.held(0);
        let deleted = held.as_ref().and_then(|it| it.deleted);
        let Some(held) = held.filter(|_| deleted.is_none()) else {
            self.report.missing += 1;
            self.differs("missing", Vec::new(), deleted);
            return;
        };
        let mut differing = Vec::new();
        for (at, (table, topic)) in entry.columns.iter().zip(&held.columns).enumerate() {
            if !is_value(*topic) || !is_value(*table) {
                self.report.unchecked_values += 1;
            } else if table != topic {
                differing.extend(self.columns.get(at).cloned());
            }
        }
        if !differing.is_empty() {
            self.report.different += 1;
            self.differs("different", differing, Some(held.lsn));
        }
    }

    fn end_key(&mut self) {
        // The table's row has taken the form of now.
        while let Some(form) = self.forms.keys().next().copied() {
            if let Some(row) = self.held(form) {
                self.report.extra += 1;
                self.differs("extra", Vec::new(), Some(row.lsn));
            }
        }
    }

    fn differs(&mut self, kind: &'static str, columns: Vec<String>, lsn: Option<u64>) {
        if self.report.differences.len() < self.differences_max {
            self.report.differences.push(AuditDifference {
                kind,
                key: (self.key_text)(self.key.as_deref().unwrap_or_default()),
                columns,
                lsn: lsn.map(Lsn),
            });
        }
    }
}

#[cfg(test)]
mod tests;
