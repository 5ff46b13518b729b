//! A name that another table has for a while, and a table that has another name for a while, between two looks.
//!
//! Owns what the stream says of it: each relation comes with its oid and the name that it had when it was written to. Two looks at the
//! catalog see neither. Never: decides what is done; a look does, which takes such a table for a replaced one.
//! Invariant: that a table is strange is in the same Kafka transaction as the first change that makes it so.
//! Start reading at `Record::strange_by`.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{position::published_record::Record, status::known::Known};

/// What the stream has met since the last look.
#[derive(Debug, Default)]
pub(crate) struct Strange(Mutex<Met>);

#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Tables whose topics are not what they have written.
    tables: BTreeSet<String>,
    /// Tables whose topics have changes of a partition that was not known.
    leaves: BTreeSet<(String, u32)>,
}

/// The file of a partition of which nothing is known but that the stream has brought changes of it.
pub(crate) const IN_STREAM: u32 = u32::MAX;

impl Strange {
    /// A table's topic is not what the table has written.
    pub(crate) fn add(&self, table: &str) {
        self.lock().tables.insert(table.to_owned());
    }

    /// It is known, and dealt with.
    pub(crate) fn forget(&self, table: &str) {
        self.lock().tables.remove(table);
    }

    /// What has been met, for the look that deals with it.
    pub(crate) fn take(&self) -> Met {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Met> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// The tables whose topics are not what they have written, when the stream brings changes of the table `oid` under a name.
    pub(crate) fn strange_by(&self, oid: u32, name: &str) -> Vec<String> {
        let strange = self.tables.iter().filter(|(table, entry)| {
            let same = entry.oid == oid;
            !entry.strange && same != (table.as_str() == name)
        });
        strange.map(|(table, _)| table.clone()).collect()
    }

    /// The stream brings a change of the table `oid` that was made in the relation `leaf`: tells of what the record does not know of that.
    /// Whether there is any.
    pub(crate) fn meet_leaf(&mut self, oid: u32, leaf: u32, strange: &Strange) -> bool {
        let mut news = false;
        for (name, entry) in &mut self.tables {
            if entry.oid == oid && !entry.leaves.contains_key(&leaf) {
                entry.leaves.insert(leaf, IN_STREAM);
                strange.lock().leaves.insert((name.clone(), leaf));
                news = true;
            }
            // It is followed by itself, and its topic lacks the change.
            if entry.oid == leaf && !entry.strange {
                entry.strange = true;
                strange.add(name);
                news = true;
            }
        }
        news
    }

    pub(crate) fn set_strange(&mut self, table: &str) {
        if let Some(entry) = self.tables.get_mut(table) {
            entry.strange = true;
        }
    }
}

impl Known {
    /// Whether a table is strange that was not known to be.
    pub(crate) fn meet(&mut self, strange: &Strange) -> bool {
        let met = strange.take();
        for table in &met.tables {
            self.record.set_strange(table);
        }
        for (root, leaf) in &met.leaves {
            if let Some(entry) = self.record.tables.get_mut(root) {
                entry.leaves.entry(*leaf).or_insert(IN_STREAM);
            }
        }
        !met.tables.is_empty() || !met.leaves.is_empty()
    }

    pub(crate) fn has_strange(&self) -> bool {
        self.record.tables.values().any(|it| it.strange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::published_record::Entry;

    #[test]
    fn a_change_in_a_partition_that_was_not_known_is_met_once() {
        let entry = |oid| Entry {
            oid,
            ..Entry::default()
        };
        let tables = [("public.root", 1), ("public.alone", 2)];
        let tables = tables.map(|(name, oid)| (name.to_owned(), entry(oid)));
        let mut known = Known::default();
        known.record.tables = tables.into();
        let (mut record, strange) = (known.record.clone(), Strange::default());
        assert!(record.meet_leaf(1, 2, &strange) && !record.meet_leaf(1, 2, &strange));
        assert!(known.meet(&strange) && !known.meet(&strange));
        assert_eq!(known.record, record);
        assert!(record.tables["public.alone"].strange);
        assert_eq!(record.tables["public.root"].leaves[&2], IN_STREAM);
        assert!(!record.meet_leaf(7, 8, &strange));
    }

    #[test]
    fn a_name_and_an_oid_that_belong_to_different_tables_make_both_strange() {
        let entry = |oid| Entry {
            oid,
            ..Entry::default()
        };
        let tables = [("public.t", 1), ("public.u", 2)];
        let tables = tables.map(|(name, oid)| (name.to_owned(), entry(oid)));
        let mut record = Record {
            tables: tables.into(),
            ..Record::default()
        };
        for (oid, name, strange) in [
            (1, "public.t", &[][..]),
            (3, "public.x", &[]),
            (3, "public.t", &["public.t"]),
            (1, "public.x", &["public.t"]),
            (2, "public.t", &["public.t", "public.u"]),
        ] {
            assert_eq!(record.strange_by(oid, name), strange, "{oid} {name}");
        }
        record.set_strange("public.t");
        assert_eq!(record.strange_by(2, "public.t"), ["public.u"]);
    }
}
