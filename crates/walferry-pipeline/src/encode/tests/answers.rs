//! What stands for the catalog, the registry and Kafka: fixed answers, and a note of what was asked.
//!
//! Owns `Answers`. Never: waits.

use std::sync::{Arc, Mutex};

use walferry_event::{Column, ColumnType, OldRows, Relation, ReplicaIdentity, Table, TypeKind};
use walferry_kafka::TopicTakes;

use crate::{
    config::Config,
    encode::relations::{refusal::Refusal, servers::Servers, urgency::Urgency},
    error::Error,
    position::published_record::MessageKey,
    tables::{options::names::Meant, plan::Offer},
};

/// The first oid that is not PostgreSQL's own.
const OIDS_OF_USERS: u32 = 16_384;

/// What was asked, in words.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// Says yes to everything but the schemas of one subject.
pub(super) struct Answers {
    pub(super) asked: Asked,
    pub(super) refused_subject: Option<&'static str>,
}

impl Answers {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

impl Servers for Answers {
    fn reload(&mut self, _: Arc<Config>) {}

    /// The key is what identifies old rows; of a table whose whole rows do, it is the column `id`.
    fn table(&mut self, relation: &Relation, _: Option<u32>) -> Result<Table, Error> {
        self.note(format!("catalog: {}", relation.qualified_name()));
        let columns = relation.columns.iter();
        let key = columns.clone().enumerate().filter(|(_, column)| {
            let whole = relation.replica_identity == ReplicaIdentity::Full;
            column.in_identity && (!whole || column.name == "id")
        });
        let key: Vec<usize> = key.map(|(at, _)| at).collect();
        let columns = columns.enumerate().map(|(at, column)| {
            let kind = match column.type_oid {
                OIDS_OF_USERS.. => TypeKind::Enum(vec!["sad".into(), "ok".into()]),
                _ => TypeKind::Scalar,
            };
            let name = match column.type_oid {
                20 => "int8",
                23 => "int4",
                25 => "text",
                _ => "mood",
            };
            Column {
                name: column.name.clone(),
                data_type: ColumnType {
                    oid: column.type_oid,
                    name: name.into(),
                    modifier: column.type_modifier,
                    kind,
                },
                nullable: !key.contains(&at),
                default: None,
                any_shape: false,
            }
        });
        Ok(Table {
            relation: relation.clone(),
            columns: columns.collect(),
            key,
            old_rows: OldRows::default(),
        })
    }

    fn has_table(&mut self, _: u32) -> Result<bool, Error> {
        Ok(true)
    }

    fn key_of(&mut self, _: &str) -> Result<Option<MessageKey>, Error> {
        Ok(None)
    }

    fn keys_are_newer(&mut self, _: u32, _: u32) -> Result<bool, Error> {
        Ok(false)
    }

    fn meant(&mut self, _: &Relation) -> Result<Meant, Error> {
        Ok(Meant::default())
    }

    fn dropped(&mut self, _: &[u32]) -> Vec<u32> {
        Vec::new()
    }

    fn filled(&mut self, oids: &[u32]) -> Result<Vec<u32>, Error> {
        Ok(oids.to_vec())
    }

    fn topic(&mut self, topic: &Arc<str>) -> Result<TopicTakes, Error> {
        self.note(format!("topic: {topic}"));
        Ok(TopicTakes {
            record_bytes_max: 1 << 20,
            compacted: false,
        })
    }

    /// A schema has the same id whenever it is asked for.
    fn ids(&mut self, offers: &[(&str, Offer)], _: Urgency) -> Result<Vec<u32>, Refusal> {
        let subjects = offers.iter().map(|(_, it)| it.subject.as_str());
        self.note(format!(
            "registry: {}",
            subjects.collect::<Vec<_>>().join(" ")
        ));
        let refused = |it: &Offer| Some(it.subject.as_str()) == self.refused_subject;
        if offers.iter().any(|(_, it)| refused(it)) {
            return Err(Refusal::Schema("it is not compatible".into()));
        }
        // FNV-1a, which is the same in every release of Rust.
        let id = |(_, offer): &(&str, Offer)| {
            let bytes = offer.subject.bytes().chain(offer.schema.bytes());
            bytes.fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            })
        };
        Ok(offers.iter().map(id).collect())
    }

    fn make_ahead(&mut self, _: Vec<Arc<str>>, _: &[Vec<Offer>]) -> Result<(), Error> {
        Ok(())
    }

    fn generation(&self) -> u64 {
        1
    }
}
