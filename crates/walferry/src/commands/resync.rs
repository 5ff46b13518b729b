//! `walferry resync`: topics are made to agree with their tables again, by the process that runs the connector when tables are named
//! and it runs, else by this one, which then ends.
//!
//! Owns the words at the end, and who does it. Never: decides anything; the pipeline does, by its recovery table.
//! Invariant: it ends with 0 only when every table has been read and the checkpoint says so.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use reqwest::Method;
use serde_json::{Value as Json, json};
use walferry_pipeline::{TableProgress, TableState};

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
    let wanted = tables.clone();
    let choices = Choices {
        resync: Some(tables),
        ..Choices::default()
    };
    let loaded =
        configuration::load(path, &choices).map_err(|error| Failure::configuration(&error))?;
    let statuses = connectors(vec![loaded], None)?;
    let reports = statuses.iter().flat_map(|it| it.report().snapshot);
    let read: Vec<TableProgress> = reports.map(|it| it.table).collect();
    for table in &read {
        let (name, rows, deletes) = (&table.name, table.rows, table.deletes);
        tell(&format!(
            "{name}: {rows} rows, {deletes} deletes{}",
            end(table)
        ));
    }
    match missing(&read, &wanted) {
        None => Ok(()),
        Some(why) => Err(anyhow!(why).into()),
    }
}

/// How the snapshot of a table has ended, when not well.
fn end(table: &TableProgress) -> String {
    match table.state {
        TableState::Done => String::new(),
        TableState::Cancelled => format!(", ended: {}", why(table.reason.as_deref())),
        _ => ", not finished".into(),
    }
}

fn why(reason: Option<&str>) -> &str {
    reason.unwrap_or("it was cancelled")
}

/// Why the resync has not done all that it was to do; none when it has. A table that is gone is missed only when it was named, and a
/// reading that another one took the place of is that one's matter.
fn missing(read: &[TableProgress], wanted: &[String]) -> Option<String> {
    let open = |it: &&TableProgress| !matches!(it.state, TableState::Done | TableState::Cancelled);
    let open: Vec<&str> = read
        .iter()
        .filter(open)
        .map(|it| it.name.as_str())
        .collect();
    if !open.is_empty() {
        return Some(format!(
            "the resync was asked to stop, and {} of its tables are not finished ({}): `walferry resync` or `walferry run` goes \
             on where it stands",
            open.len(),
            open.join(", ")
        ));
    }
    let last = |name: &String| read.iter().rfind(|it| it.name == *name);
    let lost = wanted.iter().filter_map(last);
    let lost = lost.filter(|it| it.state == TableState::Cancelled);
    let lost: Vec<String> = lost
        .map(|it| format!("table {}: {}", it.name, why(it.reason.as_deref())))
        .collect();
    (!lost.is_empty()).then(|| {
        format!(
            "not every table was read: {}; run `walferry resync` again with the tables that there are",
            lost.join("; ")
        )
    })
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
    let answer = wait(process.ask(Method::GET, "/status", None, THERE))?;
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
        .ask(Method::POST, "/control/resync", Some(&wanted), ANSWER)
        .await?;
    let mut seen = false;
    loop {
        let status = process.ask(Method::GET, "/status", None, ANSWER).await?;
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
                .find(|it| it["name"] == *table && (it["id"] == "resync" || it["id"] == "added"))
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
        if let Some(job) = jobs.iter().find(|it| state(it, "cancelled")) {
            return Err(anyhow!(
                "table {} was not read to its end: {}",
                job["name"].as_str().unwrap_or_default(),
                why(job["reason"].as_str())
            )
            .into());
        }
        if seen && jobs.len() < tables.len() {
            return Err(anyhow!(
                "the reading has ended and another snapshot has begun, so that the process shows the first no more: its log says \
                 how it ended (\"snapshot of a table is complete\")"
            )
            .into());
        }
        seen = jobs.len() == tables.len();
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, id: &str, state: TableState, reason: Option<&str>) -> TableProgress {
        let json = json!({
            "name": name, "id": id, "rows": 7, "rows_estimated": 7, "state": "waiting", "reason": reason,
        });
        let table: TableProgress = serde_json::from_value(json).expect("all of its fields");
        TableProgress { state, ..table }
    }

    #[test]
    fn what_was_not_done_is_named_with_its_cause() {
        use TableState::{Cancelled, Done, Running};
        let gone = table("public.a", "resync", Cancelled, Some("the table is gone"));
        let done = table("public.b", "resync", Done, None);
        let named = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let read = [gone.clone(), done.clone()];
        assert_eq!(missing(&read, &[]), None);
        assert_eq!(missing(&read, &named(&["public.b"])), None);
        let why = missing(&read, &named(&["public.b", "public.a"])).unwrap();
        assert!(why.contains("table public.a: the table is gone"), "{why}");
        // Another one reads it.
        let again = [gone, table("public.a", "added", Done, None)];
        assert_eq!(missing(&again, &named(&["public.a"])), None);
        let why = missing(&[done, table("public.c", "added", Running, None)], &[]).unwrap();
        assert!(why.contains("not finished (public.c)"), "{why}");
    }
}
