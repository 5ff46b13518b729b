//! The running process that a command speaks to, by its admin server.
//!
//! Owns the way to its address and token, and what is said when it does not answer. Never: prints.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::Method;
use serde_json::Value as Json;
use walferry_event::{Code, without_userinfo};

use super::{
    admin_client::{base, client},
    load,
};
use crate::{Failure, command_line::Running};

/// Where the token is when no configuration file says it.
const TOKEN: &str = "WALFERRY_TOKEN";

/// The running process that is meant.
pub(super) struct Process {
    url: String,
    token: Option<String>,
    /// The connector that the configuration file names.
    pub(super) connector: Option<String>,
}

impl Process {
    /// That has to do something, for which it wants a token.
    pub(super) fn find(running: &Running) -> Result<Process, Failure> {
        let process = Process::asked(running)?;
        if process.token.is_none() {
            return Err(Failure::usage(&anyhow!(
                "control verbs need the token of admin.token: give the configuration file by -c, or set {TOKEN}"
            )));
        }
        Ok(process)
    }

    /// That is only asked how it is.
    pub(super) fn asked(running: &Running) -> Result<Process, Failure> {
        let (mut url, mut token, mut connector) = (running.admin.clone(), None, None);
        if let Some(path) = &running.config {
            let loaded = load(path)?;
            connector = Some(loaded.pipeline.name);
            url = url.or(Some(format!("http://{}", loaded.listen)));
            let secret = loaded.token.map(|it| it.read()).transpose();
            token = secret.map_err(|reason| anyhow!("admin.token: {reason}"))?;
        }
        Ok(Process {
            url: base(url.as_deref().unwrap_or("127.0.0.1:9464")),
            token: token.or_else(|| std::env::var(TOKEN).ok()),
            connector,
        })
    }

    /// Where it is, for people.
    pub(super) fn shown(&self) -> String {
        without_userinfo(&self.url)
    }

    /// Asks the process, and waits for its answer at most `limit`. Its reason when it says no.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        limit: Duration,
    ) -> Result<Json, Failure> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let shown = without_userinfo(&url);
        let unanswered = |error: reqwest::Error| {
            let reason = error.without_url();
            let message = format!(
                "{shown} does not answer: {reason}; is the process running, and is this its admin.listen?"
            );
            Failure::coded(1, Code::AdminAway, &message)
        };
        let mut request = client(limit)?.request(method, &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(unanswered)?;
        let status = answer.status();
        let said: Json = answer.json().await.unwrap_or_default();
        match (status.is_success(), said["error"].as_str()) {
            (true, _) => Ok(said),
            (false, Some(reason)) => Err(Failure::coded(1, Code::AdminRefused, reason)),
            (false, None) => {
                let message = format!("{shown} answers {status}");
                Err(Failure::coded(1, Code::AdminRefused, &message))
            }
        }
    }
}
