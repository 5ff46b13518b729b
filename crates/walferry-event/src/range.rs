//! A part of a table, by the order in which a snapshot reads it.
//!
//! Owns [`RowRange`] and [`RowKey`]. A key is the text of the ordering columns as PostgreSQL writes it: only the server compares
//! keys, because only it knows their collation.
//! Invariant: the ranges of one table that are left do not overlap.

use serde::{Deserialize, Serialize};

/// The place of a row in its table's order: the values of the ordering columns as text.
pub type RowKey = Vec<String>;

/// Rows after one key up to and including another; an end that is absent is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRange {
    /// The last key before the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RowKey>,
    /// The last key of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<RowKey>,
}

impl RowRange {
    /// Cuts the range behind each of `keys`, which are inside it and in order.
    pub fn cut(&self, keys: Vec<RowKey>) -> Vec<RowRange> {
        let mut after = self.after.clone();
        let mut ranges = Vec::with_capacity(keys.len() + 1);
        for key in keys {
            ranges.push(RowRange {
                after: after.replace(key.clone()),
                until: Some(key),
            });
        }
        ranges.push(RowRange {
            after,
            until: self.until.clone(),
        });
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_without_a_gap() {
        let key = |text: &str| vec![text.to_owned()];
        let range = RowRange {
            after: Some(key("a")),
            until: Some(key("z")),
        };
        let parts = range.cut(vec![key("f"), key("m")]);
        let ends: Vec<_> = parts
            .iter()
            .map(|part| (part.after.clone().unwrap(), part.until.clone().unwrap()))
            .collect();
        assert_eq!(
            ends,
            [
                (key("a"), key("f")),
                (key("f"), key("m")),
                (key("m"), key("z"))
            ]
        );
        assert_eq!(range.cut(Vec::new()), [range]);
    }
}
