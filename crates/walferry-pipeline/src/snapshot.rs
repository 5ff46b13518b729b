//! Snapshots: rows that the stream does not bring, in the topics once, before and beside it.
//!
//! Owns the two readers of what `position::snapshot_progress` says is left. `consistent` reads all tables
//! in the snapshot that the slot's creation exported, with parallel readers, before the stream begins. `engine` reads what
//! is left after an interruption, tables that were added and whatever was asked for, in chunks while the stream runs. `sweep` finds
//! keys that a topic has and its table has no more, after changes were lost.
//! Never moves the start of the stream: that is the slot's consistent point.
//! Invariant: rows and the cursor behind them are in the same Kafka transaction, so that no crash repeats a row.
//! Start reading at `consistent`, `window` (the rule of the watermark, pure) and `engine`.

mod base;
mod beside;
mod chunk;
pub(crate) mod consistent;
pub mod control;
pub(crate) mod engine;
pub(crate) mod goal;
pub mod mailbox;
pub mod readers;
mod shape;
pub(crate) mod sweep;
mod window;
