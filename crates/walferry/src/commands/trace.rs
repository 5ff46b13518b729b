//! `walferry trace`: where a transaction is, as text or as JSON.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::Method;
use serde_json::Value as Json;
use walferry_event::Lsn;
use walferry_operations::trace::{
    Trace, What,
    progress::Progress,
    report::{TraceReport, TracedTransaction},
    trace,
};

use super::{load, process::Process, wait};
use crate::{
    Failure,
    command_line::{Running, TraceArguments},
    print,
};

/// How long the running process may take to say how far it is.
const ANSWER: Duration = Duration::from_millis(500);

pub(crate) fn run(arguments: TraceArguments) -> Result<(), Failure> {
    let what = arguments
        .what
        .parse::<What>()
        .map_err(|error| Failure::usage(&anyhow!("{error}")))?;
    let loaded = load(&arguments.file.path)?;
    let running = Running {
        config: Some(arguments.file.path.clone()),
        admin: None,
    };
    let report = wait(async {
        let trace_of = Trace {
            what,
            table: arguments.table,
            records_max: arguments.records,
            progress: progress(&running, &loaded.pipeline.name).await,
        };
        trace(&loaded.pipeline, trace_of).await
    })??;
    let text = match arguments.json {
        true => format!(
            "{:#}\n",
            serde_json::to_value(&report).map_err(anyhow::Error::from)?
        ),
        false => text(&report),
    };
    print(text.as_bytes())?;
    match report.transactions.is_empty() {
        true => Err(Failure::told()),
        false => Ok(()),
    }
}

/// How far the running process is; nothing when none answers.
async fn progress(running: &Running, name: &str) -> Option<Progress> {
    let process = Process::asked(running).ok()?;
    let status = process
        .ask(Method::GET, "/status", None, ANSWER)
        .await
        .ok()?;
    let connectors = status["connectors"].as_array()?;
    let it = connectors.iter().find(|it| it["name"] == name)?;
    let text = |it: &Json| it.as_str().map(str::to_owned);
    let position = |key: &str| it["positions"][key].as_str()?.parse::<Lsn>().ok();
    Some(Progress {
        state: text(&it["state"]).unwrap_or_default(),
        reason: text(&it["reason"]),
        sentence: text(&it["latency"]["sentence"]),
        received: position("received").unwrap_or_default(),
        published: position("published").unwrap_or_default(),
    })
}

fn text(report: &TraceReport) -> String {
    let mut text = format!("{}: {}\n", report.state, report.sentence);
    for it in &report.transactions {
        text.push_str(&transaction(it));
    }
    text
}

fn transaction(it: &TracedTransaction) -> String {
    let mut text = format!(
        "transaction {}, changes at {} to {}\n",
        it.xid, it.lsn_first, it.lsn_last
    );
    if let Some(at) = &it.committed_at {
        text.push_str(&format!("  committed in PostgreSQL  {at}\n"));
    }
    for (label, at, after) in [
        ("encoded", &it.encoded_at, it.commit_to_encoded_ms),
        ("sent to Kafka", &it.sent_at, it.encoded_to_sent_ms),
    ] {
        if let Some([_, last]) = at {
            let after = after.map_or_else(String::new, |ms| format!("  {ms:.1} ms later"));
            text.push_str(&format!("  {label:<23}  {last}{after}\n"));
        }
    }
    for place in &it.places {
        let offsets = match place.first == place.last {
            true => format!("offset {}", place.first),
            false => format!("offsets {} to {}", place.first, place.last),
        };
        text.push_str(&format!(
            "  {} partition {} {offsets}: {} records\n",
            place.topic, place.partition, place.records
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use walferry_operations::trace::report::TracedPlace;

    use super::*;

    #[test]
    fn the_text_says_where_and_when() {
        let place = |partition, offsets: &[i64]| TracedPlace {
            topic: "shop.public.orders".into(),
            partition,
            first: offsets[0],
            last: offsets[offsets.len() - 1],
            records: offsets.len(),
            offsets: offsets.to_vec(),
        };
        let at = |second: u32| format!("2026-11-30T12:00:0{second}.000Z");
        let report = TraceReport {
            state: "committed",
            sentence: "Transaction 7 is in Kafka.".into(),
            checkpoint: Lsn(9),
            transactions: vec![TracedTransaction {
                xid: 7,
                lsn_first: Lsn(16),
                lsn_last: Lsn(32),
                committed_at: Some(at(1)),
                encoded_at: Some([at(1), at(2)]),
                sent_at: None,
                commit_to_encoded_ms: Some(1_000.0),
                encoded_to_sent_ms: None,
                places: vec![place(0, &[5]), place(2, &[7, 9])],
            }],
        };
        assert_eq!(
            text(&report),
            "committed: Transaction 7 is in Kafka.\n\
             transaction 7, changes at 0/10 to 0/20\n\
             \x20 committed in PostgreSQL  2026-11-30T12:00:01.000Z\n\
             \x20 encoded                  2026-11-30T12:00:02.000Z  1000.0 ms later\n\
             \x20 shop.public.orders partition 0 offset 5: 1 records\n\
             \x20 shop.public.orders partition 2 offsets 7 to 9: 2 records\n"
        );
    }
}
