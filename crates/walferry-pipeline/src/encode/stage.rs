//! The name of the encode thread's pulse, and how long a beat may take.
//!
//! Owns two constants. Never: beats; the encoder and its relations do.

use std::time::Duration;

/// The encode thread's pulse, and how long it may work on one block. What waits for a server shows its pulse meanwhile.
pub(crate) const STAGE: &str = "encode";

pub(crate) const STUCK: Duration = Duration::from_secs(600);
