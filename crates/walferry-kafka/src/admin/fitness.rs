//! Whether topics that exist can serve as they are set: the checkpoint topic, and the size of a record.
//!
//! Owns [`topic_fitness`], and what a checkpoint topic has to be, for a start as for `check`. Never changes a topic.
//! Invariant: what refuses a start is `Gravity::Stops` here, and nothing else of the checkpoint topic is.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use walferry_event::Code;

use super::{
    commands::{alter_line, create_line, delete_line},
    concern::{Concern, Gravity},
    new_topic::MESSAGE_BYTES_MAX,
    questions::{ANSWER, Admin, client, failed, metadata, names, setting, settings},
};
use crate::{Config, Error, error::Kind};

/// What is not as it has to be with those of `topics` that exist.
pub fn topic_fitness(config: &Config, topics: &[&str]) -> Result<Vec<Concern>, Error> {
    let admin = client(config)?;
    let there = names(&admin)?;
    let there: Vec<&str> = topics
        .iter()
        .copied()
        .filter(|it| there.contains(*it))
        .collect();
    let checkpoint = config.checkpoint_topic.as_str();
    let mut concerns = Vec::new();
    if there.contains(&checkpoint) {
        concerns.extend(of_checkpoint(config, &admin)?);
    }
    let Some((key, wanted)) = wanted_bytes(config) else {
        return Ok(concerns);
    };
    let data: Vec<&str> = there.into_iter().filter(|it| *it != checkpoint).collect();
    // Where the right to ask is missing, that is told as such.
    let found = settings(&admin, &data, &["max.message.bytes"]).unwrap_or_default();
    for topic in data {
        let limit = found.get(&(topic.to_owned(), "max.message.bytes".to_owned()));
        let Some(limit) = limit.and_then(|it| it.parse::<u64>().ok()) else {
            continue;
        };
        if limit < wanted {
            let message = format!(
                "takes {limit} bytes at most (max.message.bytes), less than the {wanted} of {key}: a record between the two \
                 follows its table's policy"
            );
            concerns.push(
                Concern::of_topic(topic, Gravity::Look, Code::RecordTooLarge, message)
                    .remedy("raise the topic's max.message.bytes, or lower the other")
                    .fix(alter_line(
                        config,
                        topic,
                        &[("max.message.bytes", &wanted.to_string())],
                    )),
            );
        }
    }
    Ok(concerns)
}

/// The size of a record that somebody has asked for, and where; what nobody asked for is not missed.
fn wanted_bytes(config: &Config) -> Option<(&'static str, u64)> {
    let topic = config.topic_config.get("max.message.bytes");
    let producer = config.properties.get("message.max.bytes");
    let of = |key, it: Option<&String>| Some((key, it?.parse().ok()?));
    of("kafka.topics.config.\"max.message.bytes\"", topic)
        .or_else(|| of("kafka.properties.\"message.max.bytes\"", producer))
}

/// Refuses a checkpoint topic from which the position could be lost, or in which it could lie twice.
pub(super) fn check_checkpoint_topic(config: &Config, admin: &Admin) -> Result<(), Error> {
    let concerns = of_checkpoint(config, admin)?;
    let refused = concerns.into_iter().find(|it| it.gravity == Gravity::Stops);
    let Some(Concern {
        message,
        remedy,
        fix,
        ..
    }) = refused
    else {
        return Ok(());
    };
    let fix = match fix.is_empty() {
        true => String::new(),
        false => format!(" ({})", fix.join("; ")),
    };
    let name = &config.checkpoint_topic;
    let text = format!("checkpoint topic {name:?} {message}: {remedy}{fix}");
    Err(Error::new(Kind::Unfit, text))
}

fn of_checkpoint(config: &Config, admin: &Admin) -> Result<Vec<Concern>, Error> {
    let name = config.checkpoint_topic.as_str();
    let concern =
        |gravity, message: String| Concern::of_topic(name, gravity, Code::TopicUnfit, message);
    let metadata = metadata(admin, Some(name))?;
    let topic = metadata.topics().iter().find(|t| t.name() == name);
    let partitions = topic.map_or(0, |t| t.partitions().len());
    let mut concerns = Vec::new();
    if partitions > 1 {
        let several = concern(
            Gravity::Stops,
            format!("has {partitions} partitions and must have one"),
        );
        // To delete what is empty loses nothing.
        concerns.push(match is_empty(admin, name, partitions) {
            true => Concern {
                remedy: "create it anew, which loses nothing since it is empty, or name another in kafka.checkpoint_topic, which \
                         will then be created"
                    .to_owned(),
                fix: vec![delete_line(config, name), create_line(config, name)],
                ..several
            },
            false => several
                .remedy("name another in kafka.checkpoint_topic, which will then be created"),
        });
        return Ok(concerns);
    }
    match setting(admin, name, "cleanup.policy") {
        Ok(policy) if policy == "compact" => {}
        Ok(policy) => concerns.push(
            concern(
                Gravity::Stops,
                format!(
                    "has cleanup.policy = {policy}, so that the position would be deleted one day"
                ),
            )
            .remedy("set it to compact")
            .fix(alter_line(config, name, &[("cleanup.policy", "compact")])),
        ),
        Err(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => {
            tracing::warn!(
                topic = name,
                "whether the checkpoint topic is compacted is not known: grant DESCRIBE_CONFIGS on it (kafka-acls --add \
                 --allow-principal … --operation DescribeConfigs --topic {name})"
            );
            return Ok(concerns);
        }
        Err(code) => {
            return Err(failed(
                admin,
                &format!("for the settings of checkpoint topic {name:?}"),
                &KafkaError::AdminOp(code),
            ));
        }
    }
    let limit = setting(admin, name, "max.message.bytes").ok();
    let limit = limit.and_then(|it| it.parse::<usize>().ok());
    if let Some(limit) = limit.filter(|it| *it < MESSAGE_BYTES_MAX) {
        let wanted = MESSAGE_BYTES_MAX.to_string();
        concerns.push(
            concern(
                Gravity::Look,
                format!(
                    "takes {limit} bytes at most (max.message.bytes): a checkpoint that lists many tables or snapshots may be \
                     larger, and the connector would stop there"
                ),
            )
            .remedy("set it to Kafka's default")
            .fix(alter_line(config, name, &[("max.message.bytes", &wanted)])),
        );
    }
    Ok(concerns)
}

/// Whether no partition has ever had a record that is still there; what cannot be asked counts as one.
fn is_empty(admin: &Admin, topic: &str, partitions: usize) -> bool {
    let partitions = 0..i32::try_from(partitions).unwrap_or(0);
    let ends = |it| admin.inner().fetch_watermarks(topic, it, ANSWER);
    partitions
        .into_iter()
        .all(|it| ends(it).is_ok_and(|(low, high)| low == high))
}
