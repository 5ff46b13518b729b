//! A table that the server refuses to read for now.
//!
//! Owns `HeldBack`. Never: tries it again; the engine does.

use std::time::Duration;

/// A table that the server refuses to read.
pub(crate) struct HeldBack {
    pub(crate) pause: Duration,
    /// It is time to try again.
    pub(crate) due: bool,
}
