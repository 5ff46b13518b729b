//! What a search is told.
//!
//! Owns: [`Trace`].

use crate::trace::{progress::Progress, what::What};

/// What to look for, and how far.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What is looked for.
    pub what: What,
    /// One table alone, as `schema.table`.
    pub table: Option<String>,
    /// Records that are read of a partition, around where it is likely or back from its end.
    pub records_max: usize,
    /// What the running connector says of itself, where it answers.
    pub progress: Option<Progress>,
}
