//! Which snapshot a table is read for: a type inside, a word in checkpoint, status and commands.
//!
//! Owns the words. Never: makes up an id.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which snapshot a table is read for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SnapshotId {
    /// The first one: rows that were there before the slot.
    Initial,
    /// The table has come to be followed, or something else is published of it.
    Added,
    /// A partition has come to a table, and brought rows.
    Attached,
    /// Topics are made to agree with their tables after changes were lost.
    Resync,
    /// Somebody asked for it, and was given this id.
    Asked(String),
}

const INITIAL: &str = "initial";
const ADDED: &str = "added";
const ATTACHED: &str = "attached";
const RESYNC: &str = "resync";

impl SnapshotId {
    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            SnapshotId::Initial => INITIAL,
            SnapshotId::Added => ADDED,
            SnapshotId::Attached => ATTACHED,
            SnapshotId::Resync => RESYNC,
            SnapshotId::Asked(id) => id,
        }
    }
}

impl From<String> for SnapshotId {
    fn from(word: String) -> SnapshotId {
        match word.as_str() {
            INITIAL => SnapshotId::Initial,
            ADDED => SnapshotId::Added,
            ATTACHED => SnapshotId::Attached,
            RESYNC => SnapshotId::Resync,
            _ => SnapshotId::Asked(word),
        }
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> String {
        match id {
            SnapshotId::Asked(id) => id,
            known => known.as_str().to_owned(),
        }
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_word_outside() {
        for (id, word) in [
            (SnapshotId::Initial, "initial"),
            (SnapshotId::Added, "added"),
            (SnapshotId::Attached, "attached"),
            (SnapshotId::Resync, "resync"),
            (SnapshotId::Asked("1f2e3d4c".into()), "1f2e3d4c"),
        ] {
            let json = serde_json::Value::from(word);
            assert_eq!(serde_json::to_value(&id).unwrap(), json);
            assert_eq!(id.to_string(), word);
            assert_eq!(serde_json::from_value::<SnapshotId>(json).unwrap(), id);
        }
    }
}
