//! What is published of each table, as it stands in Kafka beside the checkpoint.
//!
//! Owns `Record`: a table's oid, its entry in the publication, its partitions, the columns of its keys, and what is known to be
//! missing from its topic. Never: looks at the catalog, decides what is done.
//! Invariant: what is known to be wrong with a topic stands until its own remedy has run.
//! Start reading at `Record`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use walferry_event::Code;
use walferry_event::Table;
use walferry_postgres::PublicationVersion;

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
    pub(crate) oid: u32,
    pub(crate) version: String,
    pub(crate) owner: u32,
    pub(crate) operations: String,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// `pg_class.oid`.
    pub(crate) oid: u32,
    /// Oid of what brings it in the publication; none while it is to be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<u32>,
    /// The transaction that put it into its schema, where the schema is what is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moved: Option<i64>,
    /// The number of the last of its columns that our publication leaves out, where a column list of ours says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unlisted: Option<i16>,
    /// Its partitions with rows, each with its file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) leaves: BTreeMap<u32, u32>,
    /// What the keys of its topic are made of, once something was written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<MessageKey>,
    /// Its name was another table's for a while, or it had another name: what its topic holds is not what it has written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) strange: bool,
    /// What is known to be wrong with its topic, each until its remedy has run.
    #[serde(
        default,
        rename = "lack",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub(crate) lacks: Vec<KnownLack>,
}

/// What is known to be wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownLack {
    /// It holds rows that the table has no more, and lacks none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) surplus: bool,
    /// What mends it.
    #[serde(default, skip_serializing_if = "Mend::is_whole")]
    pub(crate) until: Mend,
    /// Cause and remedy.
    pub(crate) reason: String,
}

/// Earlier versions knew one at most.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<KnownLack>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lacks {
        One(KnownLack),
        Many(Vec<KnownLack>),
    }
    Ok(match Lacks::deserialize(from)? {
        Lacks::One(lack) => vec![lack],
        Lacks::Many(lacks) => lacks,
    })
}

impl Entry {
    /// Whether nothing else is published, whatever is known to be wrong with the topic.
    pub(crate) fn is_but_for_lacks(&self, other: &Entry) -> bool {
        let of = |it: &Entry| (it.oid, it.member, it.moved, it.strange, it.unlisted);
        of(self) == of(other) && self.leaves == other.leaves
    }

    /// Something is known to be wrong with the topic, beside what was, or in place of the same.
    fn lacks(&mut self, lack: KnownLack) {
        let same = |it: &&mut KnownLack| (it.until, it.surplus) == (lack.until, lack.surplus);
        match self.lacks.iter_mut().find(same) {
            Some(known) => *known = lack,
            None => self.lacks.push(lack),
        }
    }
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
                    let before = self.tables.remove(name).unwrap_or_default();
                    let mut now = Entry {
                        lacks: before.lacks,
                        // What was written to the topic of another table is looked through.
                        key: before.key.filter(|_| before.oid == entry.oid),
                        ..entry.clone()
                    };
                    for lack in &entry.lacks {
                        now.lacks(lack.clone());
                    }
                    self.tables.insert(name.clone(), now);
                }
            }
        }
    }

    /// What was wrong with a topic until this had run is right.
    pub(crate) fn mended(&mut self, table: &str, until: Mend) {
        if let Some(entry) = self.tables.get_mut(table) {
            entry.lacks.retain(|it| it.until != until);
        }
    }

    /// A topic is written with these keys from here on.
    pub(crate) fn uses_key(&mut self, table: &str, key: MessageKey) {
        if let Some(entry) = self.tables.get_mut(table) {
            entry.key = Some(key);
        }
    }

    /// Something is known to be wrong with the topic of a table. Whether the table is followed.
    pub(crate) fn lacks(&mut self, table: &str, lack: KnownLack) -> bool {
        let entry = self.tables.get_mut(table);
        entry.map(|it| it.lacks(lack)).is_some()
    }
}

/// What changes in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordChange {
    /// The publication as it is now, when that has changed.
    pub(crate) publication: Option<Option<Publication>>,
    /// Tables as they are now, with what is newly known to be wrong with their topics; none for one that is followed no more.
    pub(crate) entries: Vec<(String, Option<Entry>)>,
}

impl RecordChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.publication.is_none() && self.entries.is_empty()
    }
}

/// Which columns a message key is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageKey {
    /// Their names, in the order of the key.
    pub(crate) columns: Vec<String>,
    /// Where they stand among the columns of the table.
    places: Vec<usize>,
    /// How many columns the table has.
    of: usize,
}

impl MessageKey {
    /// Their names, in the order of the key.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(crate) fn of(table: &Table) -> MessageKey {
        let names = table.key.iter().filter_map(|&at| table.columns.get(at));
        MessageKey {
            columns: names.map(|it| it.name.clone()).collect(),
            places: table.key.clone(),
            of: table.columns.len(),
        }
    }

    /// What is to be said of a version whose message key is made of other columns than this one's.
    pub(crate) fn change_to(&self, now: &MessageKey) -> Option<String> {
        let place_stays = self.places == now.places && self.of == now.of;
        if self.columns.is_empty() || self.columns == now.columns || place_stays {
            return None;
        }
        let becomes = match now.columns.is_empty() {
            true => "there is none".to_owned(),
            false => format!("it is ({})", now.columns.join(", ")),
        };
        Some(format!(
            "the message key was ({}) and from here on {becomes}, because the table's keys, its replica identity or its [[table]] \
             changed: records under keys of the old form are never deleted by what follows",
            self.columns.join(", ")
        ))
    }
}

/// What becomes of a table that has a finding, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    /// It is not published at all; the others are.
    LeftOut,
    /// It is published, and changes or rows of it are missing from its topic. The connector is not ready.
    Incomplete,
    /// It is published, and its topic holds rows that the table has no more. The connector is ready.
    Surplus,
    /// It is published and complete, and its topic is not as it was: that has to be known, and stops nothing.
    Uneven,
}

impl Lack {
    /// The code of a reason that has none of its own.
    pub(crate) fn code(self) -> Code {
        match self {
            Lack::LeftOut => Code::TableLeftOut,
            Lack::Incomplete => Code::ChangesMissing,
            Lack::Surplus => Code::RowsTooMany,
            Lack::Uneven => Code::TopicUneven,
        }
    }
}

/// What has to run before something that is known to be wrong with a topic is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mend {
    /// The rows of the table are read again, and the topic holds nothing beside them.
    #[default]
    Whole,
    /// What the topic holds beside the table's rows is deleted.
    Sweep,
    /// The rows of partitions are read.
    Part,
    /// Partitions have their changes in the WAL again, and the rows of the table are read again.
    Logged,
    /// The publication publishes all operations again, and the rows of the table are read again.
    Published,
}

impl Mend {
    pub(crate) const ALL: [Mend; 5] = [
        Mend::Whole,
        Mend::Sweep,
        Mend::Part,
        Mend::Logged,
        Mend::Published,
    ];

    /// Whether a run of this mends what waits for a run of `other`.
    pub(crate) fn covers(self, other: Mend) -> bool {
        self == Mend::Whole || self == other
    }

    pub(crate) fn is_whole(&self) -> bool {
        *self == Mend::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(until: Mend, surplus: bool, reason: &str) -> KnownLack {
        KnownLack {
            surplus,
            until,
            reason: reason.into(),
        }
    }

    fn change(lacks: &[KnownLack]) -> RecordChange {
        let entry = Entry {
            lacks: lacks.to_vec(),
            ..Entry::default()
        };
        RecordChange {
            entries: vec![("public.t".into(), Some(entry))],
            ..RecordChange::default()
        }
    }

    #[test]
    fn a_lack_stands_beside_another_until_its_own_remedy_has_run() {
        let dropped = lack(Mend::Sweep, true, "dropped");
        let attached = lack(Mend::Part, false, "attached");
        let mut record = Record::default();
        record.apply(&change(std::slice::from_ref(&dropped)));
        record.apply(&change(std::slice::from_ref(&attached)));
        record.apply(&change(&[]));
        let json = serde_json::to_value(&record).unwrap();
        let mut record = Record::read(Some(&json)).unwrap().unwrap();
        assert_eq!(record.tables["public.t"].lacks, [dropped.clone(), attached]);
        record.mended("public.t", Mend::Part);
        assert_eq!(record.tables["public.t"].lacks, [dropped]);
        let again = lack(Mend::Sweep, true, "dropped again");
        assert!(record.lacks("public.t", again.clone()));
        assert_eq!(record.tables["public.t"].lacks, [again]);
        record.mended("public.t", Mend::Sweep);
        assert!(record.tables["public.t"].lacks.is_empty());
    }

    #[test]
    fn the_one_lack_of_an_earlier_version_is_read() {
        let json = serde_json::json!({"oid": 7, "lack": {"surplus": true, "reason": "dropped"}});
        let entry: Entry = serde_json::from_value(json).unwrap();
        assert_eq!(entry.lacks, [lack(Mend::Whole, true, "dropped")]);
    }
}
