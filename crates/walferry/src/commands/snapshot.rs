//! `walferry snapshot`: a running process begins a snapshot of tables, lists its snapshots, or ends one.
//!
//! Owns the words on the terminal. Never: talks to PostgreSQL or Kafka; the process does.

use std::{path::Path, time::Duration};

use anyhow::{Context, anyhow};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    Failure,
    command_line::{Running, Snapshot},
    commands::wait,
    configuration::{self, Choices},
    print,
};

/// Longer than the process itself waits for its answer.
const ANSWER: Duration = Duration::from_secs(70);
/// Where the token is when no configuration file says it.
const TOKEN: &str = "WALFERRY_TOKEN";

pub(crate) fn run(command: Snapshot) -> Result<(), Failure> {
    match command {
        Snapshot::Start {
            tables,
            condition,
            process,
        } => {
            let process = Process::find(&process)?;
            let mut request = json!({ "tables": tables });
            for (key, value) in [
                ("where", condition),
                ("connector", process.connector.clone()),
            ] {
                if let Some(value) = value {
                    request[key] = value.into();
                }
            }
            let said = wait(process.ask(Method::POST, "/snapshots", Some(&request)))??;
            print(format!("{}\n", said["id"].as_str().unwrap_or_default()).as_bytes())
        }
        Snapshot::List { process, json } => {
            let process = Process::find(&process)?;
            let said = wait(process.ask(Method::GET, "/snapshots", None))??;
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
            print(lines.as_bytes())
        }
        Snapshot::Cancel { id, process } => {
            let process = Process::find(&process)?;
            let said = wait(process.ask(Method::DELETE, &format!("/snapshots/{id}"), None))??;
            print(format!("{}\n", said["message"].as_str().unwrap_or_default()).as_bytes())
        }
    }
}

/// The running process that is meant.
struct Process {
    url: String,
    token: String,
    connector: Option<String>,
}

impl Process {
    fn find(running: &Running) -> Result<Process, Failure> {
        let (mut url, mut token, mut connector) = (running.admin.clone(), None, None);
        if let Some(path) = &running.config {
            let path: &Path = path;
            let loaded = configuration::load(path, Choices::default())
                .map_err(|error| Failure::usage(&error))?;
            connector = Some(loaded.pipeline.name);
            url = url.or(Some(format!("http://{}", loaded.listen)));
            let secret = loaded.token.map(|it| it.read()).transpose();
            token = secret.map_err(|reason| anyhow!("admin.token: {reason}"))?;
        }
        let token = token.or_else(|| std::env::var(TOKEN).ok()).ok_or_else(|| {
            Failure::usage(&anyhow!(
                "control verbs need the token of admin.token: give the configuration file by -c, or set {TOKEN}"
            ))
        })?;
        Ok(Process {
            url: url.unwrap_or_else(|| "http://127.0.0.1:9464".to_owned()),
            token,
            connector,
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Json>) -> Result<Json, Failure> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let client = reqwest::Client::builder()
            .timeout(ANSWER)
            .no_proxy()
            .build()
            .context("the HTTP client")?;
        let unanswered = |error: reqwest::Error| {
            anyhow!(
                "{url} does not answer: {}; is the process running, and is this its admin.listen?",
                error.without_url()
            )
        };
        let mut request = client.request(method, &url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(unanswered)?;
        let status = answer.status();
        let said: Json = answer.json().await.unwrap_or_default();
        match (status.is_success(), said["error"].as_str()) {
            (true, _) => Ok(said),
            (false, Some(reason)) => Err(anyhow!(reason.to_owned()).into()),
            (false, None) => Err(anyhow!("{url} answers {status}").into()),
        }
    }
}
