//! One file per command.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod checkpoint;
pub(crate) mod explain;
pub(crate) mod hand;
mod hangup;
pub(crate) mod migrate;
pub(crate) mod pause;
mod process;
pub(crate) mod replay;
pub(crate) mod resync;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod tail;

use std::{future::Future, io::Read, path::Path};

use anyhow::Context;

use crate::{
    Failure,
    configuration::{self, Choices, Loaded},
};

/// Runs a short command to its end.
fn wait<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let outcome = runtime.block_on(work);
    // A client's thread that still waits for a server must not hold the command up.
    runtime.shutdown_background();
    Ok(outcome)
}

/// One connector's configuration.
fn load(path: &Path) -> Result<Loaded, Failure> {
    configuration::load(path, &Choices::default()).map_err(|error| Failure::configuration(&error))
}

/// The text of a file, or of standard input for `-`.
fn text_of(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    if path == Path::new("-") {
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("reading standard input")?;
    } else {
        text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot be read", path.display()))
            .map_err(|error| Failure::usage(&error))?;
    }
    Ok(text)
}

/// A text that stays on its line: names of tables and columns may hold line breaks.
fn one_line(text: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}
