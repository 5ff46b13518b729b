//! The Kafka side of `walferry check`: brokers, rights, topics that are there and topics to come.
//!
//! Owns the order in which Kafka is asked, and what is said of it. Never creates a topic: whether one could be created is a
//! question of its own. What is wrong, and which line mends it, is known in `walferry_kafka`.
//! Start reading at [`examine`] and [`topics`].

use std::collections::BTreeSet;

use walferry_event::Code;
use walferry_kafka::{Checkpoint, Concern, PlannedTopic, create_line};

use crate::check::{finding::Finding, postgres::Examined};
use walferry_pipeline::{
    blocking::blocking,
    config::{Config, Policy},
    position::checkpoint_reader::checkpoint,
};

const SUBJECT: &str = "kafka";

/// The checkpoint, when the cluster answers; `Some(None)` when there is none yet.
pub(super) async fn examine(
    config: &Config,
    findings: &mut Vec<Finding>,
) -> Option<Option<Checkpoint>> {
    clear_text(config, findings);
    if !reached(config, findings).await {
        return None;
    }
    match checkpoint(config).await {
        Ok(found) => {
            let message = match &found {
                None => "answers; no checkpoint of this connector".to_owned(),
                Some(checkpoint) => match checkpoint.position {
                    Some(position) => format!("answers; checkpoint at {}", position.end_lsn),
                    None => "answers; a start began and has not finished".to_owned(),
                },
            };
            findings.push(Finding::ok(SUBJECT, message));
            needed(config, findings);
            Some(found)
        }
        Err(error) => {
            let text = error.to_string();
            findings.push(Finding::error(Code::KafkaUnreachable, SUBJECT, text));
            None
        }
    }
}

/// Whether any broker is where the cluster says; else all other questions would only wait for their limits.
async fn reached(config: &Config, findings: &mut Vec<Finding>) -> bool {
    let kafka = config.kafka.clone();
    let asked = blocking("looking for the brokers", move || {
        Ok(walferry_kafka::unreachable_brokers(&kafka)?)
    });
    match asked.await {
        Ok((concerns, brokers)) => {
            let some = concerns.len() < brokers;
            findings.extend(concerns.into_iter().map(Finding::from));
            some
        }
        Err(error) => {
            let text = error.to_string();
            findings.push(Finding::error(Code::KafkaUnreachable, SUBJECT, text));
            false
        }
    }
}

/// What is granted as a whole; what of it is missing is told with the topics.
fn needed(config: &Config, findings: &mut Vec<Finding>) {
    let id = format!("walferry-{}", config.kafka.connector);
    let message = format!(
        "where Kafka has ACLs, run needs: WRITE and DESCRIBE on the transactional id {id:?}; READ on the group {id:?}; READ, \
         WRITE, DESCRIBE and DESCRIBE_CONFIGS on topic {:?}; WRITE, DESCRIBE and DESCRIBE_CONFIGS on the topics of the tables; \
         CREATE for those that do not exist. The first is not tried, because trying ends a connector that runs",
        config.kafka.checkpoint_topic
    );
    findings.push(Finding::ok("kafka rights", message));
}

fn clear_text(config: &Config, findings: &mut Vec<Finding>) {
    let property = |name: &str| {
        config
            .kafka
            .properties
            .get(name)
            .map(|it| it.to_lowercase())
    };
    let mechanism = property("sasl.mechanism").or_else(|| property("sasl.mechanisms"));
    if property("security.protocol").as_deref() == Some("sasl_plaintext")
        && mechanism.as_deref() == Some("plain")
    {
        findings.push(
            Finding::warning(
                Code::ClearText,
                SUBJECT,
                "sasl.password goes over the network in clear text (sasl_plaintext with PLAIN)",
            )
            .remedy("set security.protocol = \"sasl_ssl\", or use SCRAM-SHA-512"),
        );
    }
}

/// What the cluster says of our topics.
#[derive(Default)]
struct Told {
    planned: Vec<PlannedTopic>,
    concerns: Vec<Concern>,
    limit: Option<String>,
}

/// Which topics `run` would create, those that it could not use or create, and the rights that are missing.
pub(super) async fn topics(config: &Config, source: &Examined, findings: &mut Vec<Finding>) {
    let tables = source.tables.iter();
    // Several tables may share a topic, and a broker refuses a request that names one twice.
    let topics: BTreeSet<String> = tables
        .map(|table| config.topic(&table.schema, &table.name))
        .chain([config.kafka.checkpoint_topic.clone()])
        .chain(letters(config, source))
        .chain(
            config
                .transaction_metadata
                .then(|| config.transaction_topic()),
        )
        .collect();
    let kafka = config.kafka.clone();
    let asked = blocking("looking at topics", move || {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let planned = walferry_kafka::plan_topics(&kafka, &names)?;
        let mut concerns = walferry_kafka::broker_settings(&kafka)?;
        concerns.extend(walferry_kafka::topic_fitness(&kafka, &names)?);
        concerns.extend(walferry_kafka::topic_safety(&kafka, &names)?);
        concerns.extend(walferry_kafka::missing_rights(&kafka, &names)?);
        let limit = walferry_kafka::request_limit(&kafka)?;
        Ok(Told {
            planned,
            concerns,
            limit,
        })
    });
    // That no broker answers has been said already.
    let told = asked.await.unwrap_or_default();
    for (topic, outcome) in told.planned {
        findings.push(planned(config, &topic, outcome));
    }
    let limit = told.limit.into_iter();
    findings.extend(limit.map(|it| Finding::warning(Code::RecordTooLarge, SUBJECT, it)));
    findings.extend(told.concerns.into_iter().map(Finding::from));
}

/// A topic that is not there. Where only its creation is refused to us, somebody else may create it.
fn planned(config: &Config, topic: &str, outcome: Result<(), walferry_kafka::Error>) -> Finding {
    let subject = format!("topic {topic}");
    let error = match outcome {
        Ok(()) if topic == config.kafka.checkpoint_topic => {
            return Finding::plan(subject, "is created by run");
        }
        Ok(()) => return Finding::plan(subject, "is created by run, with its first record"),
        Err(error) => error,
    };
    let finding = Finding::error(Code::TopicMissing, subject, error.to_string());
    match error.code() {
        Code::KafkaDenied => finding.kafka(&[create_line(&config.kafka, topic)]),
        _ => finding,
    }
}

/// The dead-letter topic, when the policy of a table needs it.
fn letters(config: &Config, source: &Examined) -> Option<String> {
    let mut tables = source.tables.iter();
    tables
        .any(|table| config.policy(&table.qualified_name()) == Policy::DeadLetter)
        .then(|| config.errors.dead_letter_topic.clone())
}
