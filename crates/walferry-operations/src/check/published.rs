//! What `walferry check` says of tables of which something else is published than was committed, and of what is known to be missing.
//!
//! Owns these findings. Never: decides what a start does about them; `published` does.

use walferry_event::Code;
use walferry_kafka::Checkpoint;
use walferry_postgres::Catalog;

use crate::check::finding::Finding;
use walferry_pipeline::{config::Config, connector::published::act};

/// What the checkpoint knows to be missing, and what a start finds changed.
pub(super) async fn published(
    config: &Config,
    catalog: &Catalog,
    checkpoint: Option<&Checkpoint>,
    findings: &mut Vec<Finding>,
) {
    let foreseen = match act::foresee(config, catalog, checkpoint).await {
        Ok(foreseen) => foreseen,
        Err(error) => {
            let text = error.to_string();
            findings.push(Finding::warning(
                Code::ChangesMissing,
                "what is published",
                text,
            ));
            return;
        }
    };
    for table in &foreseen.foreign {
        let message = "a partition of it is a foreign table: its rows are read by snapshots, and its changes are never streamed";
        findings.push(Finding::warning(Code::TableKind, subject(table), message));
    }
    for table in &foreseen.unlogged {
        let message = "a partition of it is unlogged: its rows are read by snapshots, its changes are not in the WAL and never streamed";
        let remedy = "ALTER TABLE … SET LOGGED the partition";
        findings.push(Finding::warning(Code::TableKind, subject(table), message).remedy(remedy));
    }
    for (table, reason) in &foreseen.lacks {
        findings.push(Finding::warning(
            Code::ChangesMissing,
            subject(table),
            reason,
        ));
    }
    for (table, message) in &foreseen.changes {
        findings.push(Finding::plan(subject(table), message));
    }
}

fn subject(table: &str) -> String {
    format!("table {table}")
}
