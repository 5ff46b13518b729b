//! How many rows have a key, where a key passes from row to row within a statement.
//!
//! Owns the counts. Never: asked about a table whose key is unique after each change.

use std::collections::HashMap;

use super::super::change::Op;

#[derive(Default)]
pub(super) struct Holders(HashMap<(u32, u64), i64>);

impl Holders {
    /// Takes a change into account. Whether another row has the key that the old row leaves.
    pub(super) fn pass(&mut self, table: u32, op: Op, old: u64, new: u64) -> bool {
        if op == Op::Truncate {
            self.0.retain(|(of, _), _| *of != table);
            return false;
        }
        let leaves = matches!(op, Op::Update | Op::Delete) && old != 0 && old != new;
        let mut left = 0;
        if leaves {
            let count = self.0.entry((table, old)).or_default();
            *count -= 1;
            left = *count;
        }
        if op == Op::Create || (op == Op::Update && leaves) {
            *self.0.entry((table, new)).or_default() += 1;
        }
        leaves && left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_another_row_has_is_told_from_one_that_is_free() {
        let mut holders = Holders::default();
        let mut pass = |op, old, new| holders.pass(1, op, old, new);
        assert!(!pass(Op::Create, 0, 7) && !pass(Op::Create, 0, 8));
        // Two rows swap their keys: the first leaves its key free, the second leaves one that the first has.
        assert!(!pass(Op::Update, 7, 8));
        assert!(pass(Op::Update, 8, 7));
        assert!(!pass(Op::Update, 7, 7));
        assert!(!pass(Op::Delete, 7, 0) && !pass(Op::Delete, 8, 0));
        assert!(!pass(Op::Create, 0, 7) && !pass(Op::Update, 7, 9));
    }
}
