//! `walferry check`: everything that a start needs, looked at without changing anything, and the plan of `run`.
//!
//! Owns the findings and their order. Never creates, registers or claims; what `run` would do is said, not done.
//! Invariant: an error here is one that `run` would stop with, or that would lose changes later.
//! Start reading at [`examine`].

mod options;
mod plan;
mod postgres;
mod published;
mod registry;
mod rights;
mod surroundings;
mod tables;

use std::sync::atomic::AtomicBool;

use serde::Serialize;
use walferry_kafka::Checkpoint;

use crate::config::Config;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// What `run` would do.
    Plan,
    /// It works, but not as most people want it.
    Warning,
    /// `run` would stop, or a writer would be refused.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `postgresql`, `slot`, `table public.orders`, `kafka`, `registry`, …
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// SQL that mends it.
    pub fix_sql: Option<String>,
}

impl Finding {
    /// Something that was looked at, and how bad it is.
    pub fn new(
        severity: Severity,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            severity,
            subject: subject.into(),
            message: message.into(),
            remedy: None,
            fix_sql: None,
        }
    }

    /// With what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn sql(mut self, sql: impl Into<String>) -> Finding {
        self.fix_sql = Some(sql.into());
        self
    }
}

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

/// The connector's checkpoint record as it is committed by now; none when the topic or the record does not exist.
pub async fn checkpoint(config: &Config) -> Result<Option<Checkpoint>, crate::Error> {
    config.kafka.check()?;
    let kafka = config.kafka.clone();
    let read = tokio::task::spawn_blocking(move || {
        walferry_kafka::look_at_checkpoint(&kafka, &AtomicBool::new(false))
    });
    let read = read
        .await
        .map_err(|error| crate::Error::failed(format!("reading the checkpoint: {error}")))?;
    Ok(read?)
}
