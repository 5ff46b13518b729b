//! `walferry estimate`: the forecast as text or JSON.
//!
//! Owns the words of the text. Never: rounds a figure of the JSON.

use std::path::Path;

use walferry_operations::estimate::{
    Estimate, estimate,
    forecast::Figure,
    load::{TableLoad, Transaction},
    sample::TableSize,
};

use super::{interrupted, load, one_line, wait};
use crate::{
    Failure,
    configuration::draft::{BROKERS, Draft, REGISTRY},
    print, quantity, tell,
};

/// Tables that the text shows; JSON has all.
const TABLES_MAX: usize = 10;

pub(crate) fn run(
    config: Option<&Path>,
    source: Option<&str>,
    seconds: u64,
    as_json: bool,
) -> Result<(), Failure> {
    let config = match config {
        Some(path) => load(path)?.pipeline,
        None => {
            let draft = Draft {
                name: "estimate".to_owned(),
                url: source.unwrap_or_default().to_owned(),
                tables: vec!["*".to_owned()],
                brokers: BROKERS.to_owned(),
                registry: REGISTRY.to_owned(),
            };
            let loaded = draft.load().map_err(|error| Failure::usage(&error))?;
            loaded.pipeline
        }
    };
    let begun = || {
        tell(&format!("measuring for {seconds} s; Ctrl-C ends it sooner"));
    };
    let measured = wait(async {
        let stop = interrupted()?;
        estimate(&config, seconds, begun, stop)
            .await
            .map_err(Failure::from)
    })??;
    let Some(estimate) = measured else {
        tell("interrupted before anything was measured");
        return Ok(());
    };
    let text = match as_json {
        true => {
            let value = serde_json::to_value(&estimate).map_err(anyhow::Error::from)?;
            format!("{value:#}\n")
        }
        false => text(&estimate),
    };
    print(text.as_bytes())
}

fn text(estimate: &Estimate) -> String {
    let mut text = String::from("FIGURE               VALUE            HOW\n");
    for figure in &estimate.figures {
        text.push_str(&format!(
            "{:<20} {:<16} {}\n",
            figure.name,
            value(figure),
            figure.how
        ));
    }
    let mut busiest: Vec<(&String, &TableLoad)> = estimate.tables.iter().collect();
    busiest.sort_by_key(|(_, it)| std::cmp::Reverse(it.avro_bytes));
    list(
        &mut text,
        "CHANGED TABLE (records; stream → Avro; largest record)",
        &busiest,
        |(name, it)| {
            format!(
                "{name}: {} changes, {} records, {} → {}, {}",
                quantity::count(it.changes),
                quantity::count(it.records),
                quantity::bytes(it.stream_bytes),
                quantity::bytes(it.avro_bytes),
                quantity::bytes(it.record_bytes_max)
            )
        },
    );
    list(
        &mut text,
        "LARGEST TRANSACTION (xid; commit LSN; changes; stream → Avro)",
        &estimate.transactions,
        transaction,
    );
    list(
        &mut text,
        "TABLE TO READ FIRST (rows; size; key)",
        &estimate.sizes,
        size,
    );
    text.push_str("\nPROPOSAL\n");
    for it in &estimate.proposals {
        text.push_str(&format!("  {} = {}\n      {}\n", it.key, it.value, it.why));
    }
    if !estimate.warnings.is_empty() {
        text.push_str("\nWARNING\n");
    }
    for it in &estimate.warnings {
        text.push_str(&format!("  {}\n", one_line(it)));
    }
    text
}

/// The first entries of a list, under its head.
fn list<T>(text: &mut String, head: &str, entries: &[T], line: impl Fn(&T) -> String) {
    if entries.is_empty() {
        return;
    }
    text.push_str(&format!("\n{head}\n"));
    for it in entries.iter().take(TABLES_MAX) {
        text.push_str(&format!("  {}\n", one_line(&line(it))));
    }
    if entries.len() > TABLES_MAX {
        text.push_str(&format!(
            "  and {} more: --json has all\n",
            entries.len() - TABLES_MAX
        ));
    }
}

fn transaction(it: &Transaction) -> String {
    format!(
        "{}; {}; {}; {} → {}; {}",
        it.xid,
        it.commit_lsn,
        quantity::count(it.changes),
        quantity::bytes(it.stream_bytes),
        quantity::bytes(it.avro_bytes),
        it.tables.join(", ")
    )
}

fn size(it: &TableSize) -> String {
    let key = match it.key.is_empty() {
        true => "no key".to_owned(),
        false => format!("key ({})", it.key.join(", ")),
    };
    format!(
        "{}: about {} rows; {}; {key}",
        it.name,
        quantity::count(it.rows_estimated),
        quantity::bytes(it.bytes)
    )
}

/// A figure with its unit, as people read it.
fn value(figure: &Figure) -> String {
    let whole = figure.value.round().max(0.0) as u64;
    match figure.unit.split_once('/') {
        Some(("bytes", per)) => format!("{}/{per}", quantity::bytes(whole)),
        None if figure.unit == "bytes" => quantity::bytes(whole),
        _ if figure.value < 10.0 => format!("{:.1} {}", figure.value, figure.unit),
        _ => format!("{} {}", quantity::count(whole), figure.unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_of_the_text_has_its_unit() {
        for (number, unit, text) in [
            (1536.0, "bytes/s", "1.5 KiB/s"),
            (2048.0, "bytes", "2.0 KiB"),
            (0.25, "rows/s", "0.2 rows/s"),
            (12345.6, "rows", "12 346 rows"),
        ] {
            let figure = Figure {
                name: "any",
                value: number,
                unit,
                how: String::new(),
            };
            assert_eq!(value(&figure), text);
        }
    }
}
