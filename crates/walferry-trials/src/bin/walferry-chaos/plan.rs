//! What the campaigns share: what is to be done, for how long, and how a server is killed.
//!
//! Owns: [`Plan`]. Never: chooses a moment.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use walferry_stack::Stack;
use walferry_testkit::load::MixedOptions;

/// How long a start may take when nothing is killed.
pub(super) const READY: Duration = Duration::from_secs(60);
/// How long the rest of the load may take after the last kill.
pub(super) const DRAIN: Duration = Duration::from_secs(300);

/// What a campaign is to do.
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) kills: u32,
    pub(super) until: Option<Duration>,
    pub(super) servers: Vec<String>,
    pub(super) mixed: MixedOptions,
    /// Rows in the tables before a snapshot.
    pub(super) rows: u64,
    /// How long each of the servers is down in the middle of a snapshot.
    pub(super) down: Duration,
    /// How often each kind of outage comes, and which of them; all when none is named.
    pub(super) times: u32,
    pub(super) kinds: Vec<String>,
    /// Whether all kinds come at the same time, each with a connector of its own.
    pub(super) together: bool,
}

/// Kills a server, and starts it again after a while.
pub(super) fn kill_server(server: &str, stack: &mut Stack, down: Duration) -> Result<()> {
    let down = || thread::sleep(down);
    match server {
        "postgres" => {
            stack.postgres.kill9()?;
            down();
            stack.postgres.restart()
        }
        "kafka" => {
            stack.kafka.kill9()?;
            down();
            stack.kafka.restart()
        }
        "registry" => {
            stack.registry.kill9()?;
            down();
            stack.registry.restart()
        }
        other => {
            anyhow::bail!("there is no server {other:?}; postgres, kafka and registry are known")
        }
    }
}
