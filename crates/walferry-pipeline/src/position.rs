//! How far we are: the positions of each stage, what a checkpoint says, and what a start decides because of it.
//!
//! Owns the ledger, the checkpoint record's contents and the recovery table. Never: asks PostgreSQL; reports.
//! Invariant: `confirmed <= checkpointed <= published <= received` (`ledger`).
//! Start reading at `recovery`, then `ledger` and `snapshot_progress`.

pub mod checkpoint_reader;
pub mod checkpoint_writer;
pub(crate) mod committed;
pub mod ledger;
pub(crate) mod published_record;
pub mod recovery;
pub mod snapshot_id;
pub mod snapshot_progress;
pub(crate) mod table_positions;
