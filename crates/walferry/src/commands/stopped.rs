//! `walferry checkpoint set`, `checkpoint clear` and `drop`: what asks for the connector's name first.
//!
//! Owns the question. What was done is an audit event of the log, on standard output; why not, is on standard error.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, anyhow};
use walferry_operations::stopped;

use super::{load, wait};
use crate::{Failure, configuration::Loaded, logs, tell};

/// Moves the position.
pub(crate) fn set(path: &Path, lsn: &str, yes: Option<String>) -> Result<(), Failure> {
    let lsn = lsn
        .parse()
        .map_err(|error| Failure::usage(&anyhow!("{lsn:?} is no LSN: {error}")))?;
    let what =
        format!("The position becomes {lsn}: changes that are passed over are lost to the topics.");
    let loaded = agreed(path, &what, yes)?;
    let written = wait(stopped::set_checkpoint(&loaded.pipeline, lsn))??;
    tell(&format!(
        "the checkpoint is at {lsn}, counter {}",
        written.counter
    ));
    Ok(())
}

/// Forgets the position.
pub(crate) fn clear(path: &Path, yes: Option<String>) -> Result<(), Failure> {
    let loaded = agreed(
        path,
        "The checkpoint is deleted: what the topics hold is forgotten.",
        yes,
    )?;
    let existed = wait(stopped::clear_checkpoint(&loaded.pipeline))??;
    tell(match existed {
        true => "the checkpoint is deleted",
        false => "there was no checkpoint that could be read; none is there now",
    });
    Ok(())
}

/// Removes all of a connector.
pub(crate) fn remove(path: &Path, yes: Option<String>) -> Result<(), Failure> {
    let what = "Slot, publication and checkpoint are removed: it cannot go on where it is.";
    let loaded = agreed(path, what, yes)?;
    let removed = wait(stopped::remove(&loaded.pipeline))??;
    for (what, done) in [
        ("slot", removed.slot),
        ("publication", removed.publication),
        ("checkpoint", removed.checkpoint),
    ] {
        let how = if done {
            "removed"
        } else {
            "there was none of ours"
        };
        tell(&format!("{what}: {how}"));
    }
    Ok(())
}

/// The configuration, when it is certain that this connector is meant.
fn agreed(path: &Path, what: &str, yes: Option<String>) -> Result<Loaded, Failure> {
    let loaded = load(path)?;
    let name = &loaded.pipeline.name;
    let said = match yes {
        Some(said) => said,
        None => {
            tell(&format!("{what} Type the name of the connector to go on:"));
            let _ = io::stderr().flush();
            let mut line = String::new();
            io::stdin().read_line(&mut line).context("standard input")?;
            line.trim().to_owned()
        }
    };
    if said != *name {
        return Err(Failure::usage(&anyhow!(
            "{said:?} is not the name of the connector of {}: nothing was done",
            path.display()
        )));
    }
    logs::start(std::slice::from_ref(&loaded)).map_err(|error| Failure::configuration(&error))?;
    Ok(loaded)
}
