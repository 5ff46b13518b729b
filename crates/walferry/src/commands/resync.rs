//! `walferry resync`: topics are made to agree with their tables again, by the process that runs the connector when tables are named
//! and it runs, else by this one, which then ends.
//!
//! Owns the words at the end, and who does it. Never: decides anything; the pipeline does, by its recovery table.
//! Invariant: it ends with 0 only when every table has been read and the checkpoint says so.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use reqwest::Method;
use serde_json::{Value as Json, json};
use walferry_pipeline::TableState;

use super::{process::Process, run::connectors, wait};
use crate::{
    Failure,
    command_line::Running,
    configuration::{self, Choices},
    tell,
};

/// Longer than a table may have to wait for the transactions that are running.
const ANSWER: Duration = Duration::from_secs(70);
const LOOK: Duration = Duration::from_millis(200);
/// How long a process may take to say that it is there.
const THERE: Duration = Duration::from_secs(2);

pub(crate) fn run(path: &Path, tables: Vec<String>) -> Result<(), Failure> {
    if !tables.is_empty()
        && let Some(process) = running(path)?
    {
        return wait(by_process(&process, &tables))?;
    }
    let choices = Choices {
        resync: Some(tables),
        ..Choices::default()
    };
    let loaded = configuration::load(path, &choices).map_err(|error| Failure::usage(&error))?;
    let statuses = connectors(vec![loaded], None)?;
    let tables = statuses.iter().flat_map(|it| it.report().snapshot);
    let tables = tables.map(|it| it.table);
    let mut whole = true;
    for table in tables {
        whole &= table.state == TableState::Done;
        let state = match table.state {
            TableState::Done => "",
            _ => ", not finished",
        };
        tell(&format!(
            "{}: {} rows, {} deletes{state}",
            table.name, table.rows, table.deletes
        ));
    }
    if whole {
        return Ok(());
    }
    Err(anyhow!(
        "stopped before the end: `walferry resync` or `walferry run` goes on where it stands"
    )
    .into())
}

/// The process that runs the connector and may be told to do it; none when there is none, or it has no token.
fn running(path: &Path) -> Result<Option<Process>, Failure> {
    let process = Process::find(&Running {
        config: Some(path.to_owned()),
        admin: None,
    });
    let Ok(process) = process else {
        return Ok(None);
    };
    let answer = wait(process.ask((Method::GET, "/status"), None, THERE))?;
    let there = answer.is_ok_and(|status| {
        let connectors = status["connectors"].as_array();
        connectors.is_some_and(|all| all.iter().any(|it| ours(&process, it)))
    });
    Ok(there.then_some(process))
}

fn ours(process: &Process, connector: &Json) -> bool {
    process
        .connector
        .as_deref()
        .is_some_and(|name| connector["name"] == name)
}

/// Has the process read the tables again, and waits for the end of that.
async fn by_process(process: &Process, tables: &[String]) -> Result<(), Failure> {
    let wanted = json!({ "tables": tables, "connector": process.connector });
    process
        .ask((Method::POST, "/control/resync"), Some(&wanted), ANSWER)
        .await?;
    loop {
        let status = process.ask((Method::GET, "/status"), None, ANSWER).await?;
        let connectors = status["connectors"].as_array().cloned().unwrap_or_default();
        let Some(connector) = connectors.iter().find(|it| ours(process, it)) else {
            return Err(anyhow!(
                "the process runs the connector no more; it goes on at its next start"
            )
            .into());
        };
        let all = connector["snapshot"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let of = |table: &String| {
            all.iter()
                .rev()
                .find(|it| it["name"] == *table && it["id"] == "resync")
                .cloned()
        };
        let jobs: Vec<Json> = tables.iter().filter_map(of).collect();
        let state = |it: &Json, state: &str| it["state"] == state;
        if jobs.len() == tables.len() && jobs.iter().all(|it| state(it, "done")) {
            for job in jobs {
                let deletes = job["deletes"].as_u64().unwrap_or(0);
                tell(&format!(
                    "{}: {} rows, {deletes} deletes",
                    job["name"].as_str().unwrap_or_default(),
                    job["rows"]
                ));
            }
            return Ok(());
        }
        if jobs.iter().any(|it| state(it, "cancelled")) {
            return Err(anyhow!(
                "a table could not be read to its end; the log of the process says why"
            )
            .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}
