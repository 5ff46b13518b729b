//! Finds the newest transactions that have changed a key.
//!
//! Owns how a key is compared: by the columns that were asked for, as JSON. Never: looks further back than it was allowed to.

use serde_json::{Map, Value as Json};

use crate::trace::find::{Finder, Found, FoundTransaction};
use walferry_pipeline::error::Error;

/// Transactions that are told of, the newest.
const TRANSACTIONS_MAX: usize = 10;

impl Finder<'_> {
    /// The newest transactions that have changed a key, the newest first.
    pub(super) fn key(&mut self, key: &Map<String, Json>) -> Result<Vec<FoundTransaction>, Error> {
        let mut found: Vec<Found> = Vec::new();
        self.ends(self.records_max, |values, bytes, record| {
            let written = values.key(bytes)?;
            if written.is_some_and(|it| is_meant(&it, key)) {
                found.push(record);
            }
            Ok(())
        })?;
        found.sort_by_key(|it| std::cmp::Reverse((it.change.last_commit_lsn, it.change.lsn)));
        let mut xids: Vec<u32> = found.iter().filter_map(|it| it.change.xid).collect();
        xids.dedup();
        xids.truncate(TRANSACTIONS_MAX);
        let of = |xid: u32| {
            let own = found.iter().filter(|it| it.change.xid == Some(xid));
            self.transaction(xid, own.rev().copied().collect())
        };
        Ok(xids.into_iter().map(of).collect())
    }
}

/// Whether every column that was asked for has that value. A number may be written as a text.
fn is_meant(written: &Json, key: &Map<String, Json>) -> bool {
    let text = |it: &Json| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    key.iter().all(|(column, value)| {
        let found = written.get(column);
        found.is_some_and(|it| it == value || text(it) == text(value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_meant_by_the_columns_that_are_given() {
        let written = json!({ "id": 42, "region": "eu" });
        for (asked, meant) in [
            (json!({ "id": 42 }), true),
            (json!({ "id": "42", "region": "eu" }), true),
            (json!({ "id": 43 }), false),
            (json!({ "id": 42, "other": 1 }), false),
        ] {
            assert_eq!(
                is_meant(&written, asked.as_object().unwrap()),
                meant,
                "{asked}"
            );
        }
    }
}
