//! The topics at the end against the tables at the end: by key, and by content where there is no key.
//!
//! Owns: what a reader makes of a topic, record by record, and its comparison with the table's rows. It needs no history, so that
//! it judges where the witness cannot: a table that was replaced, read again, or not published for a while.
//! Never: code of the product; it shares the decoder with the judge and nothing with `walferry audit`.
//! A value is compared when its record was written since the column last got another meaning (a new type, another column
//! under its name): PostgreSQL does not tell what a rewrite makes of a row.
//! A row of a snapshot may lack a column that came between its reading and its place in the topic, and was given values then.
//! Limits: the order of reading is the order, so that a key in two partitions is a fault by itself; of rows without a key that are equal, a change may take away one that is still unread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::canonical;
use super::change::{Event, Observed, Op, Record, Row, Value};
use super::session::{Session, TextRow, quote_identifier, quote_literal};
use crate::topics::{Decoder, Reader};

/// Examples of a table that are kept.
const EXAMPLES_MAX: usize = 5;

/// A table to compare with its topic.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// `schema.table`.
    pub table: String,
    /// Its topic.
    pub topic: String,
    /// The columns of its key; none for a table without one.
    pub key: Vec<String>,
    /// LSN from which on a column means what it means now; one that is not named has always done so.
    pub meanings: BTreeMap<String, u64>,
}

/// How a table and its topic agree.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// `schema.table`.
    pub table: String,
    /// Rows of the table.
    pub rows: u64,
    /// Rows that the topic does not have.
    pub missing: u64,
    /// Rows that only the topic has.
    pub extra: u64,
    /// Rows with other values.
    pub different: u64,
    /// Records of a table with a key that have none, or none that is whole.
    pub keyless: u64,
    /// Records of a key in another partition than the row that they change.
    pub split: u64,
    /// The first differences.
    pub examples: Vec<String>,
}

impl Agreement {
    /// All differences together.
    pub fn faults(&self) -> u64 {
        self.missing + self.extra + self.different + self.keyless + self.split
    }

    fn example(&mut self, story: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(story());
        }
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Agreement { table, rows, .. } = self;
        write!(
            out,
            "{table}: {rows} rows, missing {}, extra {}, different {}, without a whole key {}, in another partition {}",
            self.missing, self.extra, self.different, self.keyless, self.split
        )?;
        for example in &self.examples {
            write!(out, "\n    {example}")?;
        }
        Ok(())
    }
}

/// Compares each table with its topic as both are now. A table that is not there is left out.
pub fn agreement(
    url: &str,
    brokers: &str,
    registry_url: &str,
    tables: &[Compared],
) -> Result<Vec<Agreement>> {
    let topics: Vec<String> = tables.iter().map(|it| it.topic.clone()).collect();
    let mut told: HashMap<Arc<str>, Told> = tables
        .iter()
        .map(|it| (Arc::from(it.topic.as_str()), Told::new(it)))
        .collect();
    let mut decoder = Decoder::new(registry_url);
    Reader::open(brokers, &topics)?.read_to_end(|message| {
        let observed = decoder.decode(message)?;
        if let Some(told) = told.get_mut(&observed.topic) {
            told.observe(&observed);
        }
        Ok(())
    })?;
    let mut session = Session::connect(url)?;
    let mut found = Vec::new();
    for compared in tables {
        let Some(rows) = table_rows(&mut session, &compared.table)? else {
            continue;
        };
        let told = told.remove(compared.topic.as_str());
        let told = told.with_context(|| format!("topic {} is named twice", compared.topic))?;
        found.push(told.judge(rows));
    }
    Ok(found)
}

/// The rows of a table in canonical form; none when there is no such table.
fn table_rows(session: &mut Session, table: &str) -> Result<Option<Vec<Row>>> {
    let (schema, name) = table.split_once('.').context("schema.table")?;
    let quoted = format!("{}.{}", quote_identifier(schema), quote_identifier(name));
    let columns = session.query(&format!(
        "select attname, format_type(atttypid, null) from pg_attribute
         where attrelid = to_regclass({}) and attnum > 0 and not attisdropped order by attnum",
        quote_literal(&quoted)
    ))?;
    if columns.is_empty() {
        return Ok(None);
    }
    let columns: Vec<(Arc<str>, String)> = columns
        .into_iter()
        .filter_map(|row| {
            let mut row = row.into_iter().flatten();
            Some((Arc::from(canonical::column_name(&row.next()?)), row.next()?))
        })
        .collect();
    let canonical = |row: TextRow| {
        let values = columns.iter().zip(row);
        let values = values.map(|((name, kind), text)| {
            let value = match text {
                Some(text) => Value::Text(canonical::from_postgres(kind, &text)?),
                None => Value::Null,
            };
            Ok((name.clone(), value))
        });
        Ok(Row(values.collect::<Result<_>>()?))
    };
    let rows = session.query(&format!("select * from {quoted}"))?;
    rows.into_iter()
        .map(canonical)
        .collect::<Result<_>>()
        .map(Some)
}

/// A value and the LSN of the record that brought it.
type Columns = HashMap<Arc<str>, (u64, Value)>;

struct Held {
    key: Row,
    partition: i32,
    lsn: u64,
    /// A snapshot read it, before the place at which it stands: a column that came in between is not in it.
    read: bool,
    columns: Columns,
}

/// What a reader makes of a topic.
struct Told {
    compared: Compared,
    key: Vec<Arc<str>>,
    rows: HashMap<u64, Held>,
    /// The row that the delete before this event took, for the second half of a change of key.
    removed: Option<(u64, u32, Held)>,
    /// Rows of a table without a key, by content.
    bag: HashMap<u64, (i64, Row)>,
    report: Agreement,
}

impl Told {
    fn new(compared: &Compared) -> Told {
        Told {
            key: compared
                .key
                .iter()
                .map(|it| Arc::from(it.as_str()))
                .collect(),
            compared: compared.clone(),
            rows: HashMap::new(),
            removed: None,
            bag: HashMap::new(),
            report: Agreement {
                table: compared.table.clone(),
                ..Agreement::default()
            },
        }
    }

    fn observe(&mut self, observed: &Observed) {
        match &observed.record {
            Record::Event(event) if *event.table == *self.compared.table => {
                self.event(event, observed.partition);
            }
            Record::Tombstone { key: Some(key) } => {
                self.rows.remove(&key.fingerprint());
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &Event, partition: i32) {
        if event.op == Op::Truncate {
            self.rows.clear();
            self.bag.clear();
            self.removed = None;
            return;
        }
        if self.key.is_empty() {
            return self.count(event);
        }
        let whole = event.key.as_ref().is_some_and(|key| {
            let whole = |it: &Arc<str>| matches!(key.column(it), Some(Value::Text(_)));
            key.0.len() == self.key.len() && self.key.iter().all(whole)
        });
        if !whole {
            self.report.keyless += 1;
            let (op, lsn) = (event.op.code(), super::lsn_text(event.lsn));
            self.report
                .example(|| format!("{op} at {lsn} under key ({:?})", event.key));
        }
        let key = event.key.clone().unwrap_or_default();
        let print = key.fingerprint();
        let elsewhere = self.rows.get(&print);
        if elsewhere.is_some_and(|held| held.partition != partition) {
            self.report.split += 1;
            let (op, lsn) = (event.op.code(), super::lsn_text(event.lsn));
            self.report
                .example(|| format!("{op} at {lsn} of ({key}) in partition {partition}"));
        }
        let removed = self.removed.take();
        if event.op == Op::Delete {
            let gone = self.rows.remove(&print);
            self.removed = gone.map(|row| (event.lsn, event.xid, row));
            return;
        }
        let Some(after) = &event.after else { return };
        let before = self.rows.remove(&print);
        let moved = removed.filter(|it| (it.0, it.1) == (event.lsn, event.xid));
        let before = before.or(moved.map(|it| it.2));
        let columns = after.0.iter().map(|(name, value)| {
            let known = before.as_ref().and_then(|it| it.columns.get(name));
            let value = match known {
                Some(known) if *value == Value::Unchanged => known.clone(),
                _ => (event.lsn, value.clone()),
            };
            (name.clone(), value)
        });
        let columns = columns.collect();
        let lsn = event.lsn;
        let held = Held {
            key,
            partition,
            lsn,
            read: event.op == Op::Read,
            columns,
        };
        self.rows.insert(print, held);
    }

    fn count(&mut self, event: &Event) {
        if let Some(before) = &event.before {
            // One that no record has brought was still unread.
            if let Some((count, _)) = self.bag.get_mut(&before.fingerprint()) {
                *count = (*count - 1).max(0);
            }
        }
        if let Some(after) = &event.after {
            let entry = self.bag.entry(after.fingerprint());
            entry.or_insert_with(|| (0, after.clone())).0 += 1;
        }
    }

    fn judge(mut self, table: Vec<Row>) -> Agreement {
        self.report.rows = table.len() as u64;
        if self.key.is_empty() {
            self.judge_bag(table);
            return self.report;
        }
        for row in table {
            let key = row.restricted(&self.key);
            let Some(held) = self.rows.remove(&key.fingerprint()) else {
                self.report.missing += 1;
                self.report.example(|| format!("missing ({key})"));
                continue;
            };
            let differing = self.differing(&row, &held);
            if !differing.is_empty() {
                self.report.different += 1;
                self.report
                    .example(|| format!("different ({key}): {}", differing.join("; ")));
            }
        }
        let mut left: Vec<Held> = self.rows.drain().map(|it| it.1).collect();
        left.sort_by_key(|it| it.lsn);
        for held in left {
            self.report.extra += 1;
            let (key, lsn) = (held.key, super::lsn_text(held.lsn));
            self.report.example(|| format!("extra ({key}) of {lsn}"));
        }
        self.report
    }

    fn differing(&self, row: &Row, held: &Held) -> Vec<String> {
        let mut parts = Vec::new();
        for (name, value) in &row.0 {
            let since = self.compared.meanings.get(name.as_ref()).copied();
            let since = since.unwrap_or_default();
            match held.columns.get(name) {
                Some((lsn, told)) if *lsn >= since && told != value => {
                    let one = |value: &Value| Row(vec![(name.clone(), value.clone())]).to_string();
                    parts.push(format!("has {}, should have {}", one(told), one(value)));
                }
                None if held.lsn >= since && !(held.read && since > 0) => {
                    parts.push(format!("has no {name}"))
                }
                _ => {}
            }
        }
        parts
    }

    fn judge_bag(&mut self, table: Vec<Row>) {
        for row in table {
            let entry = self.bag.entry(row.fingerprint()).or_insert((0, row));
            entry.0 -= 1;
        }
        for (count, row) in self.bag.values() {
            let number = count.unsigned_abs();
            let (word, sum) = match count {
                0 => continue,
                1.. => ("extra", &mut self.report.extra),
                _ => ("missing", &mut self.report.missing),
            };
            *sum += number;
            if self.report.examples.len() < EXAMPLES_MAX {
                self.report
                    .examples
                    .push(format!("{word} {number} of ({row})"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
