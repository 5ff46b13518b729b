//! Another configuration while relations are in use: what is followed from here on, and what is not any more.
//!
//! Owns the change of the selection. Invariant: a relation that the stream has described before is not forgotten, because the
//! stream does not describe it again.

use std::sync::Arc;

use crate::{
    config::{Config, selection::Selection},
    encode::relations::{Entry, Relations},
    position::published_record::Lack,
};

impl Relations {
    /// Follows what this configuration selects, from the next change on.
    pub(crate) fn reload(&mut self, config: Arc<Config>) {
        self.selection = Selection::new(&config.source.tables);
        self.servers.reload(config.clone());
        self.config = config;
        let selection = &self.selection;
        let left: Vec<u32> = self
            .entries
            .iter()
            .filter_map(|(oid, entry)| match entry {
                Entry::Followed(plan) if !selection.includes(&plan.name) => Some(*oid),
                _ => None,
            })
            .collect();
        for oid in left {
            if let Some(Entry::Followed(plan)) = self.entries.insert(oid, Entry::Ignored) {
                self.ignored.insert(oid, plan.table.relation);
            }
        }
        self.admit();
    }

    /// Follows from the next change on what was not followed and is to be.
    pub(crate) fn admit(&mut self) {
        let (selection, status) = (&self.selection, &self.status);
        let left_out = |name: &str| {
            let found = status.findings.of(name);
            found.is_some_and(|it| it.lack == Lack::LeftOut)
        };
        let wanted = |it: &walferry_event::Relation| {
            let name = it.qualified_name();
            selection.includes(&name) && !left_out(&name)
        };
        let (entries, described) = (&mut self.entries, &mut self.described);
        self.ignored.retain(|oid, relation| {
            if !wanted(relation) {
                return true;
            }
            entries.remove(oid);
            described.entry(*oid).or_insert_with(|| relation.clone());
            false
        });
    }
}
