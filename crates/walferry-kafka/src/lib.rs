//! Publishing to Kafka exactly once: one transactional producer, and the checkpoint in the same transaction.
//!
//! Owns the Kafka transaction, the checkpoint topic and the decision what an uncertain commit became. Never: what a record
//! means, PostgreSQL, Avro.
//! Invariant: a batch is kept until its outcome is known; a producer that has seen an error is never used again; a
//! producer is never initialised without reading the checkpoint afterwards.
//!
//! Start reading at [`Publisher`] (the state machine), then `producer` (librdkafka behind seven calls).

mod admin;
mod answers;
mod background_drop;
mod block;
mod checkpoint;
mod checkpoint_edit;
mod clock;
mod config;
mod error;
mod events;
mod health;
mod journal;
mod known;
mod native;
mod noted_producer;
mod partitioner;
mod ping;
mod producer;
mod properties;
mod property_check;
mod publisher;
mod reader;
mod refusal;
mod seeker;
mod sizes;
mod topic;
mod transactions;
mod veil;
mod waits;
mod watch;

pub use admin::{
    Concern, Gravity, NOBODY, PlannedTopic, TopicLook, TopicTakes, alter_line, broker_settings,
    compacted_topics, create_line, ensure_checkpoint_topic, ensure_roomy_topic, ensure_topic,
    ensure_topics, missing_rights, plan_topics, request_limit, topic_fitness, topic_safety,
    topics_missing, unreachable_brokers,
};
pub use background_drop::wait_for_clients;
pub use block::{BlockPool, Headers, Judge, OwnedRecord, RecordBlock, RecordRef, Verdict};
pub use checkpoint::{Checkpoint, Parked};
pub use checkpoint_edit::amend_checkpoint;
pub use clock::{now_rfc3339, rfc3339};
pub use config::{Config, RetryLimits};
pub use error::Error;
pub use health::Health;
pub use known::{Difference, KnownTopics, TopicIdentity};
pub use native::give_back_large_buffers;
pub use noted_producer::Noted;
pub use ping::ping;
pub use publisher::{CommitReport, Publisher};
pub use reader::{look_at_checkpoint, read_checkpoint};
pub use refusal::{Refusal, Refused};
pub use seeker::{Place, Seeker, SoughtRecord};
pub use sizes::{RECORD_BYTES_DEFAULT, RequestLimit};
pub use topic::{PartitionEnds, TopicRecord, read_topic};
