//! What is published of each table: known, committed, and compared with what there is, while running and at every start.
//!
//! Owns [`Record`], which stands in Kafka beside the checkpoint: a table's oid, its entry in the publication, its partitions, and
//! what is known to be missing from its topic. `compare` finds what has changed, `remedy` decides what is done about it (a table
//! that is executed), `plan` gathers what that decision needs, `watch` looks and acts while the connector runs, and `begin` at a
//! start.
//! Never: reads a row; publishes one. Snapshots beside the stream read what a plan says.
//! Invariant: the record that says that a difference is dealt with is in the same Kafka transaction as the snapshot that does it, so
//! that no crash forgets it.
//! Start reading at [`Record`], then `remedy::ROWS`.

mod act;
mod compare;
mod look;
mod plan;
mod remedy;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use walferry_postgres::PublicationVersion;

pub(crate) use act::{Follow, begin, carry_out, finish, first, foresee, plan_of_config};
pub(crate) use plan::Plan;
pub(crate) use watch::watch;

use crate::status::Lack;

/// What was published when it was last known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The publication; none when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) publication: Option<Publication>,
    /// The tables that are followed, by `schema.table`.
    #[serde(default)]
    pub(crate) tables: BTreeMap<String, Entry>,
}

/// The publication as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication {
    oid: u32,
    version: String,
    owner: u32,
    operations: String,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// `pg_class.oid`.
    pub(crate) oid: u32,
    /// Oid of what brings it in the publication; none while it is to be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<u32>,
    /// Its partitions with rows, each with its file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) leaves: BTreeMap<u32, u32>,
    /// What is known to be wrong with its topic, until it is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lack: Option<KnownLack>,
}

/// What is known to be wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownLack {
    /// It holds rows that the table has no more, and lacks none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) surplus: bool,
    /// Cause and remedy.
    pub(crate) reason: String,
}

impl KnownLack {
    pub(crate) fn lack(&self) -> Lack {
        match self.surplus {
            true => Lack::Surplus,
            false => Lack::Incomplete,
        }
    }
}

impl From<&PublicationVersion> for Publication {
    fn from(it: &PublicationVersion) -> Publication {
        Publication {
            oid: it.oid,
            version: it.version.clone(),
            owner: it.owner,
            operations: it.operations.clone(),
        }
    }
}

impl Record {
    /// From the record in Kafka.
    ///
    /// # Errors
    /// It was written by a version that wrote it otherwise.
    pub(crate) fn read(
        value: Option<&serde_json::Value>,
    ) -> Result<Option<Record>, serde_json::Error> {
        value.map(Record::deserialize).transpose()
    }

    /// Puts what a plan says of tables in force. What is known to be wrong stays until it is mended.
    pub(crate) fn apply(&mut self, change: &RecordChange) {
        if let Some(publication) = &change.publication {
            self.publication = publication.clone();
        }
        for (name, entry) in &change.entries {
            match entry {
                None => {
                    self.tables.remove(name);
                }
                Some(entry) => {
                    let before = self.tables.get(name).and_then(|it| it.lack.clone());
                    let entry = Entry {
                        lack: entry.lack.clone().or(before),
                        ..entry.clone()
                    };
                    self.tables.insert(name.clone(), entry);
                }
            }
        }
    }

    /// A table has been read again: nothing is wrong with its topic any more. Whether something was.
    pub(crate) fn mended(&mut self, table: &str) -> bool {
        let entry = self.tables.get_mut(table);
        entry.is_some_and(|it| it.lack.take().is_some())
    }
}

/// What changes in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordChange {
    /// The publication as it is now, when that has changed.
    pub(crate) publication: Option<Option<Publication>>,
    /// Tables as they are now; none for one that is followed no more.
    pub(crate) entries: Vec<(String, Option<Entry>)>,
}

impl RecordChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.publication.is_none() && self.entries.is_empty()
    }
}

/// The record that the running connector knows, and the tables that are left out. Whoever changes it holds the lock until the
/// change is committed.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) record: Record,
    /// Tables that are left out because of what is published of them.
    pub(crate) left_out: std::collections::BTreeSet<String>,
}
