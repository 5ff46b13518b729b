//! A dead letter, read back: the change that it tells of.
//!
//! Owns the way from the letter's JSON to a row. Never guesses a value that the letter does not have: one that was left out
//! for its size is a reason not to publish it.
//! Source: `dead_letter`, which writes it.

use serde::Deserialize;
use serde_json::{Map, Value};
use walferry_event::{Datum, Lsn, Origin, ReplicaIdentity, SnapshotMark};

use walferry_pipeline::{
    clock::now_us,
    encode::change_records::{Change, Old},
    tables::plan::Plan,
};

/// What a letter says.
#[derive(Debug, Deserialize)]
pub(super) struct Letter {
    pub(super) table: String,
    lsn: Lsn,
    commit_lsn: Lsn,
    xid: u32,
    ordinal: u64,
    commit_us: i64,
    op: String,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
    omitted_bytes: Option<Value>,
}

/// A change that owns its rows' shape.
pub(super) enum Told<'a> {
    Read(Vec<Datum<'a>>),
    Insert(Vec<Datum<'a>>),
    Update(Option<Vec<Datum<'a>>>, Vec<Datum<'a>>, bool),
    Delete(Vec<Datum<'a>>, bool),
    Truncate,
}

impl Told<'_> {
    /// Lends the change.
    pub(super) fn with<T>(&self, give: impl FnOnce(Change<'_>) -> T) -> T {
        let old = |datums, full| match full {
            true => Old::Full(datums),
            false => Old::Key(datums),
        };
        give(match self {
            Told::Read(row) => Change::Read(row),
            Told::Insert(row) => Change::Insert(row),
            Told::Update(None, new, _) => Change::Update(None, new),
            Told::Update(Some(before), new, full) => Change::Update(Some(old(before, *full)), new),
            Told::Delete(before, full) => Change::Delete(old(before, *full)),
            Told::Truncate => Change::Truncate,
        })
    }
}

impl Letter {
    pub(super) fn origin(&self) -> Origin<'static> {
        Origin {
            commit_us: self.commit_us,
            encoded_us: now_us(),
            xid: self.xid,
            lsn: self.lsn,
            commit_lsn: self.commit_lsn,
            ordinal: self.ordinal,
            snapshot: match self.op.as_str() {
                "r" => SnapshotMark::Incremental,
                _ => SnapshotMark::Streamed,
            },
            ..Origin::default()
        }
    }

    /// The change, in the columns that the plan has.
    pub(super) fn change(&self, plan: &Plan) -> Result<Told<'_>, String> {
        if self.omitted_bytes.is_some() {
            return Err("values of the letter were left out for their size".to_owned());
        }
        let before = || datums(plan, self.before.as_ref(), Datum::Null);
        let after = |absent| datums(plan, self.after.as_ref(), absent);
        let full = plan.table.relation.replica_identity == ReplicaIdentity::Full;
        Ok(match self.op.as_str() {
            "r" => Told::Read(after(Datum::Null)?),
            "c" => Told::Insert(after(Datum::Null)?),
            "u" => {
                let before = self.before.is_some().then(before).transpose()?;
                Told::Update(before, after(Datum::Unchanged)?, full)
            }
            "d" => Told::Delete(before()?, full),
            "t" => Told::Truncate,
            other => return Err(format!("the letter's op is {other:?}")),
        })
    }
}

/// A row in the order of the table's columns. What an update does not tell is unchanged.
fn datums<'a>(
    plan: &Plan,
    row: Option<&'a Map<String, Value>>,
    absent: Datum<'a>,
) -> Result<Vec<Datum<'a>>, String> {
    let row = row.ok_or("the letter lacks a row that its op needs")?;
    let columns = plan.table.columns.iter();
    columns
        .map(|column| match row.get(&column.name) {
            None => Ok(absent),
            Some(Value::Null) => Ok(Datum::Null),
            Some(Value::String(text)) => Ok(Datum::Text(text.as_bytes())),
            Some(_) => Err(format!("column {:?} of the letter is no text", column.name)),
        })
        .collect()
}
