//! What becomes of a change that cannot be encoded, when its table's policy is `dead-letter` (product.md).
//!
//! Owns the shape of a dead letter: JSON with the position, the error and the row as PostgreSQL's text. It goes into the
//! same Kafka transaction as the batch that the change belongs to, so it is neither lost nor doubled.
//! Invariant: it shows no more of a column than a record would: nothing of one that is left out, the mask of a masked one.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use walferry_event::{Datum, Origin};
use walferry_kafka::RecordBlock;

use crate::{
    changes::{Bookmark, Change, Old},
    relations::Plan,
};

/// Writes the dead letter of `change` to the end of `block`.
pub(crate) fn write(
    plan: &Plan,
    change: Change<'_>,
    origin: &Origin<'_>,
    (kind, reason): (&str, &str),
    topic: &Arc<str>,
    block: &mut RecordBlock,
) {
    let (old, new) = match change {
        Change::Read(new) | Change::Insert(new) => (None, Some(new)),
        Change::Update(old, new) => (old, Some(new)),
        Change::Delete(old) => (Some(old), None),
        Change::Truncate => (None, None),
    };
    let old = old.map(|old| match old {
        Old::Key(datums) | Old::Full(datums) => datums,
    });
    let letter = json!({
        "table": &*plan.name,
        "topic": &*plan.topic,
        "lsn": origin.lsn,
        "commit_lsn": origin.commit_lsn,
        "xid": origin.xid,
        "ordinal": origin.ordinal,
        "op": change.operation().code(),
        "error": { "kind": kind, "text": reason },
        "before": old.map(|row| row_json(plan, row)),
        "after": new.map(|row| row_json(plan, row)),
    });
    let key = key_bytes(plan, new.or(old), block);
    // Writing to memory fails only for maps with other keys than text, and there are none here.
    let text = serde_json::to_vec(&letter).unwrap_or_default();
    let value = block.append(&text);
    let headers: Box<[(Box<str>, Vec<u8>)]> = Box::new([
        ("walferry.error.kind".into(), kind.into()),
        ("walferry.table".into(), plan.name.as_bytes().to_vec()),
        ("walferry.lsn".into(), origin.lsn.to_string().into_bytes()),
    ]);
    let index = block.topic(topic);
    block.push(index, key, Some(value), Some(headers));
}

/// The key as the original record would have it, or none when the key itself cannot be encoded.
fn key_bytes(
    plan: &Plan,
    row: Option<&[Datum<'_>]>,
    block: &mut RecordBlock,
) -> Option<std::ops::Range<u32>> {
    if plan.refused.is_some() || plan.encode.key_schema().is_none() {
        return None;
    }
    let bookmark = Bookmark::of(block);
    let start = block.arena_mut().len();
    match plan.encode.key(row?, block.arena_mut()) {
        Ok(()) => Some(start as u32..block.arena_mut().len() as u32),
        Err(_) => {
            bookmark.restore(block);
            None
        }
    }
}

fn row_json(plan: &Plan, row: &[Datum<'_>]) -> Value {
    let columns = plan.table.columns.iter().zip(row);
    Value::Object(
        columns
            .enumerate()
            .filter(|(at, _)| plan.encode.has(*at))
            .filter_map(|(at, (column, datum))| {
                let value = match datum {
                    Datum::Null => Value::Null,
                    // The session asks for text only.
                    Datum::Unchanged | Datum::Binary(_) => return None,
                    Datum::Text(text) => plan.encode.shown(at, text)?.into(),
                };
                Some((column.name.clone(), value))
            })
            .collect::<Map<_, _>>(),
    )
}
