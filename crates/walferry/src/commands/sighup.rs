//! SIGHUP: the configuration files are read again, and what can be put in force while the connectors run is.
//!
//! Owns the signal and what is said about it in the log. Never: ends anything; a file that cannot be used changes nothing.
//! Invariant: a connector has either all that its file says, or all that it said before.
//! Start reading at [`follow`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time,
};
use walferry_pipeline::{Handle, Refused};

use crate::configuration::{self, Choices, Loaded, reload::changes};

/// Between two tries while a connector cannot take a configuration.
const AGAIN: Duration = Duration::from_secs(1);

/// A connector and what it was told last.
pub(super) type Running = (Arc<Handle>, Loaded);

/// Waits for the signal, for as long as the process lives.
pub(super) async fn follow(
    path: PathBuf,
    choices: Choices,
    mut running: Vec<Running>,
) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        hangup.recv().await;
        tracing::info!(target: "audit", signal = "SIGHUP", "the configuration is read again");
        read_again(&path, &choices, &mut running, &mut hangup).await;
    }
}

async fn read_again(path: &Path, choices: &Choices, running: &mut [Running], hangup: &mut Signal) {
    let loaded = match configuration::load_all(path, choices) {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::warn!(target: "audit", error = format!("{error:#}"),
                "the configuration cannot be used: the old one stays in force");
            return;
        }
    };
    for one in &loaded {
        let name = &one.pipeline.name;
        if !running.iter().any(|(status, _)| status.name() == name) {
            tracing::warn!(target: "audit", connector = name, "a connector was added: it needs a new start");
        }
    }
    for (status, old) in running {
        let name = status.name().to_owned();
        match loaded_of(&loaded, &name) {
            Some(new) => put_in_force(status, old, new, hangup).await,
            None => {
                tracing::warn!(target: "audit", connector = name,
                    "the connector's file is gone: it goes on as it was until the next start");
            }
        }
    }
}

fn loaded_of<'a>(loaded: &'a [Loaded], name: &str) -> Option<&'a Loaded> {
    loaded.iter().find(|it| it.pipeline.name == name)
}

async fn put_in_force(status: &Handle, old: &mut Loaded, new: &Loaded, hangup: &mut Signal) {
    let connector = status.name();
    let changes = changes(old, new);
    if !changes.refused.is_empty() {
        tracing::warn!(target: "audit", connector, keys = changes.refused.join(", "),
            "keys have changed that need a new start: the old configuration stays in force");
        return;
    }
    if changes.reloaded.is_empty() {
        tracing::info!(target: "audit", connector, "the configuration has not changed");
        return;
    }
    let keys = changes.reloaded.join(", ");
    let mut told = false;
    loop {
        match walferry_pipeline::reload(status, new.pipeline.clone()).await {
            Ok(tables) => {
                tracing::info!(target: "audit", connector, keys, added = tables.join(", "),
                    "the new configuration is in force");
                (old.pipeline, old.keys) = (new.pipeline.clone(), new.keys.clone());
                return;
            }
            Err(Refused::NotStreaming) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(target: "audit", connector,
                        "the connector does not stream now: the new configuration waits until it does");
                }
            }
            Err(refused) => {
                tracing::warn!(target: "audit", connector, error = %refused,
                    "the configuration cannot be put in force: the old one stays");
                return;
            }
        }
        tokio::select! {
            () = time::sleep(AGAIN) => {}
            _ = hangup.recv() => {
                tracing::info!(target: "audit", connector, "another SIGHUP: this configuration is given up");
                return;
            }
        }
    }
}
