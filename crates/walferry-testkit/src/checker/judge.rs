//! The judge: compares the two histories and counts what differs.
//!
//! Owns: the list of expected events as hashes, and for each partition how far it has been seen. First comes all that
//! the witness tells ([`Judge::expect`], [`Judge::commit`]), then all that the topics show ([`Judge::observe`]).
//! Never: I/O. What a change becomes: an update of a key is a delete and a create; a delete is followed by a tombstone
//! of the same key in the same partition; within a partition events stand in the order of their commits.
//! An event is known by table, operation, transaction, LSN and key. Rows of one LSN without a key match in turn.
//!
//! A snapshot that runs beside the stream is judged in `beside`.
//!
//! Limits: of the old row only the columns that the witness gives are compared (it leaves NULLs out); snapshot rows
//! of a table without a key are counted and not compared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::change::{Change, Event, Observed, Op, Record, Row, Value, lsn_text};
use super::difference::{differing, fill_unchanged, tell};
use super::followed::Table;
use super::report::{Fault, Report};
use super::rules::{Rules, Start};

mod beside;
mod holders;
mod snapshot;

use beside::{Beside, Told};
use holders::Holders;

/// Bytes of expected rows that are kept for examples; beyond it a difference is told without the expected row.
const EXAMPLE_BYTES_MAX: usize = 64 << 20;
/// The end of a chain of expected events with one identity.
const NONE: u32 = u32::MAX;

struct Expected {
    table: u32,
    op: Op,
    seen: bool,
    /// Whether it may be absent.
    optional: bool,
    xid: u32,
    lsn: u64,
    after: u64,
    before: u64,
    before_columns: u32,
    next: u32,
    example: Option<Box<(Option<Row>, Option<Row>)>>,
}

#[derive(Default)]
struct Progress {
    furthest: Option<u32>,
    tombstone_due: Option<(u64, String)>,
}

/// The comparison of one history.
pub struct Judge {
    rules: Rules,
    tables: Vec<Table>,
    by_name: HashMap<Arc<str>, u32>,
    expected: Vec<Expected>,
    /// Identity to the first event not yet seen, and the last of the chain.
    chains: HashMap<u64, (u32, u32)>,
    column_lists: Vec<Vec<Arc<str>>>,
    column_ids: HashMap<Vec<Arc<str>>, u32>,
    partitions: HashMap<(Arc<str>, i32), Progress>,
    homes: HashMap<(u32, u64), i32>,
    /// Rows at the start of the stream, by table and key; taken out as the topics show them.
    base: HashMap<(u32, u64), (Row, bool)>,
    held: Vec<Change>,
    holders: Holders,
    beside: Beside,
    streaming: bool,
    example_bytes: usize,
    report: Report,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(rules: Rules) -> Judge {
        let tables = rules.keys.keys().map(|name| Table::new(name, &rules));
        let tables: Vec<Table> = tables.collect();
        let by_name = tables
            .iter()
            .enumerate()
            .map(|(index, table)| (table.name.clone(), index as u32))
            .collect();
        Judge {
            streaming: !matches!(
                rules.start,
                Start::Snapshot(_) | Start::Beside(_) | Start::Streamed(_)
            ),
            rules,
            tables,
            by_name,
            expected: Vec::new(),
            chains: HashMap::new(),
            column_lists: Vec::new(),
            column_ids: HashMap::new(),
            partitions: HashMap::new(),
            homes: HashMap::new(),
            base: HashMap::new(),
            held: Vec::new(),
            holders: Holders::default(),
            beside: Beside::default(),
            example_bytes: 0,
            report: Report::default(),
        }
    }

    /// Takes a change of the transaction that the witness is telling.
    pub fn expect(&mut self, mut change: Change) {
        let attached = self
            .rules
            .attached
            .iter()
            .find(|it| it.leaf == *change.table && (it.from..it.to).contains(&change.lsn));
        if let Some(attached) = attached {
            // A truncate of the root names its partitions too, and one of a partition alone is not published.
            if change.op == Op::Truncate {
                return;
            }
            change.table = Arc::from(attached.root.as_str());
        }
        if self.by_name.contains_key(&change.table) {
            if self.streaming {
                self.plan(change)
            } else {
                self.held.push(change)
            }
        }
    }

    /// The transaction's end. Up to the snapshot its changes make the rows that the snapshot reads.
    pub fn commit(&mut self, end_lsn: u64) {
        self.report.transactions += 1;
        let held = std::mem::take(&mut self.held);
        match self.rules.start {
            Start::Snapshot(at) | Start::Beside(at) if end_lsn <= at => {
                held.into_iter().for_each(|change| self.fold(change))
            }
            Start::Streamed(at) if end_lsn <= at => {
                held.into_iter().for_each(|change| self.pass(change))
            }
            _ => {
                self.streaming = true;
                held.into_iter().for_each(|change| self.plan(change));
            }
        }
    }

    /// Writes down the events that a change must become.
    fn plan(&mut self, mut change: Change) {
        if change.op == Op::Truncate && !self.rules.truncates {
            return;
        }
        let index = self.by_name[&change.table];
        let old = change.old.take().map(|row| self.tidy(index, row));
        let new = change.new.take().map(|row| self.tidy(index, row));
        let new = new.map(|new| fill_unchanged(new, old.as_ref()));
        let (old_key, new_key) = (
            self.key_of(index, change.lsn, old.as_ref()),
            self.key_of(index, change.lsn, new.as_ref()),
        );
        let table = &self.tables[index as usize];
        let keyed = !table.key(change.lsn).is_empty();
        let taken = table.keys_pass && self.holders.pass(index, change.op, old_key, new_key);
        match change.op {
            Op::Delete if taken => {}
            Op::Update if keyed && old.is_some() && old_key != new_key => {
                if !taken {
                    self.push(&change, index, Op::Delete, old_key, old, None);
                }
                self.push(&change, index, Op::Create, new_key, None, new);
            }
            Op::Delete => self.push(&change, index, Op::Delete, old_key, old, None),
            op => self.push(&change, index, op, new_key, old, new),
        }
    }

    /// A change from before the stream.
    fn pass(&mut self, change: Change) {
        let index = self.by_name[&change.table];
        if self.tables[index as usize].keys_pass {
            let old = self.key_of(index, change.lsn, change.old.as_ref());
            let new = self.key_of(index, change.lsn, change.new.as_ref());
            self.holders.pass(index, change.op, old, new);
        }
    }

    fn push(
        &mut self,
        change: &Change,
        table: u32,
        op: Op,
        key: u64,
        old: Option<Row>,
        new: Option<Row>,
    ) {
        let columns: Vec<Arc<str>> = old
            .iter()
            .flat_map(|row| row.0.iter().map(|(name, _)| name.clone()))
            .collect();
        let fresh = self.column_lists.len() as u32;
        let before_columns = *self.column_ids.entry(columns.clone()).or_insert(fresh);
        if before_columns == fresh {
            self.column_lists.push(columns);
        }
        let (before, after) = (print(old.as_ref()), print(new.as_ref()));
        let size = row_bytes(old.as_ref()) + row_bytes(new.as_ref());
        let example = (self.example_bytes + size <= EXAMPLE_BYTES_MAX).then(|| {
            self.example_bytes += size;
            Box::new((old, new))
        });
        let at = self.expected.len() as u32;
        let (xid, lsn) = (change.xid, change.lsn);
        self.expected.push(Expected {
            table,
            op,
            seen: false,
            optional: self.tables[table as usize].is_read_again(lsn),
            xid,
            lsn,
            after,
            before,
            before_columns,
            next: NONE,
            example,
        });
        let chain = self
            .chains
            .entry(identity(table, op, xid, lsn, key))
            .or_insert((at, at));
        if chain.1 != at {
            self.expected[chain.1 as usize].next = at;
            chain.1 = at;
        }
    }

    /// Takes a record of a topic, each partition's in order of offset.
    pub fn observe(&mut self, observed: &Observed) {
        let place = (observed.topic.clone(), observed.partition);
        let due = self
            .partitions
            .entry(place.clone())
            .or_default()
            .tombstone_due
            .take();
        let at = || {
            format!(
                "{} partition {} offset {}",
                observed.topic, observed.partition, observed.offset
            )
        };
        match &observed.record {
            Record::Tombstone { key } => {
                self.report.tombstones += 1;
                let key_print = key.as_ref().map(Row::fingerprint);
                if due.as_ref().map(|(key, _)| *key) != key_print {
                    if let Some((_, story)) = due {
                        self.report
                            .add(Fault::Lost, || format!("the tombstone {story}"));
                    }
                    if key.is_some() {
                        let key = key.clone().unwrap_or_default();
                        self.report.add(Fault::Doubled, || {
                            format!("a tombstone of {key} that follows no delete, at {}", at())
                        });
                    }
                }
            }
            Record::Event(event) => {
                self.tombstone_lost(due);
                self.observe_event(event, place, &at);
            }
            Record::Other => self.tombstone_lost(due),
        }
    }

    fn tombstone_lost(&mut self, due: Option<(u64, String)>) {
        if let Some((_, story)) = due {
            self.report
                .add(Fault::Lost, || format!("the tombstone {story}"));
        }
    }

    fn observe_event(&mut self, event: &Event, place: (Arc<str>, i32), at: &dyn Fn() -> String) {
        self.report.observed += 1;
        *self
            .report
            .tables
            .entry(event.table.to_string())
            .or_default() += 1;
        let Some(&index) = self.by_name.get(&event.table) else {
            self.report.add(Fault::Unexpected, || {
                format!("{} at {}: the table is not followed", tell(event), at())
            });
            return;
        };
        let before = event.before.clone().map(|row| self.tidy(index, row));
        let after = event.after.clone().map(|row| self.tidy(index, row));
        let keyed = !self.tables[index as usize].key(event.lsn).is_empty();
        let key = if keyed {
            event.key.as_ref().map_or(0, Row::fingerprint)
        } else {
            0
        };
        if event.op == Op::Read {
            self.observe_snapshot_row(event, index, after, &place, at);
            return;
        }
        if event.op == Op::Delete && self.rules.tombstones && keyed {
            let story = format!("after {} at {}", tell(event), at());
            self.partitions
                .entry(place.clone())
                .or_default()
                .tombstone_due = Some((key, story));
        }
        self.check_home(event, index, key, place.1, at);
        // A row that is gone, or all of them, is told as gone when the table is read again.
        if matches!(event.op, Op::Delete | Op::Truncate)
            && event.xid == 0
            && (self.rules.swept || self.tables[index as usize].is_read_again(event.lsn))
        {
            if event.op == Op::Truncate && !keyed {
                self.beside.empty(index);
            }
            return;
        }
        let Some(chain) = self
            .chains
            .get_mut(&identity(index, event.op, event.xid, event.lsn, key))
        else {
            self.report
                .add(Fault::Unexpected, || format!("{} at {}", tell(event), at()));
            return;
        };
        let number = chain.0;
        let expected = &mut self.expected[number as usize];
        if expected.seen {
            self.report
                .add(Fault::Doubled, || format!("{} at {}", tell(event), at()));
            return;
        }
        expected.seen = true;
        if expected.next != NONE {
            chain.0 = expected.next;
        }
        if matches!(self.rules.start, Start::Beside(_)) {
            let told = Told {
                table: index,
                key,
                keyed,
                before: before.as_ref(),
                after: after.as_ref(),
            };
            self.beside.follow(&mut self.base, event, told);
        }
        let expected = &self.expected[number as usize];
        let columns = &self.column_lists[expected.before_columns as usize];
        let given = before.as_ref().map(|row| row.restricted(columns));
        let before_differs = !columns.is_empty() && print(given.as_ref()) != expected.before;
        if before_differs || print(after.as_ref()) != expected.after {
            let should = match &expected.example {
                Some(rows) => differing(&rows.0, &rows.1, &given, &after),
                None => "the expected row was not kept".to_owned(),
            };
            self.report.add(Fault::Wrong, || {
                format!("{} at {}: {should}", tell(event), at())
            });
        }
        let progress = self.partitions.entry(place).or_default();
        match progress.furthest {
            Some(furthest) if number < furthest => {
                self.report.add(Fault::Reordered, || {
                    format!("{} at {} comes after a later change", tell(event), at())
                });
            }
            _ => progress.furthest = Some(number),
        }
    }

    /// A key stays in one partition, else no order holds for it.
    fn check_home(
        &mut self,
        event: &Event,
        table: u32,
        key: u64,
        partition: i32,
        at: &dyn Fn() -> String,
    ) {
        if key != 0 && *self.homes.entry((table, key)).or_insert(partition) != partition {
            self.report.add(Fault::Reordered, || {
                format!(
                    "{} at {}: its key is in another partition too",
                    tell(event),
                    at()
                )
            });
        }
    }

    /// The key columns of a row of a followed table, as its record's key has them.
    pub fn key_row(&self, table: &str, row: &Row) -> Option<Row> {
        let key = self.tables[*self.by_name.get(table)? as usize].key(u64::MAX);
        (!key.is_empty()).then(|| row.restricted(key))
    }

    /// The verdict, when both histories are told.
    pub fn finish(mut self) -> Report {
        let dues: Vec<_> = self
            .partitions
            .values_mut()
            .filter_map(|place| place.tombstone_due.take())
            .collect();
        dues.into_iter()
            .for_each(|due| self.tombstone_lost(Some(due)));
        self.report.expected = self.expected.len() as u64;
        let absent = |it: &&Expected| !it.seen && !it.optional;
        for expected in self.expected.iter().filter(absent) {
            let table = &self.tables[expected.table as usize];
            self.report.add(Fault::Lost, || {
                let rows = expected
                    .example
                    .as_ref()
                    .map(|rows| rows.1.clone().or(rows.0.clone()));
                format!(
                    "{} {} of transaction {} at {}: {}",
                    expected.op.code(),
                    table.name,
                    expected.xid,
                    lsn_text(expected.lsn),
                    rows.flatten().unwrap_or_default()
                )
            });
        }
        if matches!(self.rules.start, Start::Beside(_)) {
            for story in self.beside.missing(&self.base) {
                self.report.add(Fault::Lost, || story);
            }
            return self.report;
        }
        for ((table, _), (row, _)) in self.base.iter().filter(|(_, (_, seen))| !seen) {
            let name = &self.tables[*table as usize].name;
            self.report
                .add(Fault::Lost, || format!("snapshot row of {name}: {row}"));
        }
        self.report
    }

    /// The row without the columns that the topics do not have, in order of name.
    fn tidy(&self, table: u32, mut row: Row) -> Row {
        let ignored = &self.tables[table as usize].ignored;
        row.0.retain(|(name, _)| !ignored.contains(name.as_ref()));
        row.sorted()
    }

    fn key_of(&self, table: u32, lsn: u64, row: Option<&Row>) -> u64 {
        let key = self.tables[table as usize].key(lsn);
        match row {
            Some(row) if !key.is_empty() => row.restricted(key).fingerprint(),
            _ => 0,
        }
    }
}

fn identity(table: u32, op: Op, xid: u32, lsn: u64, key: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (table, op, xid, lsn, key).hash(&mut hasher);
    hasher.finish()
}

fn print(row: Option<&Row>) -> u64 {
    row.map_or(0, Row::fingerprint)
}

fn row_bytes(row: Option<&Row>) -> usize {
    row.map_or(0, |row| {
        row.0
            .iter()
            .map(|(_, value)| {
                if let Value::Text(text) = value {
                    48 + text.len()
                } else {
                    48
                }
            })
            .sum()
    })
}

#[cfg(test)]
mod tests;
