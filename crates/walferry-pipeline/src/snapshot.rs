//! Snapshots: rows that the stream does not bring, in the topics once, before and beside it.
//!
//! Owns the chunk model ([`Progress`]: which ranges of which table are left) and its two readers. `consistent` reads all tables
//! in the snapshot that the slot's creation exported, with parallel readers, before the stream begins. `watermark` reads what
//! is left after an interruption, tables that were added and whatever was asked for, in chunks while the stream runs. `sweep` finds
//! keys that a topic has and its table has no more, after changes were lost.
//! Never moves the start of the stream: that is the slot's consistent point.
//! Invariant: rows and the cursor behind them are in the same Kafka transaction, so that no crash repeats a row.
//! Start reading at [`Progress`], then `consistent`, `window` (the rule of the watermark, pure) and `watermark`.

mod base;
mod chunk;
mod consistent;
mod control;
mod hooks;
mod progress;
mod rate;
mod readers;
mod recent;
mod shape;
mod sweep;
mod watermark;
mod window;

pub(crate) use consistent::{Outcome, Run, Task};
pub use control::{Refused, cancel, pause, resume, start};
pub(crate) use progress::RESYNC;
pub use progress::{Progress, TableJob, TableProgress, TableState};
pub(crate) use rate::Rates;
pub(crate) use readers::{Anchor, Source, is_of_table};
pub(crate) use recent::Recent;
pub(crate) use sweep::search::Gone;
pub(crate) use watermark::{Engine, Event, goal};
