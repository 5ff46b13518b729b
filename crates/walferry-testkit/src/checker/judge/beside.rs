//! A snapshot beside the stream: its rows stand between events, and each must be the row as it is at that place.
//!
//! Owns what a reader of the topics knows so far, and the rows without a key. The truth itself is the judge's `base`, moved
//! on by each event in the order of the topic. Never: I/O.
//! Judged: a row that is not there, or is another one, at its place; a row that is read twice; a row that a reader of the topics does
//! not know whole at the end. A value that an update leaves out of a row that nobody had read yet makes it not whole; one
//! that a change of key leaves out does not, because the source does not send it.

use std::collections::{HashMap, HashSet};

use super::super::change::{Event, Op, Row, Value};
use super::super::difference::fill_unchanged;
use super::super::report::Fault;

type Base = HashMap<(u32, u64), (Row, bool)>;

#[derive(Default)]
pub(super) struct Beside {
    /// Whether the row of a key is known whole.
    known: HashMap<(u32, u64), bool>,
    read: HashSet<(u32, u64)>,
    /// The row that the delete before this event took, for the second half of a key change.
    removed: Option<(u64, Row)>,
    /// Rows of tables without a key that were there at the start, and are neither read nor removed yet.
    bag: HashMap<(u32, u64), u32>,
    /// Rows of tables without a key as they are at this place.
    rows: HashMap<(u32, u64), u32>,
}

/// What an event of the topic tells of a row.
pub(super) struct Told<'a> {
    pub(super) table: u32,
    pub(super) key: u64,
    pub(super) keyed: bool,
    pub(super) before: Option<&'a Row>,
    pub(super) after: Option<&'a Row>,
}

impl Beside {
    /// A change from before the stream, of a table without a key.
    pub(super) fn fold(&mut self, table: u32, op: Op, old: Option<&Row>, new: Option<&Row>) {
        if op == Op::Truncate {
            self.bag.retain(|(of, _), _| *of != table);
        }
        self.take(table, old);
        if let Some(new) = new {
            *self.bag.entry((table, new.fingerprint())).or_default() += 1;
        }
        self.change(table, op, old, new);
    }

    /// Moves the rows of a table without a key on.
    fn change(&mut self, table: u32, op: Op, old: Option<&Row>, new: Option<&Row>) {
        if op == Op::Truncate {
            self.rows.retain(|(of, _), _| *of != table);
        }
        if let Some(old) = old
            && let Some(count) = self.rows.get_mut(&(table, old.fingerprint()))
        {
            *count = count.saturating_sub(1);
        }
        if let Some(new) = new {
            *self.rows.entry((table, new.fingerprint())).or_default() += 1;
        }
    }

    /// The topic of a table without a key is emptied: each of its rows has to be read from here on.
    pub(super) fn empty(&mut self, table: u32) {
        self.bag.retain(|(of, _), _| *of != table);
        let rows = self.rows.iter().filter(|((of, _), _)| *of == table);
        let rows: Vec<_> = rows.map(|(at, count)| (*at, *count)).collect();
        self.bag.extend(rows);
    }

    fn take(&mut self, table: u32, row: Option<&Row>) -> bool {
        let count = row.and_then(|row| self.bag.get_mut(&(table, row.fingerprint())));
        match count {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// An event of the topic moves the truth on.
    pub(super) fn follow(&mut self, base: &mut Base, event: &Event, told: Told<'_>) {
        let Told {
            table,
            key,
            keyed,
            before,
            after,
        } = told;
        let removed = self.removed.take().filter(|(lsn, _)| *lsn == event.lsn);
        if event.op == Op::Truncate {
            base.retain(|(of, _), _| *of != table);
            self.known.retain(|(of, _), _| *of != table);
            self.bag.retain(|(of, _), _| *of != table);
            self.change(table, Op::Truncate, None, None);
            return;
        }
        if !keyed {
            self.take(table, before);
            self.change(table, event.op, before, after);
            return;
        }
        let at = (table, key);
        if event.op == Op::Delete {
            self.known.remove(&at);
            self.removed = base.remove(&at).map(|(row, _)| (event.lsn, row));
            return;
        }
        let Some(after) = after else { return };
        let left_out = after.0.iter().any(|(_, value)| *value == Value::Unchanged);
        let whole = event.op == Op::Create || !left_out || self.known.get(&at) == Some(&true);
        self.known.insert(at, whole);
        let old = base.remove(&at).map(|(row, _)| row);
        let old = old.or(removed.map(|(_, row)| row));
        base.insert(at, (fill_unchanged(after.clone(), old.as_ref()), true));
    }

    /// A row of the snapshot. What is wrong with it at its place.
    pub(super) fn read(
        &mut self,
        base: &Base,
        table: u32,
        key: Option<u64>,
        row: Option<&Row>,
    ) -> Option<Fault> {
        let Some(key) = key else {
            return (!self.take(table, row)).then_some(Fault::Unexpected);
        };
        let at = (table, key);
        self.known.insert(at, true);
        if !self.read.insert(at) {
            return Some(Fault::Doubled);
        }
        let Some((truth, _)) = base.get(&at) else {
            return Some(Fault::Unexpected);
        };
        let same = row.is_some_and(|row| *row == *truth);
        (!same).then_some(Fault::Wrong)
    }

    /// The rows that a reader of the topics does not know whole.
    pub(super) fn missing(&self, base: &Base) -> Vec<String> {
        let unknown = base
            .iter()
            .filter(|(at, _)| self.known.get(at) != Some(&true))
            .map(|((table, _), (row, _))| format!("row of table number {table}: {row}"));
        let left = self
            .bag
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|((table, _), count)| {
                format!("{count} rows of table number {table}, which has no key")
            });
        unknown.chain(left).collect()
    }
}
