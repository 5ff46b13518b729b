//! What records beside the tables' own are written by: logical messages, and the boundaries of transactions.
//!
//! Owns the two plans. Never: makes one; `messages` and `boundary_records` do.

use std::sync::Arc;

use walferry_avro::{MessagePlan, TransactionPlan};

/// Where messages go, and how they are written.
pub(crate) struct Messages {
    pub(crate) topic: Arc<str>,
    pub(crate) plan: MessagePlan,
    /// The registry's generation that the plan's ids are of.
    pub(crate) ids_of: u64,
}

/// Where BEGIN and END go, and how they are written.
pub(crate) struct Boundaries {
    pub(crate) topic: Arc<str>,
    pub(crate) plan: TransactionPlan,
    /// The registry's generation that the plan's ids are of.
    pub(crate) ids_of: u64,
}
