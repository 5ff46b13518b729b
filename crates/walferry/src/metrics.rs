//! The catalog of metrics: name, kind, labels, and what it says.
//!
//! Owns the one table from which `docs/METRICS.md` is written. Invariant: its names are a contract with dashboards.

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
    metric("walferry_freshness_seconds", "histogram", "", "from the commit in PostgreSQL to the commit in Kafka"),
    metric("walferry_changes_total", "counter", "table, op", "changes published"),
    metric("walferry_records_total", "counter", "topic", "records published"),
    metric("walferry_bytes_total", "counter", "stage", "bytes that passed a stage"),
    metric("walferry_transactions_total", "counter", "", "PostgreSQL transactions published"),
    metric("walferry_kafka_commit_seconds", "histogram", "", "flush and commit of a Kafka transaction"),
    metric("walferry_batch_bytes", "histogram", "", "bytes of records in a Kafka transaction"),
    metric("walferry_queue_bytes", "gauge", "stage", "bytes that wait before a stage"),
    metric("walferry_memory_bytes", "gauge", "", "resident memory of the process"),
    metric("walferry_errors_total", "counter", "stage, kind", "errors"),
    metric("walferry_retries_total", "counter", "stage", "tries after a failure"),
    metric("walferry_circuit_open", "gauge", "stage", "1 while a server does not answer"),
    metric("walferry_dead_letters_total", "counter", "table", "changes written to the dead-letter topic"),
    metric("walferry_snapshot_rows_total", "counter", "table", "rows that a snapshot has read"),
    metric("walferry_snapshot_progress_ratio", "gauge", "table", "part of a table that a snapshot has read, 0 to 1"),
    metric("walferry_schema_versions_total", "counter", "table", "schema versions taken into use"),
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
