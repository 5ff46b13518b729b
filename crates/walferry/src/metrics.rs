//! The catalog of metrics: name, kind, labels, and what it says.
//!
//! Owns the one table from which `docs/METRICS.md` is written, the exporter, and the two metrics of the process itself.
//! Invariant: its names are a contract with dashboards.

mod stages;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use walferry_pipeline::{Handle, SECONDS};

/// Gives the metrics as text.
#[derive(Clone)]
pub(crate) struct Exporter {
    recorded: PrometheusHandle,
    connectors: Arc<[Arc<Handle>]>,
}

impl Exporter {
    /// Prometheus's text format.
    pub(crate) fn text(&self) -> String {
        let mut text = self.recorded.render();
        let help = METRICS.iter().find(|it| it.name == STAGE_SECONDS);
        let help = help.map_or("", |it| it.help);
        stages::write(&mut text, STAGE_SECONDS, help, &self.connectors);
        text
    }
}

/// Upper ends of the histograms' buckets.
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 2e6, 4e6, 8e6, 16e6, 32e6, 64e6];
/// How often histograms are drained and the process's memory is looked at.
const UPKEEP: Duration = Duration::from_secs(1);

/// Takes what the pipeline counts from now on.
pub(crate) fn install(connectors: &[Arc<Handle>]) -> Result<Exporter> {
    let buckets = |builder: PrometheusBuilder, name: &str, buckets| {
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
    };
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS.iter().filter(|it| it.kind == "histogram") {
        let ends = if metric.name.ends_with("_bytes") {
            BYTES
        } else {
            &SECONDS
        };
        builder = buckets(builder, metric.name, ends).context("metrics")?;
    }
    let handle = builder.install_recorder().context("metrics")?;
    for metric in METRICS {
        match metric.kind {
            "counter" => metrics::describe_counter!(metric.name, metric.help),
            "gauge" => metrics::describe_gauge!(metric.name, metric.help),
            _ => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
    let names: Vec<String> = connectors.iter().map(|it| it.name().to_owned()).collect();
    for name in &names {
        metrics::gauge!("walferry_build_info", "connector" => name.clone(), "version" => env!("CARGO_PKG_VERSION"))
            .set(1.0);
    }
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            upkeep.run_upkeep();
            if let Some(bytes) = resident_bytes() {
                for name in &names {
                    metrics::gauge!("walferry_memory_bytes", "connector" => name.clone())
                        .set(bytes as f64);
                }
            }
            tokio::time::sleep(UPKEEP).await;
        }
    });
    Ok(Exporter {
        recorded: handle,
        connectors: connectors.into(),
    })
}

/// Resident memory of the process. Source: proc(5), `/proc/self/status`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// How long transactions are in each stage. Owned by the pipeline's own account, which costs the same for a batch of any size.
const STAGE_SECONDS: &str = "walferry_stage_seconds";

/// One metric. Every one has the label `connector`.
pub(crate) struct Metric {
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

/// Every metric, in the order of the ring.
#[rustfmt::skip]
pub(crate) const METRICS: &[Metric] = &[
    metric("walferry_state", "gauge", "state", "1 for the state that the connector is in, 0 for the others"),
    metric("walferry_position_lsn", "gauge", "position", "received, published, checkpointed and confirmed position, as a byte position in the WAL"),
    metric("walferry_source_lag_bytes", "gauge", "", "WAL of the server that the topics do not hold yet"),
    metric("walferry_slot_retained_bytes", "gauge", "", "WAL that the server keeps for the slot"),
    metric("walferry_slot_retained_bytes_max", "gauge", "", "WAL that it may keep: source.slot_retained_bytes_max; absent where that is 0"),
    metric("walferry_freshness_seconds", "histogram", "", "from the commit in PostgreSQL to the commit in Kafka"),
    metric(STAGE_SECONDS, "histogram", "stage", "from the commit in PostgreSQL to the commit in Kafka by stage: source (until the server has decoded and sent it), network, queue (waits for the encoder), catalog, registry, encode (decoded and encoded, in one pass), batch (waits for the others of its Kafka transaction), send (until Kafka has acknowledged it), commit; each transaction counts once in each, so that the sums of all stages are that of walferry_freshness_seconds"),
    metric("walferry_changes_total", "counter", "table, op", "changes published"),
    metric("walferry_records_total", "counter", "topic", "records committed to Kafka, without checkpoints"),
    metric("walferry_bytes_total", "counter", "stage", "bytes that passed a stage: session (off the wire), encode (of records), publish (of records, committed)"),
    metric("walferry_transactions_total", "counter", "", "PostgreSQL transactions published"),
    metric("walferry_kafka_commit_seconds", "histogram", "", "flush and commit of a Kafka transaction"),
    metric("walferry_batch_bytes", "histogram", "", "bytes of records in a Kafka transaction"),
    metric("walferry_queue_bytes", "gauge", "stage", "bytes that wait before a stage: encode, or publish until they are committed"),
    metric("walferry_memory_bytes", "gauge", "", "resident memory of the process"),
    metric("walferry_errors_total", "counter", "stage, kind", "errors; kind is timeout, validation, auth, connection, schema, too_large, internal, server, refused or fenced"),
    metric("walferry_retries_total", "counter", "stage", "tries after a failure: session, topics, registry, snapshot or publish"),
    metric("walferry_circuit_open", "gauge", "stage", "1 while a server does not answer"),
    metric("walferry_dead_letters_total", "counter", "table", "changes written to the dead-letter topic"),
    metric("walferry_snapshot_rows_total", "counter", "table", "rows that a snapshot has read"),
    metric("walferry_snapshot_deletes_total", "counter", "table", "keys that only the topic had, and that a resync has deleted"),
    metric("walferry_snapshot_xmin_age", "gauge", "", "transactions that have begun since the first snapshot was taken, while it keeps vacuum from cleaning up"),
    metric("walferry_snapshot_rows_per_second", "gauge", "table", "rows that a snapshot reads a second, of late"),
    metric("walferry_snapshot_seconds_left", "gauge", "table", "seconds until a table is read at that rate, by the estimate of its rows; 0 when that cannot be told"),
    metric("walferry_snapshot_progress_ratio", "gauge", "table", "part of a table that a snapshot has read, 0 to 1"),
    metric("walferry_schema_versions_total", "counter", "table", "schema versions taken into use"),
    metric("walferry_parked_tables", "gauge", "", "tables that wait, or catch up after they have waited"),
    metric("walferry_certificate_end_timestamp_seconds", "gauge", "key", "Unix time at which the certificates end that a key of the configuration names; of authorities the last, of our own the first of its file"),
    metric("walferry_build_info", "gauge", "version", "always 1"),
];

/// The text of `docs/METRICS.md`.
pub(crate) fn document() -> String {
    let mut text = String::from(
        "# Metrics\n\nWritten by `cargo xtask docs` from the code; do not edit. All have the label `connector`.\n\n\
         | name | kind | further labels | what it says |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let Metric {
            name,
            kind,
            labels,
            help,
        } = metric;
        text.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert!(
                !METRICS[..i].iter().any(|m| m.name == metric.name),
                "{}",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == "counter",
                "{}",
                metric.name
            );
        }
    }
}
