//! `walferry schema approve`: a running process lets a parked table go on.

use std::{path::Path, time::Duration};

use anyhow::{Context, anyhow};
use serde_json::{Value as Json, json};

use crate::{
    Failure,
    commands::wait,
    configuration::{self, Choices},
    print,
};

/// Longer than the process itself waits for the registry.
const ANSWER: Duration = Duration::from_secs(40);
/// Where the token is when no configuration file says it.
const TOKEN: &str = "WALFERRY_TOKEN";

pub(crate) fn approve(
    table: &str,
    path: Option<&Path>,
    admin: Option<String>,
) -> Result<(), Failure> {
    let mut request = json!({ "table": table });
    let (mut url, mut token) = (admin, None);
    if let Some(path) = path {
        let loaded = configuration::load(path, Choices::default())
            .map_err(|error| Failure::usage(&error))?;
        request["connector"] = loaded.pipeline.name.into();
        url = url.or(Some(format!("http://{}", loaded.listen)));
        let secret = loaded.token.map(|it| it.read()).transpose();
        token = secret.map_err(|reason| anyhow!("admin.token: {reason}"))?;
    }
    let token = token.or_else(|| std::env::var(TOKEN).ok());
    let token = token.ok_or_else(|| {
        Failure::usage(&anyhow!(
            "control verbs need the token of admin.token: give the configuration file by -c, or set {TOKEN}"
        ))
    })?;
    let url = url.unwrap_or_else(|| "http://127.0.0.1:9464".to_owned());
    let message = wait(ask(&url, &token, &request))??;
    print(format!("{message}\n").as_bytes())
}

async fn ask(admin: &str, token: &str, request: &Json) -> Result<String, Failure> {
    let url = format!("{}/control/schema/approve", admin.trim_end_matches('/'));
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
    let request = client.post(&url).bearer_auth(token).json(request);
    let answer = request.send().await.map_err(unanswered)?;
    let status = answer.status();
    let said: Json = answer.json().await.unwrap_or_default();
    let text = |word: &str| said[word].as_str().map(str::to_owned);
    match (status.is_success(), text("message"), text("error")) {
        (true, Some(message), _) => Ok(message),
        (_, _, Some(reason)) => Err(anyhow!(reason).into()),
        _ => Err(anyhow!("{url} answers {status}").into()),
    }
}
