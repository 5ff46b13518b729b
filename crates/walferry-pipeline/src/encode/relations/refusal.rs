//! What the registry said of schemas that it did not take.
//!
//! Owns `Refusal`. Never: decides what becomes of the table.

use crate::error::Error;

/// Why a schema was not registered.
pub(crate) enum Refusal {
    /// The registry holds one that it is not compatible with, or does not answer and the table may wait alone.
    Schema(String),
    /// Anything else, after all tries.
    Error(Error),
}
