//! The rows of a snapshot: those from before the stream, folded from the witness's changes, and those that the topics show.
//!
//! Owns both sides of that comparison. Never: events of the stream.

use std::sync::Arc;

use super::super::change::{Change, Event, Op, Row};
use super::super::difference::{fill_unchanged, tell};
use super::super::report::Fault;
use super::super::rules::Start;
use super::{Judge, print};

impl Judge {
    /// Applies a change to the rows of the snapshot.
    pub(super) fn fold(&mut self, mut change: Change) {
        let index = self.by_name[&change.table];
        let lsn = change.lsn;
        let keyless = self.tables[index as usize].key(lsn).is_empty();
        let old = change.old.take().map(|row| self.tidy(index, row));
        let new = change.new.take().map(|row| self.tidy(index, row));
        if keyless {
            self.beside
                .fold(index, change.op, old.as_ref(), new.as_ref());
            return;
        }
        match change.op {
            Op::Truncate => self.base.retain(|(table, _), _| *table != index),
            Op::Delete => {
                let key = self.key_of(index, lsn, old.as_ref());
                self.base.remove(&(index, key));
            }
            _ => {
                let key = self.key_of(index, lsn, new.as_ref());
                let old_key = old
                    .as_ref()
                    .map_or(key, |old| self.key_of(index, lsn, Some(old)));
                let before = self.base.remove(&(index, old_key)).map(|(row, _)| row);
                let row = fill_unchanged(new.unwrap_or_default(), before.as_ref());
                self.base.insert((index, key), (row, false));
            }
        }
    }

    pub(super) fn observe_snapshot_row(
        &mut self,
        event: &Event,
        table: u32,
        after: Option<Row>,
        place: &(Arc<str>, i32),
        at: &dyn Fn() -> String,
    ) {
        self.report.snapshot_rows += 1;
        let key = self.key_of(table, event.lsn, after.as_ref());
        self.check_home(event, table, key, place.1, at);
        let keyless = self.tables[table as usize].key(event.lsn).is_empty();
        if matches!(self.rules.start, Start::Beside(_)) {
            let key = (!keyless).then_some(key);
            if let Some(fault) = self.beside.read(&self.base, table, key, after.as_ref()) {
                self.report.add(fault, || {
                    format!("snapshot row {} at {}", tell(event), at())
                });
            }
            return;
        }
        if keyless
            || matches!(
                self.rules.start,
                Start::SnapshotUnchecked | Start::Streamed(_)
            )
            || self.tables[table as usize].is_read_again(event.lsn)
        {
            return;
        }
        let fault = match self.base.get_mut(&(table, key)) {
            None => Some(Fault::Unexpected),
            Some((_, seen @ false)) if self.partitions[place].furthest.is_some() => {
                *seen = true;
                Some(Fault::Reordered)
            }
            Some((_, true)) => Some(Fault::Doubled),
            Some((row, seen)) => {
                *seen = true;
                (row.fingerprint() != print(after.as_ref())).then_some(Fault::Wrong)
            }
        };
        if let Some(fault) = fault {
            self.report.add(fault, || {
                format!("snapshot row {} at {}", tell(event), at())
            });
        }
    }
}
