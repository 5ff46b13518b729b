//! Wires the ring: PostgreSQL to Avro to Kafka, each committed change once.
//!
//! Owns what lies between the stages, in rooms of which each imports only what stands below it in this list.
//! Never: HTTP, command line, configuration files; those are the binary's. What an operator does beside a connector is in
//! `walferry-operations`.
//! Invariant: `confirmed <= checkpointed <= published <= received` (`position`).
//!
//! Start reading at `connector::run`, then `connector::ring`, `encode` and `publish` in the order in which a change meets them.

// From the bottom.
pub mod blocking;
pub mod clock;
pub mod error;
pub mod kept;
pub mod retry;
pub mod sorter;

pub mod config;

pub mod position;
pub mod tables;

pub mod status;

pub mod encode;

mod publish;
pub mod snapshot;

pub mod connector;

pub use config::Config;
pub use connector::{
    reload::{reload, resync},
    run,
};
pub use error::Error;
pub use position::{
    checkpoint_reader::checkpoint,
    ledger::Positions,
    snapshot_id::SnapshotId,
    snapshot_progress::{Progress, TableJob, TableProgress, TableState},
};
pub use snapshot::mailbox::{Handle, Refused};
pub use status::{
    Status,
    latency::{
        report::{LatencyStatus, Quantiles, StageLatency},
        totals::{SECONDS, StageTotals, Totals},
    },
    report::{ConnectorStatus, Lag, SnapshotStatus, SourceStatus, TableActivity, TableStatus},
    state::State,
};
pub use tables::plan::SchemaIds;
pub use walferry_kafka::{give_back_large_buffers, wait_for_clients};
