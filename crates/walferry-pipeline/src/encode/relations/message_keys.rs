//! The message keys that topics have been written with: of which columns, so that another one is noticed, after a restart too.
//!
//! Owns what is to be recorded next of `MessageKey`s, which stand in the record of what is published. Never: records; the engine
//! does between two transactions.
//! Invariant: a column that is renamed is the same one.

use std::collections::HashMap;

use walferry_event::Table;

use crate::position::published_record::{KnownLack, Mend, MessageKey, Record};

/// A key that is to be recorded.
pub(crate) struct KeyNews {
    pub(crate) table: String,
    pub(crate) key: MessageKey,
    /// What is wrong with the topic from here on.
    pub(crate) lack: Option<KnownLack>,
}

/// The keys that are recorded, or will be, by the oids of their tables.
#[derive(Default)]
pub struct MessageKeys {
    known: HashMap<u32, MessageKey>,
    /// The columns of the last key of each topic, by the name of its table.
    named: HashMap<String, Vec<String>>,
    news: Vec<KeyNews>,
}

impl MessageKeys {
    pub(crate) fn of(record: Option<&Record>) -> MessageKeys {
        let entries = record.into_iter().flat_map(|it| &it.tables);
        let keys = entries.filter_map(|(name, it)| Some((name, it.oid, it.key.as_ref()?)));
        MessageKeys {
            known: keys.clone().map(|it| (it.1, it.2.clone())).collect(),
            named: keys
                .map(|it| (it.0.clone(), it.2.columns.clone()))
                .collect(),
            news: Vec::new(),
        }
    }

    /// A table is written with this key from here on. What is wrong with its topic then, if it was written with another.
    pub(super) fn uses(&mut self, table: &Table) -> Option<KnownLack> {
        let (oid, name) = (table.relation.oid, table.relation.qualified_name());
        let key = MessageKey::of(table);
        if !key.columns.is_empty() {
            self.named.insert(name.clone(), key.columns.clone());
        }
        let before = self.known.insert(oid, key.clone());
        if before.as_ref() == Some(&key) {
            return None;
        }
        let reason = before.and_then(|it| it.change_to(&key));
        let lack = reason.map(|reason| KnownLack {
            surplus: false,
            until: Mend::Whole,
            reason: format!("{reason}; `walferry resync {name} -c FILE` makes its topic agree"),
        });
        self.news.push(KeyNews {
            table: name,
            key,
            lack: lack.clone(),
        });
        lack
    }

    /// The columns of the keys that a table, or others of its name, were written with.
    pub(super) fn of_table(&self, oid: u32, name: &str) -> Vec<Vec<String>> {
        let own = self.known.get(&oid).map(|it| &it.columns);
        let keys = own.into_iter().chain(self.named.get(name));
        keys.filter(|it| !it.is_empty()).cloned().collect()
    }

    /// A table has got its key behind the rows that come now. What is wrong with its topic then.
    pub(super) fn is_newer(&mut self, table: &Table) -> KnownLack {
        let (name, key) = (table.relation.qualified_name(), MessageKey::of(table));
        let lack = KnownLack {
            surplus: false,
            until: Mend::Whole,
            reason: format!(
                "rows that come now were written before the table had its key ({}), and nothing made that unique then: a delete of \
                 one may have deleted another for consumers; `walferry resync {name} -c FILE` makes its topic agree",
                key.columns.join(", ")
            ),
        };
        self.news.push(KeyNews {
            table: name,
            key,
            lack: Some(lack.clone()),
        });
        lack
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(crate) fn take_news(&mut self) -> Vec<KeyNews> {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::{Column, ColumnType, OldRows, Relation, ReplicaIdentity, TypeKind};

    use super::*;

    fn table(columns: &[&str], key: &[usize]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            data_type: ColumnType {
                oid: 23,
                name: "int4".into(),
                modifier: -1,
                kind: TypeKind::Scalar,
            },
            nullable: false,
            default: None,
            any_shape: false,
        };
        Table {
            relation: Relation {
                oid: 1,
                schema: "public".into(),
                name: "t".into(),
                replica_identity: ReplicaIdentity::Full,
                columns: Vec::new(),
            },
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
            old_rows: OldRows::default(),
        }
    }

    #[test]
    fn another_key_is_told_and_a_renamed_one_is_none() {
        let old = table(&["id", "k"], &[0]);
        for (new, told) in [
            (table(&["id", "k"], &[1]), true),
            (table(&["id", "k"], &[]), true),
            (table(&["id", "k", "l"], &[0, 1]), true),
            (table(&["number", "k"], &[0]), false),
            (table(&["id", "k", "l"], &[0]), false),
        ] {
            let mut keys = MessageKeys::default();
            assert!(keys.uses(&old).is_none());
            assert_eq!(keys.uses(&new).is_some(), told, "{:?}", new.key);
            assert!(keys.uses(&new).is_none());
        }
        let mut keys = MessageKeys::default();
        keys.uses(&table(&["id"], &[]));
        assert!(keys.uses(&old).is_none());
    }
}
