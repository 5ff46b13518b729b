//! What is waited for: which server or session, since when, and why.
//!
//! Owns `Waits`: for each stage that waits what it waits for, and for each server that does not answer since when. Never:
//! waits itself. Invariant: "since" is the first failure in a row, whatever the reason has become meanwhile.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::status::state::Peer;

/// Why something cannot go on, and since when.
#[derive(Clone, Debug)]
pub(crate) struct Since {
    reason: String,
    at: Instant,
    text: String,
}

impl Since {
    /// From now on, for this reason.
    pub(crate) fn now(reason: String) -> Since {
        Since {
            reason,
            at: Instant::now(),
            text: walferry_kafka::now_rfc3339(),
        }
    }

    /// The reason is another by now, or the same.
    pub(crate) fn because(&mut self, reason: String) {
        self.reason = reason;
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.elapsed().as_secs();
        write!(f, "{} (since {}, for {seconds} s)", self.reason, self.text)
    }
}

/// The stages that wait.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<BTreeMap<&'static str, (Peer, Since)>>);

impl Waits {
    /// The stage waits for this. Whether the reason is new.
    pub(crate) fn set(&self, stage: &'static str, peer: Peer, reason: String) -> bool {
        let mut waits = self.inner();
        match waits.get_mut(stage) {
            Some((before, since)) if *before == peer => {
                let same = since.reason == reason;
                since.because(reason);
                !same
            }
            _ => {
                waits.insert(stage, (peer, Since::now(reason)));
                true
            }
        }
    }

    /// The stage goes on. What it had waited for.
    pub(crate) fn clear(&self, stage: &'static str) -> Option<(Peer, Since)> {
        self.inner().remove(stage)
    }

    /// Whether the stage waits.
    pub(crate) fn has(&self, stage: &'static str) -> bool {
        self.inner().contains_key(stage)
    }

    /// What every stage waits for.
    pub(crate) fn seen(&self) -> Vec<(Peer, Since)> {
        self.inner().values().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, BTreeMap<&'static str, (Peer, Since)>> {
        // Entries are replaced whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
