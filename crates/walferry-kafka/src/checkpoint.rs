//! The checkpoint record: what the topics hold, in JSON that any console consumer can show.
//!
//! Owns the record's shape. Invariant: what is written is read back the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use walferry_event::{Lsn, Position};

use crate::TopicIdentity;

/// Version of the record's shape.
pub(crate) const VERSION: u32 = 1;

/// The value of a checkpoint record; its key is the connector's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Version of this shape: 1.
    pub version: u32,
    /// `system_identifier` of the cluster.
    pub system_id: String,
    /// Its timeline.
    pub timeline: u32,
    /// The database.
    pub database: String,
    /// The slot.
    pub slot: String,
    /// What the topics hold. Absent in an intent, which is written before the slot is created.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Where the last transaction ended that the stream brought before `position`: the next records name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_lsn: Option<Lsn>,
    /// Of the transaction that `position` holds in part: its events in the topics, by table. Absent when they are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<BTreeMap<String, u64>>,
    /// Tables of which the topics hold less than `position` says, each with a position of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<Parked>,
    /// How far a snapshot has come, while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<serde_json::Value>,
    /// The process that wrote it: one id per start.
    pub instance: String,
    /// Grows by one with each record of the connector.
    pub counter: u64,
    /// When it was written; for people.
    pub written_at: String,
    /// Version of Walferry that wrote it.
    pub walferry: String,
    /// What was followed then: globs of `source.tables`. Of what they do not choose the topics miss changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// What is published of each table, for its reader alone. It stands in a record of its own, under `published_key`, which
    /// is written in the same transaction when it has changed: with many tables it is large, and a checkpoint is small.
    /// Written: what takes the place of the record before, or nothing when it stays. Read: the newest.
    #[serde(skip)]
    pub published: Option<serde_json::Value>,
    /// The topics of their records, as they were when they were first written to. A topic that is another by now, or has
    /// another number of partitions, is told of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, TopicIdentity>,
}

/// The key of the record that says what is published of each table. No connector has such a name.
pub(crate) fn published_key(connector: &str) -> String {
    format!("{connector}/published")
}

/// A table that waits, or that is catching up with the others after it has waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// `schema.table`.
    pub table: String,
    /// What the topics hold of it; the slot has to keep what comes after `end_lsn`.
    #[serde(flatten)]
    pub position: Position,
    /// When it was parked; for people.
    pub since: String,
    /// Why.
    pub reason: String,
}

impl Checkpoint {
    /// Whether it is the very record that `other` is.
    pub(crate) fn is_same_write(&self, other: &Checkpoint) -> bool {
        self.instance == other.instance && self.counter == other.counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(position: Option<Position>) -> Checkpoint {
        Checkpoint {
            version: VERSION,
            system_id: "7412345678901234567".into(),
            timeline: 1,
            database: "shop".into(),
            slot: "walferry_shop".into(),
            position,
            last_commit_lsn: None,
            events: None,
            parked: Vec::new(),
            snapshot: None,
            instance: "i".into(),
            counter: 3,
            written_at: "2026-11-24T00:00:00.000Z".into(),
            walferry: "0.1.0".into(),
            tables: Vec::new(),
            published: None,
            topics: BTreeMap::new(),
        }
    }

    #[test]
    fn the_position_stands_flat_in_the_record() {
        let position = Position {
            commit_lsn: Lsn(0x16_B374_D848),
            end_lsn: Lsn(0x16_B374_D878),
            ordinal: Some(7),
        };
        let mut checkpoint = example(Some(position));
        checkpoint.events = Some([("public.t".to_owned(), 7)].into());
        checkpoint.last_commit_lsn = Some(Lsn(0x16_B374_D000));
        let json = serde_json::to_value(&checkpoint).unwrap();
        assert_eq!(json["commit_lsn"], "16/B374D848");
        assert_eq!(json["end_lsn"], "16/B374D878");
        assert_eq!(json["ordinal"], 7);
        assert_eq!(json["last_commit_lsn"], "16/B374D000");
        assert_eq!(json["events"]["public.t"], 7);
        let read: Checkpoint = serde_json::from_value(json).unwrap();
        assert_eq!(read, checkpoint);
    }

    #[test]
    fn a_table_that_waits_has_a_position_of_its_own() {
        let position = |lsn, ordinal| Position {
            commit_lsn: Lsn(lsn),
            end_lsn: Lsn(lsn + 8),
            ordinal,
        };
        let mut checkpoint = example(Some(position(0x200, None)));
        checkpoint.parked.push(Parked {
            table: "public.t".into(),
            position: position(0x100, Some(0)),
            since: "2026-11-24T00:00:00.000Z".into(),
            reason: "refused".into(),
        });
        let json = serde_json::to_value(&checkpoint).unwrap();
        assert_eq!(json["parked"][0]["commit_lsn"], "0/100");
        assert_eq!(json["parked"][0]["ordinal"], 0);
        let read: Checkpoint = serde_json::from_value(json).unwrap();
        assert_eq!(read, checkpoint);
    }

    #[test]
    fn an_intent_has_no_position() {
        let json = serde_json::to_string(&example(None)).unwrap();
        assert!(!json.contains("lsn"));
        assert_eq!(
            serde_json::from_str::<Checkpoint>(&json).unwrap(),
            example(None)
        );
    }
}
