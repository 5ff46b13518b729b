//! Wires the ring: PostgreSQL to Avro to Kafka, each committed change once.
//!
//! Owns what lies between the stages: the ledger of positions, the recovery decision, batches, snapshots, policies.
//! Never: HTTP, command line, configuration files; those are the binary's.
//! Invariant: `confirmed <= checkpointed <= published <= received` ([`ledger`]).
//!
//! Start reading at [`recovery::ROWS`], then [`batch::Batch`].

pub mod batch;
pub mod ledger;
pub mod recovery;
pub mod selection;
