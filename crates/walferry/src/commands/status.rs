//! `walferry status`: what a running process says of itself.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use reqwest::Method;
use serde_json::Value as Json;
use walferry_event::Code;

use super::{process::Process, wait};
use crate::{Failure, command_line::Running, print, quantity, tell};

const ANSWER: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

/// Clears the screen and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(crate) fn run(running: &Running, watch: bool, as_json: bool) -> Result<(), Failure> {
    let process = Process::asked(running)?;
    if !watch {
        let status = wait(ask(&process))??;
        return print(shown(&status, as_json, false).as_bytes());
    }
    let terminal = io::stdout().is_terminal();
    wait(async {
        loop {
            // A process that starts again is waited for.
            let text = match ask(&process).await {
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

async fn ask(process: &Process) -> Result<Json, Failure> {
    let status = process.ask(Method::GET, "/status", None, ANSWER).await?;
    let Some(connectors) = status["connectors"].as_array() else {
        let message = format!(
            "{} answers, and not as Walferry does: is this its admin.listen?",
            process.shown()
        );
        return Err(Failure::coded(1, Code::AdminAway, &message));
    };
    let named = |name: &String| connectors.iter().any(|it| it["name"] == name.as_str());
    match &process.connector {
        Some(name) if !named(name) => {
            let message = format!(
                "the process at {} runs no connector {name:?}: another one listens there; give its address by --admin",
                process.shown()
            );
            Err(Failure::coded(1, Code::AdminAway, &message))
        }
        _ => Ok(status),
    }
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
    let lag = |key: &str| it["lag"][key].as_u64();
    let or_dash = |said: Option<String>| said.unwrap_or_else(|| "–".to_owned());
    for (label, said) in [
        ("lag", lag("source_bytes").map(quantity::bytes)),
        (
            "slot retains",
            lag("slot_retained_bytes").map(quantity::bytes),
        ),
        ("freshness", lag("freshness_ms").map(milliseconds)),
        (
            "errors",
            it["errors"]
                .as_u64()
                .map(|it| format!("{it} since the process began")),
        ),
        (
            "dead letters",
            it["dead_letters"]
                .as_u64()
                .map(|it| format!("{it} since the process began")),
        ),
    ] {
        let said = or_dash(said);
        text.push_str(&format!("  {label:<13} {said}\n"));
    }
    text.push_str(&latency(&it["latency"]));
    let list = |key: &str| it[key].as_array().cloned().unwrap_or_default();
    for table in list("snapshot") {
        text.push_str(&format!(
            "  snapshot {}: {}, {} rows",
            word(&table["name"]),
            word(&table["state"]),
            number(&table["rows"])
        ));
        if let Some(rate) = table["rows_per_second"].as_u64() {
            text.push_str(&format!(", {} rows/s", quantity::count(rate)));
        }
        if let Some(seconds) = table["seconds_left"].as_u64() {
            text.push_str(&format!(", {} left", quantity::duration(seconds)));
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

/// Where the time goes: one sentence, and the stages with their quantiles.
fn latency(it: &Json) -> String {
    let mut text = String::new();
    if let Some(sentence) = it["sentence"].as_str() {
        text.push_str(&format!("  {sentence}\n"));
    }
    let quantiles = |it: &Json| {
        let figure = |key: &str| it[key].as_f64().unwrap_or_default();
        format!(
            "p50 {:.1} ms, p99 {:.1} ms",
            figure("p50_ms"),
            figure("p99_ms")
        )
    };
    if it["end_to_end"].is_object() {
        text.push_str(&format!(
            "  latency       {}\n",
            quantiles(&it["end_to_end"])
        ));
    }
    for stage in it["stages"].as_array().into_iter().flatten() {
        let share = stage["share"].as_f64().unwrap_or_default() * 100.0;
        let name = word(&stage["stage"]);
        text.push_str(&format!(
            "    {name:<11} {}, {share:.0} %\n",
            quantiles(stage)
        ));
    }
    if let (Some(skew), Some(error)) = (
        it["clock_skew_ms"].as_f64(),
        it["clock_skew_error_ms"].as_f64(),
    ) {
        text.push_str(&format!(
            "  clock skew    PostgreSQL's clock is {skew:.1} ms ahead of this one, give or take {error:.1} ms; it is taken out\n"
        ));
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
    text.push_str(&format!(": {} changes", number(&it["changes"])));
    if let Some(rows) = rows.filter(|rows| *rows > 0) {
        text.push_str(&format!(", {} rows by snapshot", quantity::count(rows)));
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

fn number(value: &Json) -> String {
    value.as_u64().map_or_else(|| word(value), quantity::count)
}

/// Below ten seconds to the millisecond, above as people say it.
fn milliseconds(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        _ => quantity::duration(ms / 1000),
    }
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
            "latency": {
                "sentence": "The bottleneck is the network.", "clock_skew_ms": -1.25, "clock_skew_error_ms": 0.5,
                "end_to_end": { "p50_ms": 20.0, "p99_ms": 30.125, "mean_ms": 21.0 },
                "stages": [{ "stage": "network", "p50_ms": 15.0, "p99_ms": 20.0, "mean_ms": 15.0, "share": 0.714 }],
            },
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
            "  The bottleneck is the network.\n  latency       p50 20.0 ms, p99 30.1 ms\n    network     p50 15.0 ms, p99 20.0 ms, 71 %\n",
            "PostgreSQL's clock is -1.2 ms ahead",
            "public.a → t.a: 3 changes\n",
            "public.b → t.b: 1 changes, parked since 2026-11-26T00:00:00Z: the registry refused it\n",
            "  table public.c: 0 changes, left-out: it has no key\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(shown(&status, true, true).lines().count(), 1);
    }
}
