//! Wires the ring: PostgreSQL to Avro to Kafka, each committed change once.
//!
//! Owns what lies between the stages: the ledger of positions, the recovery decision, batches, snapshots, policies.
//! Never: HTTP, command line, configuration files; those are the binary's.
//! Invariant: `confirmed <= checkpointed <= published <= received` ([`ledger`]).
//!
//! Start reading at [`connector::run`], then `ring`, `encode` and `publish` in the order in which a change meets them.

pub mod audit;
mod batch;
mod block;
mod builder;
mod changes;
pub mod config;
pub mod connector;
mod course;
mod dead_letter;
mod encode;
mod error;
mod examine;
pub mod hand;
pub mod ledger;
mod limits;
mod monitor;
mod options;
mod parking;
mod pausing;
mod publish;
mod published;
pub mod recovery;
mod refusals;
mod relations;
mod reload;
mod replay;
mod retry;
mod ring;
pub mod schemas;
mod selection;
mod sharing;
pub mod snapshot;
mod sorter;
mod source;
mod stamp;
mod status;
mod tail;
mod topics;

pub use audit::{Audit, AuditReport, audit};
pub use config::Config;
pub use connector::run;
pub use error::Error;
pub use examine::{Finding, Severity, checkpoint, examine};
pub use ledger::Positions;
pub use reload::{reload, resync};
pub use replay::{Replay, ReplayReport, TableReplay, replay};
pub use snapshot::{Progress, Refused, TableJob, TableProgress, TableState};
pub use status::{
    ConnectorStatus, Lag, SchemaIds, SnapshotStatus, SourceStatus, State, Status, TableActivity,
    TableStatus,
};
pub use tail::{Tail, tail};
pub use walferry_kafka::{give_back_large_buffers, wait_for_clients};
