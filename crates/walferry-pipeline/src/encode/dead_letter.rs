//! What becomes of a change that cannot be encoded, or published, when its table's policy is `dead-letter`.
//!
//! Owns the shape of a dead letter: JSON with the position, the error and the row as PostgreSQL's text. It goes into the
//! same Kafka transaction as the batch that the change belongs to, so it is neither lost nor doubled. A letter that its
//! topic would refuse leaves long values out, and tells their size in `omitted_bytes`.
//! Invariant: it shows no more of a column than a record would: nothing of one that is left out, the mask of a masked one.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use walferry_event::{Datum, Origin};
use walferry_kafka::{OwnedRecord, RecordBlock};

use crate::{
    encode::change_records::{Change, Old},
    tables::plan::Plan,
};

/// Writes the dead letter of `change` to the end of `block`.
pub(crate) fn write(
    plan: &Plan,
    change: Change<'_>,
    origin: &Origin<'_>,
    kind: &str,
    reason: &str,
    topic: &Arc<str>,
    block: &mut RecordBlock,
) {
    let letter = letter(plan, change, origin, kind, reason, topic);
    let mut span = |bytes: Option<Vec<u8>>| bytes.map(|bytes| block.append(&bytes));
    let (key, value) = (span(letter.key), span(letter.value));
    let index = block.topic(topic);
    block.push(index, key, value, letter.headers);
}

/// The dead letter of `change`.
pub(crate) fn letter(
    plan: &Plan,
    change: Change<'_>,
    origin: &Origin<'_>,
    kind: &str,
    reason: &str,
    topic: &Arc<str>,
) -> OwnedRecord {
    let (old, new) = match change {
        Change::Read(new) | Change::Insert(new) => (None, Some(new)),
        Change::Update(old, new) => (old, Some(new)),
        Change::Delete(old) => (Some(old), None),
        Change::Truncate => (None, None),
    };
    let old = old.map(|old| match old {
        Old::Key(datums) | Old::Full(datums) => datums,
    });
    let key = key_bytes(plan, new.or(old));
    let room = plan
        .letter_bytes_max
        .saturating_sub(ENVELOPE_BYTES + key.as_ref().map_or(0, Vec::len));
    let text = |value_bytes_max: usize| {
        let mut omitted = Map::new();
        let mut row = |name: &str, row: Option<&[Datum<'_>]>| {
            let (row, left_out) = row_json(plan, row?, value_bytes_max);
            if !left_out.is_empty() {
                omitted.insert(name.into(), left_out.into());
            }
            Some(row)
        };
        let (before, after) = (row("before", old), row("after", new));
        let mut letter = json!({
            "table": &*plan.name,
            "topic": &*plan.topic,
            "lsn": origin.lsn,
            "commit_lsn": origin.commit_lsn,
            "xid": origin.xid,
            "ordinal": origin.ordinal,
            "commit_us": origin.commit_us,
            "op": change.operation().code(),
            "error": { "kind": kind, "text": reason },
            "before": before,
            "after": after,
        });
        if !omitted.is_empty() {
            letter["omitted_bytes"] = omitted.into();
        }
        // Writing to memory fails only for maps with other keys than text, and there are none here.
        serde_json::to_vec(&letter).unwrap_or_default()
    };
    let mut value = Vec::new();
    // A value that is larger than all the room is not looked at twice: it may be hundreds of megabytes.
    for value_bytes_max in VALUE_BYTES_MAX {
        value = text(value_bytes_max.min(room));
        if value.len() <= room {
            break;
        }
    }
    let headers: Box<[(Box<str>, Vec<u8>)]> = Box::new([
        ("walferry.error.kind".into(), kind.into()),
        ("walferry.table".into(), plan.name.as_bytes().to_vec()),
        ("walferry.lsn".into(), origin.lsn.to_string().into_bytes()),
    ]);
    OwnedRecord {
        topic: topic.clone(),
        key,
        value: Some(value),
        headers: Some(headers),
    }
}

/// What a record has beside key and value, at most: headers, and the head of the batch that it is alone in.
const ENVELOPE_BYTES: usize = 1024;
/// Values up to this size stand in the letter: all of them when it fits into its topic then, else the short ones, else none.
const VALUE_BYTES_MAX: [usize; 3] = [usize::MAX, 1024, 0];

/// The key as the original record would have it, or none when the key itself cannot be encoded.
fn key_bytes(plan: &Plan, row: Option<&[Datum<'_>]>) -> Option<Vec<u8>> {
    if plan.refused.is_some() || plan.encode.key_schema().is_none() {
        return None;
    }
    let mut key = Vec::new();
    plan.encode.key(row?, &mut key).ok().map(|()| key)
}

/// A row as PostgreSQL's text, and the bytes of those of its values that are left out for their size.
fn row_json(
    plan: &Plan,
    row: &[Datum<'_>],
    value_bytes_max: usize,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut kept, mut left_out) = (Map::new(), Map::new());
    let columns = plan.table.columns.iter().zip(row).enumerate();
    for (at, (column, datum)) in columns.filter(|(at, _)| plan.encode.has(*at)) {
        let value = match datum {
            Datum::Null => Value::Null,
            // The session asks for text only.
            Datum::Unchanged | Datum::Binary(_) => continue,
            Datum::Text(text) => match plan.encode.shown(at, text) {
                Some(shown) if shown.len() > value_bytes_max => {
                    left_out.insert(column.name.clone(), shown.len().into());
                    continue;
                }
                Some(shown) => shown.into(),
                None => continue,
            },
        };
        kept.insert(column.name.clone(), value);
    }
    (kept, left_out)
}
