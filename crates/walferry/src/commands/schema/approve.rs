//! `walferry schema approve`: a running process lets a parked table go on.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::Method;
use serde_json::json;

use crate::{
    Failure,
    command_line::Running,
    commands::{process::Process, wait},
    print,
};

/// Longer than the process itself waits for the registry.
const ANSWER: Duration = Duration::from_secs(40);

pub(crate) fn approve(table: &str, process: &Running) -> Result<(), Failure> {
    let process = Process::find(process)?;
    let mut request = json!({ "table": table });
    if let Some(connector) = &process.connector {
        request["connector"] = connector.as_str().into();
    }
    let path = "/control/schema/approve";
    let said = wait(process.ask(Method::POST, path, Some(&request), ANSWER))??;
    let message = said["message"]
        .as_str()
        .ok_or_else(|| anyhow!("the process answers without a message"))?;
    print(format!("{message}\n").as_bytes())
}
