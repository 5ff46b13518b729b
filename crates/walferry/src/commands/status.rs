//! `walferry status`: what a running process says of itself.

use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value as Json;

use super::{process::client, wait};
use crate::{Failure, bars, print};

const ANSWER: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) fn run(admin: &str, watch: bool, as_json: bool) -> Result<(), Failure> {
    wait(async {
        loop {
            let status = ask(admin).await?;
            let text = if as_json {
                format!("{status:#}\n")
            } else {
                status["connectors"]
                    .as_array()
                    .map(|connectors| connectors.iter().map(connector).collect())
                    .unwrap_or_default()
            };
            print(text.as_bytes())?;
            if !watch {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    })?
}

async fn ask(admin: &str) -> Result<Json, Failure> {
    let url = format!("{}/status", admin.trim_end_matches('/'));
    let unanswered = |error: reqwest::Error| {
        anyhow!(
            "{url} does not answer: {}; is the process running, and is --admin its admin.listen?",
            error.without_url()
        )
    };
    let answer = client(ANSWER)?.get(&url).send().await.map_err(unanswered)?;
    Ok(answer.json().await.map_err(unanswered)?)
}

fn connector(it: &Json) -> String {
    let word = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Null => "–".to_owned(),
        other => other.to_string(),
    };
    let mut text = format!("{}: {}", word(&it["name"]), word(&it["state"]));
    if let Some(reason) = it["reason"].as_str() {
        text.push_str(&format!(" ({reason})"));
    }
    text.push('\n');
    for position in ["received", "published", "checkpointed", "confirmed"] {
        text.push_str(&format!(
            "  {position:<13} {}\n",
            word(&it["positions"][position])
        ));
    }
    for (label, key) in [
        ("lag", "source_bytes"),
        ("slot retains", "slot_retained_bytes"),
        ("freshness ms", "freshness_ms"),
    ] {
        text.push_str(&format!("  {label:<13} {}\n", word(&it["lag"][key])));
    }
    for key in ["errors", "dead_letters"] {
        text.push_str(&format!("  {key:<13} {}\n", word(&it[key])));
    }
    let list = |key: &str| it[key].as_array().cloned().unwrap_or_default();
    for table in list("snapshot") {
        text.push_str(&format!(
            "  snapshot {}: {}, {} rows",
            word(&table["name"]),
            word(&table["state"]),
            word(&table["rows"])
        ));
        if let Some(rate) = table["rows_per_second"].as_u64() {
            text.push_str(&format!(", {rate} rows/s"));
        }
        if let Some(seconds) = table["seconds_left"].as_u64() {
            text.push_str(&format!(", {} left", bars::duration(seconds)));
        }
        text.push('\n');
    }
    for table in list("tables") {
        text.push_str(&format!(
            "  table {} → {}: {} changes\n",
            word(&table["name"]),
            word(&table["topic"]),
            word(&table["changes"])
        ));
    }
    text
}
