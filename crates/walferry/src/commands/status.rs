//! `walferry status`: what a running process says of itself.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use serde_json::Value as Json;
use walferry_event::{Code, without_userinfo};

use super::{
    admin_client::{base, client},
    wait,
};
use crate::{Failure, bars, print, tell};

const ANSWER: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

/// Clears the screen and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(crate) fn run(admin: &str, watch: bool, as_json: bool) -> Result<(), Failure> {
    let url = format!("{}/status", base(admin).trim_end_matches('/'));
    if !watch {
        let status = wait(ask(&url))??;
        return print(shown(&status, as_json, false).as_bytes());
    }
    let terminal = io::stdout().is_terminal();
    wait(async {
        loop {
            // A process that starts again is waited for.
            let text = match ask(&url).await {
                Ok(status) => shown(&status, as_json, true),
                Err(failure) if as_json => {
                    tell(&failure.message);
                    String::new()
                }
                Err(failure) => format!("{}\n", failure.message),
            };
            let begin = match (as_json, terminal) {
                (true, _) => "",
                (false, true) => CLEAR,
                (false, false) => "\n",
            };
            if !text.is_empty() {
                print(format!("{begin}{text}").as_bytes())?;
            }
            tokio::time::sleep(AGAIN).await;
        }
    })?
}

/// The status as text, as JSON for people or, when it is followed by others, as one line of it.
fn shown(status: &Json, as_json: bool, one_line: bool) -> String {
    match (as_json, one_line) {
        (true, true) => format!("{status}\n"),
        (true, false) => format!("{status:#}\n"),
        (false, _) => {
            let connectors = status["connectors"].as_array();
            connectors
                .map(|connectors| connectors.iter().map(connector).collect())
                .unwrap_or_default()
        }
    }
}

async fn ask(url: &str) -> Result<Json, Failure> {
    let unanswered = |error: reqwest::Error| {
        let (url, reason) = (without_userinfo(url), error.without_url());
        let message = format!(
            "{url} does not answer: {reason}; is the process running, and is --admin its admin.listen?"
        );
        Failure::coded(1, Code::AdminAway, &message)
    };
    let answer = client(ANSWER)?.get(url).send().await.map_err(unanswered)?;
    answer.json().await.map_err(unanswered)
}

fn connector(it: &Json) -> String {
    let mut text = format!("{}: {}", word(&it["name"]), word(&it["state"]));
    if let Some(reason) = it["reason"].as_str() {
        text.push_str(&format!(" ({reason})"));
    }
    text.push('\n');
    let source = &it["source"];
    text.push_str(&format!(
        "  source        PostgreSQL {}, timeline {}, slot {}, publication {}\n",
        word(&source["server_version"]),
        word(&source["timeline"]),
        word(&source["slot"]),
        word(&source["publication"])
    ));
    for position in ["received", "published", "checkpointed", "confirmed"] {
        text.push_str(&format!(
            "  {position:<13} {}\n",
            word(&it["positions"][position])
        ));
    }
    for (label, key, unit) in [
        ("lag", "source_bytes", "bytes"),
        ("slot retains", "slot_retained_bytes", "bytes"),
        ("freshness", "freshness_ms", "ms"),
    ] {
        let value = &it["lag"][key];
        let unit = if value.is_null() { "" } else { unit };
        text.push_str(format!("  {label:<13} {} {unit}", word(value)).trim_end());
        text.push('\n');
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
    for it in list("tables") {
        let snapshot = list("snapshot");
        let read = snapshot.iter().find(|read| read["name"] == it["name"]);
        let rows = read.and_then(|it| it["rows"].as_u64());
        text.push_str(&table(&it, rows));
    }
    text
}

/// A table: where it goes, how much of it, and what is wrong with it.
fn table(it: &Json, rows: Option<u64>) -> String {
    let mut text = format!("  table {}", word(&it["name"]));
    // One that the stream has not met has no topic yet.
    if let Some(topic) = it["topic"].as_str().filter(|it| !it.is_empty()) {
        text.push_str(&format!(" → {topic}"));
    }
    text.push_str(&format!(": {} changes", word(&it["changes"])));
    if let Some(rows) = rows.filter(|rows| *rows > 0) {
        text.push_str(&format!(", {rows} rows by snapshot"));
    }
    match (it["state"].as_str(), &it["reason"]) {
        (Some(state @ ("parked" | "catching-up")), reason) => {
            let since = word(&it["parked_since"]);
            text.push_str(&format!(", {state} since {since}: {}", word(reason)));
        }
        (Some(state), Json::String(reason)) => text.push_str(&format!(", {state}: {reason}")),
        _ => {}
    }
    text.push('\n');
    text
}

fn word(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_tells_of_the_source_and_of_tables_that_wait() {
        let status = json!({ "connectors": [{
            "name": "shop", "state": "streaming", "reason": null,
            "source": { "server_version": "17.6", "timeline": 2, "slot": "walferry_shop", "publication": "p" },
            "tables": [
                { "name": "public.a", "topic": "t.a", "changes": 3, "state": "streaming" },
                { "name": "public.b", "topic": "t.b", "changes": 1, "state": "parked",
                  "parked_since": "2026-11-26T00:00:00Z", "reason": "the registry refused it" },
                { "name": "public.c", "topic": "", "changes": 0, "state": "left-out",
                  "parked_since": null, "reason": "it has no key" },
            ],
        }]});
        let text = shown(&status, false, false);
        for part in [
            "PostgreSQL 17.6, timeline 2, slot walferry_shop",
            "public.a → t.a: 3 changes\n",
            "public.b → t.b: 1 changes, parked since 2026-11-26T00:00:00Z: the registry refused it\n",
            "  table public.c: 0 changes, left-out: it has no key\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(shown(&status, true, true).lines().count(), 1);
    }

    #[test]
    fn an_address_needs_no_scheme() {
        assert_eq!(base("127.0.0.1:9464"), "http://127.0.0.1:9464");
        assert_eq!(base("https://w:1"), "https://w:1");
    }
}
