//! `walferry pause` and `walferry resume`: a running process holds publishing, and goes on.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::{
    Failure,
    command_line::Running,
    commands::{process::Process, wait},
    print,
};

/// Longer than the process itself waits for the end of a transaction.
const ANSWER: Duration = Duration::from_secs(40);

/// Holds publishing at the end of a transaction.
pub(crate) fn pause(process: &Running) -> Result<(), Failure> {
    ask("/control/pause", process)
}

/// Lets publishing go on.
pub(crate) fn resume(process: &Running) -> Result<(), Failure> {
    ask("/control/resume", process)
}

fn ask(path: &str, process: &Running) -> Result<(), Failure> {
    let process = Process::find(process)?;
    let which = match &process.connector {
        Some(connector) => json!({ "connector": connector }),
        None => json!({}),
    };
    let said = wait(process.ask(Method::POST, path, Some(&which), ANSWER))??;
    print(format!("{}\n", said["message"].as_str().unwrap_or_default()).as_bytes())
}
