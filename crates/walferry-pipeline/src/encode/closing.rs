//! A server that shuts down and asks for a reply again and again.
//!
//! Owns `Closing`, which counts the requests. Never: lets go of the connection; the encoder says so, and the ring does.

use std::time::{Duration, Instant};

/// Whether the server is shutting down: it asks for one reply after the other, and waits for the confirmation of all that
/// it has sent, which a parked table keeps back.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    first: Option<Instant>,
    pub(crate) asked: u32,
}

/// So many questions in such a time, and nothing else in between, are not the pings of a quiet connection.
pub(crate) const ASKED: u32 = 5;

pub(crate) const ASKED_WITHIN: Duration = Duration::from_secs(5);

impl Closing {
    /// The server has asked for a reply.
    pub(super) fn asked(&mut self, now: Instant) {
        match self.first {
            Some(first) if now.saturating_duration_since(first) <= ASKED_WITHIN => self.asked += 1,
            _ => {
                self.first = Some(now);
                self.asked = 1;
            }
        }
    }
}
