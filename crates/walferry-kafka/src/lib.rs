//! Publishing to Kafka exactly once: one transactional producer, and the checkpoint in the same transaction.
//!
//! Owns the Kafka transaction, the checkpoint topic and the decision what an uncertain commit became. Never: what a record
//! means, PostgreSQL, Avro.
//! Invariant: a batch is kept until its outcome is known; a producer that has seen an error is never used again; a
//! producer is never initialised without reading the checkpoint afterwards.
//!
//! Start reading at [`Publisher`] (the state machine), then `producer` (librdkafka behind seven calls).

mod admin;
mod amend;
mod answers;
mod block;
mod checkpoint;
mod clock;
mod config;
mod error;
mod events;
mod health;
mod journal;
mod known;
mod leave;
mod native;
mod noted;
mod partitioner;
mod ping;
mod producer;
mod properties;
mod publisher;
mod reader;
mod refusal;
mod sizes;
mod topic;
mod transactions;
mod veil;
mod waits;
mod watch;

pub use admin::{
    Concern, PlannedTopic, TopicLook, TopicTakes, compacted_topics, ensure_checkpoint_topic,
    ensure_roomy_topic, ensure_topic, ensure_topics, plan_topics, request_limit, topic_safety,
    topics_missing,
};
pub use amend::amend_checkpoint;
pub use block::{BlockPool, Headers, Judge, OwnedRecord, RecordBlock, RecordRef, Verdict};
pub use checkpoint::{Checkpoint, Parked};
pub use clock::now_rfc3339;
pub use config::{Config, RetryLimits};
pub use error::Error;
pub use health::Health;
pub use known::{Difference, KnownTopics, TopicIdentity};
pub use leave::wait_for_clients;
pub use native::give_back_large_buffers;
pub use noted::Noted;
pub use ping::ping;
pub use publisher::{CommitReport, Publisher};
pub use reader::{look_at_checkpoint, read_checkpoint};
pub use refusal::{Refusal, Refused};
pub use sizes::{RECORD_BYTES_DEFAULT, RequestLimit};
pub use topic::{PartitionEnds, TopicRecord, read_topic};
