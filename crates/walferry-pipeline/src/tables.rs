//! Which tables are followed, and what each of them is: its key, its options, its place in the publication, its plan.
//!
//! Owns what follows from the configuration and the catalog alone. Never: reads a row or a stream; reports.
//! Invariant: imports nothing of the pipeline but `position`, `config` and what stands below them.
//! Start reading at `followed`, then `options` and `compile`.

pub mod compile;
pub mod followed;
mod grants;
pub mod key;
pub(crate) mod left_out;
pub mod options;
pub mod plan;
pub mod publication;
pub(crate) mod refusals;
pub mod shared_topic;
pub mod writers;
