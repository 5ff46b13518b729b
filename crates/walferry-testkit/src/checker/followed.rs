//! A followed table as the judge knows it: its name, its key at each position, the columns that the topics do not have.
//!
//! Owns: nothing but what the rules say. Never: I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rules::Rules;

/// A followed table.
pub(super) struct Table {
    pub(super) name: Arc<str>,
    /// Keys and the LSN from which on each is in force.
    keys: Vec<(u64, Vec<Arc<str>>)>,
    /// LSN from which on it is made to agree in other ways than by its changes.
    read_again: Option<u64>,
    /// Whether a key passes from row to row within a statement.
    pub(super) keys_pass: bool,
    pub(super) ignored: BTreeSet<String>,
}

impl Table {
    pub(super) fn new(name: &str, rules: &Rules) -> Table {
        let arcs = |key: &[String]| key.iter().map(|it| Arc::from(it.as_str())).collect();
        let mut keys = vec![(0, arcs(&rules.keys[name]))];
        let changes = rules.key_changes.iter().filter(|it| it.table == name);
        keys.extend(changes.map(|it| (it.from, arcs(&it.key))));
        let ignored = rules.ignored_columns.iter();
        Table {
            name: Arc::from(name),
            keys,
            read_again: rules
                .read_again
                .iter()
                .filter(|it| it.table == name)
                .map(|it| it.from)
                .min(),
            keys_pass: rules.passing_keys.contains(name),
            ignored: ignored
                .filter_map(|path| path.strip_prefix(&format!("{name}.")).map(str::to_owned))
                .collect(),
        }
    }

    /// The key that is in force at a change.
    pub(super) fn key(&self, lsn: u64) -> &[Arc<str>] {
        let in_force = self.keys.iter().rev().find(|(from, _)| *from <= lsn);
        in_force.map_or(&[], |(_, key)| key)
    }

    /// Whether a change may be absent, and rows and deletes may come that are no change.
    pub(super) fn is_read_again(&self, lsn: u64) -> bool {
        self.read_again.is_some_and(|from| from <= lsn)
    }
}
