//! `walferry check`: everything that a start needs, looked at without changing anything, and the plan of `run`.
//!
//! Owns the findings and their order. Never creates, registers or claims; what `run` would do is said, not done.
//! Invariant: an error here is one that `run` would stop with, or that would lose changes later.
//! Start reading at `examine`.

pub mod finding;
mod kafka;
mod options;
mod plan;
mod postgres;
mod published;
mod registry;
mod service;
mod surroundings;
mod tables;

use crate::check::finding::Finding;
use walferry_pipeline::config::Config;

/// Looks at everything that a start needs. The servers are asked one after the other; one that does not answer is a
/// finding, and the others are still asked.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut source = postgres::examine(config, &mut findings).await;
    let checkpoint = kafka::examine(config, &mut findings).await;
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
    kafka::topics(config, source, &mut findings).await;
    plan::shared_topics(config, source, &mut findings).await;
    if let Some(registry) = &registry {
        plan::schemas(config, source, registry, &mut findings).await;
    }
    if let Some(start) = start {
        plan::start(config, source, start, &mut findings);
    }
    findings
}
