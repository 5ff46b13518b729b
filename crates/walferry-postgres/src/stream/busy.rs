//! Whether a server that sends nothing is at work.
//!
//! Owns the question, over a connection of its own. PostgreSQL 14 and 15 send no keepalive while they decode a large transaction
//! of which nothing is published, and read no feedback either: on the wire that looks like a network that carries nothing. The
//! catalog tells them apart: the process of a dead connection waits for us or for more log, one at work does not.
//! Never: waits longer than [`ANSWER`], so that feedback is late by that much at most.

use std::time::Duration;

use tokio::time;

use crate::{Catalog, ConnectConfig};

const ANSWER: Duration = Duration::from_secs(2);

/// How to ask.
pub(super) struct Busy {
    connect: Option<ConnectConfig>,
    pid: i32,
    /// Whether the last answer was yes, and nothing has come since.
    pub(super) now: bool,
}

impl Busy {
    pub(super) fn new(connect: Option<ConnectConfig>, pid: i32) -> Busy {
        Busy {
            connect,
            pid,
            now: false,
        }
    }

    /// Asks the server. No answer is a no.
    pub(super) async fn ask(&mut self, doing: &str) -> bool {
        let Some(connect) = &self.connect else {
            return false;
        };
        let asked = async {
            let catalog = Catalog::connect(connect).await?;
            catalog.is_at_work(self.pid).await
        };
        let busy = matches!(time::timeout(ANSWER, asked).await, Ok(Ok(true)));
        if busy && !std::mem::replace(&mut self.now, busy) {
            tracing::info!(
                pid = self.pid,
                "{doing}: nothing comes, but the server's process is at work, as with a large transaction that nothing is \
                 published of; it is waited for"
            );
        }
        busy
    }
}
