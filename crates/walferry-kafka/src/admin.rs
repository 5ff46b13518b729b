//! Topics: the checkpoint topic and those of the tables, created when missing and known before the first record.
//!
//! Owns their settings. Never changes a topic that exists.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{Config, Error, error::Kind};

const ANSWER: Duration = Duration::from_secs(10);

/// Settings of the checkpoint topic: it is read whole at every start, so it has to stay short, and it must never expire.
const CHECKPOINT_TOPIC: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("max.compaction.lag.ms", "3600000"),
];

/// Creates the checkpoint topic when it is missing: one partition, compacted.
pub fn ensure_checkpoint_topic(config: &Config) -> Result<(), Error> {
    let mut topic = NewTopic::new(
        &config.checkpoint_topic,
        1,
        TopicReplication::Fixed(config.topic_replication),
    );
    for (name, value) in CHECKPOINT_TOPIC {
        topic = topic.set(name, value);
    }
    create(config, &[topic])
}

/// Creates those of `topics` that are missing.
pub fn ensure_topics(config: &Config, topics: &[&str]) -> Result<(), Error> {
    let missing = topics_missing(config, topics)?;
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|name| {
            let replication = TopicReplication::Fixed(config.topic_replication);
            let topic = NewTopic::new(name, config.topic_partitions, replication);
            config
                .topic_config
                .iter()
                .fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    create(config, &new)
}

/// Those of `topics` that do not exist.
pub fn topics_missing<'a>(config: &Config, topics: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    let admin = client(config)?;
    let metadata = admin
        .inner()
        .fetch_metadata(None, ANSWER)
        .map_err(|error| unreachable(config, &error))?;
    let exists = |name: &str| metadata.topics().iter().any(|t| t.name() == name);
    Ok(topics
        .iter()
        .copied()
        .filter(|name| !exists(name))
        .collect())
}

fn client(config: &Config) -> Result<AdminClient<DefaultClientContext>, Error> {
    config
        .client()?
        .create()
        .map_err(|error| Error::new(Kind::Config, format!("kafka.properties: {error}")))
}

fn create(config: &Config, topics: &[NewTopic<'_>]) -> Result<(), Error> {
    if topics.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new()
        .request_timeout(Some(ANSWER))
        .operation_timeout(Some(ANSWER));
    let admin = client(config)?;
    let outcome = futures_executor::block_on(admin.create_topics(topics, &options));
    for topic in outcome.map_err(|error| unreachable(config, &error))? {
        match topic {
            Ok(name) => tracing::info!(target: "audit", topic = name, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(Error::new(
                    Kind::Denied,
                    format!(
                        "topic {name:?} does not exist and may not be created: {code}; create it, or grant CREATE on it"
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn unreachable(config: &Config, error: &KafkaError) -> Error {
    Error::new(
        Kind::Unreachable,
        format!(
            "no broker of kafka.brokers = {:?} answers: {error}",
            config.brokers
        ),
    )
}
