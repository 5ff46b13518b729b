//! Words for differences between rows, and the value of what a change did not touch.
//!
//! Owns: the sentences of the report's examples. Never: counting.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::change::{Event, Row, Value, lsn_text};

/// A value that the change did not touch is known when the old row tells it.
pub(super) fn fill_unchanged(mut row: Row, old: Option<&Row>) -> Row {
    for (name, value) in &mut row.0 {
        if *value == Value::Unchanged
            && let Some(known) = old.and_then(|old| old.column(name))
        {
            *value = known.clone();
        }
    }
    row
}

pub(super) fn tell(event: &Event) -> String {
    let key = event.key.clone().unwrap_or_default();
    format!(
        "{} {} of transaction {} at {} key ({key})",
        event.op.code(),
        event.table,
        event.xid,
        lsn_text(event.lsn)
    )
}

/// Names the columns that differ.
pub(super) fn differing(
    old: &Option<Row>,
    new: &Option<Row>,
    before: &Option<Row>,
    after: &Option<Row>,
) -> String {
    let mut parts = Vec::new();
    for (side, should, is) in [("before", old, before), ("after", new, after)] {
        let (empty_should, empty_is) = (Row::default(), Row::default());
        let (should, is) = (
            should.as_ref().unwrap_or(&empty_should),
            is.as_ref().unwrap_or(&empty_is),
        );
        let names: BTreeSet<&Arc<str>> =
            should.0.iter().chain(&is.0).map(|(name, _)| name).collect();
        for name in names
            .into_iter()
            .filter(|name| should.column(name) != is.column(name))
        {
            let one = |row: &Row| match row.column(name) {
                Some(value) => Row(vec![(name.clone(), value.clone())]).to_string(),
                None => format!("no {name}"),
            };
            parts.push(format!(
                "{side} has {}, should have {}",
                one(is),
                one(should)
            ));
        }
    }
    parts.join("; ")
}
