//! `walferry check`: everything that a start needs, looked at without changing anything, and the plan of `run`.
//!
//! Owns the findings and their order. Never creates, registers or claims; what `run` would do is said, not done.
//! Invariant: an error here is one that `run` would stop with, or that would lose changes later.
//! Start reading at `examine`.

pub mod finding;
mod options;
mod plan;
mod postgres;
mod published;
mod registry;
mod rights;
mod surroundings;
mod tables;

use walferry_kafka::Checkpoint;

use crate::check::finding::{Finding, Severity};
use walferry_pipeline::{config::Config, position::checkpoint_reader::checkpoint};

/// Looks at everything that a start needs. The servers are asked one after the other; one that does not answer is a
/// finding, and the others are still asked.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut source = postgres::examine(config, &mut findings).await;
    let checkpoint = kafka(config, &mut findings).await;
    postgres::look_again(&mut source, &mut findings).await;
    let registry = registry::examine(config, &mut findings).await;
    let Some(source) = &source else {
        return findings;
    };
    let start = checkpoint
        .as_ref()
        .map(|checkpoint| plan::decide(config, source, checkpoint.as_ref()));
    let committed = checkpoint.flatten();
    tables::publication(config, source, start.as_ref(), &mut findings);
    tables::left_out(source, &mut findings);
    let committed = committed.as_ref().filter(|_| start.is_some());
    published::published(config, &source.catalog, committed, &mut findings).await;
    for (table, (_, options)) in source.tables.iter().zip(&source.options) {
        tables::table(config, source, table, start.as_ref(), &mut findings).await;
        findings.extend(options.iter().cloned());
    }
    plan::topics(config, source, &mut findings).await;
    plan::shared_topics(config, source, &mut findings).await;
    if let Some(registry) = &registry {
        plan::schemas(config, source, registry, &mut findings).await;
    }
    if let Some(start) = start {
        plan::start(config, source, start, &mut findings);
    }
    findings
}

/// The checkpoint, when the cluster answers; `Some(None)` when there is none yet.
async fn kafka(config: &Config, findings: &mut Vec<Finding>) -> Option<Option<Checkpoint>> {
    const SUBJECT: &str = "kafka";
    match checkpoint(config).await {
        Ok(found) => {
            let message = match &found {
                None => "answers; no checkpoint of this connector".to_owned(),
                Some(checkpoint) => match checkpoint.position {
                    Some(position) => format!("answers; checkpoint at {}", position.end_lsn),
                    None => "answers; a start began and has not finished".to_owned(),
                },
            };
            findings.push(Finding::new(Severity::Ok, SUBJECT, message));
            rights::needed(config, findings);
            Some(found)
        }
        Err(error) => {
            findings.push(Finding::new(Severity::Error, SUBJECT, error.to_string()));
            None
        }
    }
}
