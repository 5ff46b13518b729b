//! `walferry snapshot`: a running process begins a snapshot of tables, lists its snapshots, holds one, or ends it.
//!
//! Owns the words on the terminal. Never: talks to PostgreSQL or Kafka; the process does.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    Failure,
    command_line::{Running, Snapshot},
    commands::{process::Process, wait},
    print,
};

/// Longer than the process itself waits for its answer.
const ANSWER: Duration = Duration::from_secs(70);

pub(crate) fn run(command: Snapshot) -> Result<(), Failure> {
    match command {
        Snapshot::Start {
            tables,
            condition,
            priority,
            process,
        } => {
            let process = Process::find(&process)?;
            let mut request = json!({ "tables": tables, "priority": priority });
            for (key, value) in [
                ("where", condition),
                ("connector", process.connector.clone()),
            ] {
                if let Some(value) = value {
                    request[key] = value.into();
                }
            }
            let said = wait(process.ask(Method::POST, "/snapshots", Some(&request), ANSWER))??;
            print(format!("{}\n", said["id"].as_str().unwrap_or_default()).as_bytes())
        }
        Snapshot::List { process, json } => {
            let process = Process::find(&process)?;
            let said = wait(process.ask(Method::GET, "/snapshots", None, ANSWER))??;
            if json {
                return print(format!("{said:#}\n").as_bytes());
            }
            let word = |value: &Json| value.as_str().map_or(value.to_string(), str::to_owned);
            let line = |it: &Json| {
                let keys = ["id", "table", "state", "rows", "rows_estimated"];
                let words: Vec<String> = keys.iter().map(|key| word(&it[*key])).collect();
                format!("{}\n", words.join("\t"))
            };
            let all = said["snapshots"].as_array().cloned().unwrap_or_default();
            let lines: String = all.iter().map(line).collect();
            print(format!("ID\tTABLE\tSTATE\tROWS\tROWS ESTIMATED\n{lines}").as_bytes())
        }
        Snapshot::Cancel { id, process } => {
            about(Method::DELETE, &format!("/snapshots/{id}"), &process)
        }
        Snapshot::Pause { id, process } => {
            about(Method::POST, &format!("/snapshots/{id}/pause"), &process)
        }
        Snapshot::Resume { id, process } => {
            about(Method::POST, &format!("/snapshots/{id}/resume"), &process)
        }
    }
}

/// Tells the process to do something about one snapshot.
fn about(method: Method, path: &str, process: &Running) -> Result<(), Failure> {
    let process = Process::find(process)?;
    let said = wait(process.ask(method, path, None, ANSWER))??;
    print(format!("{}\n", said["message"].as_str().unwrap_or_default()).as_bytes())
}
