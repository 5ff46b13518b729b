//! What relations ask: PostgreSQL's catalog, the registry and Kafka.
//!
//! Owns the list of the questions. Never: says who answers; servers do in `live_servers`, and a fixed answer does in the encoder's own tests.
//! Invariant: nothing else of the encoder waits for a server, but for the memory of a block.

use std::sync::Arc;

use walferry_event::{Relation, Table};
use walferry_kafka::TopicTakes;

use crate::{
    config::Config,
    encode::relations::{refusal::Refusal, urgency::Urgency},
    error::Error,
    position::published_record::MessageKey,
    status::latency::work::Work,
    tables::{options::names::Meant, plan::Offer},
};

/// Answers what relations ask. Each call may take as long as a server is away, and ends at the stop.
pub(crate) trait Servers: Send {
    /// Another configuration is in force from here on.
    fn reload(&mut self, config: Arc<Config>);

    /// What the catalog says of a relation, once it shows what the transaction `unseen` has changed.
    fn table(&mut self, relation: &Relation, unseen: Option<u32>) -> Result<Table, Error>;

    /// Whether the catalog has the table still.
    fn has_table(&mut self, oid: u32) -> Result<bool, Error>;

    /// The message key of the table that has the name now; none when there is no such table, or it has none.
    fn key_of(&mut self, name: &str) -> Result<Option<MessageKey>, Error>;

    /// Whether a key of the table was made behind the transaction `xid`.
    fn keys_are_newer(&mut self, oid: u32, xid: u32) -> Result<bool, Error>;

    /// What the options of a table mean in this version of it.
    fn meant(&mut self, relation: &Relation) -> Result<Meant, Error>;

    /// Those of the tables that the catalog has no more; none of them when it cannot be told.
    fn dropped(&mut self, oids: &[u32]) -> Vec<u32>;

    /// Those of the tables that have rows.
    fn filled(&mut self, oids: &[u32]) -> Result<Vec<u32>, Error>;

    /// Makes sure of a topic. What it takes.
    fn topic(&mut self, topic: &Arc<str>) -> Result<TopicTakes, Error>;

    /// The ids of the offers. A registry that is away is waited for, unless a table may wait alone.
    fn ids(&mut self, offers: &[(&str, Offer)], urgency: Urgency) -> Result<Vec<u32>, Refusal>;

    /// Makes topics, and registers the schemas of table versions, all at once and as far as it goes.
    fn make_ahead(&mut self, topics: Vec<Arc<str>>, versions: &[Vec<Offer>]) -> Result<(), Error>;

    /// How long servers were waited for since this was asked last.
    fn waited(&mut self) -> Work {
        Work::default()
    }

    /// Grows when all ids are to be asked for again before the next record that uses them.
    fn generation(&self) -> u64;
}
