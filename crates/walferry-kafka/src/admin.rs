//! Topics: the checkpoint topic and those of the tables, created when missing and known before the first record.
//!
//! Owns their settings. Never changes a topic that exists: one that cannot serve as it is is an error that says what to do.
//! Invariant: when a call has returned, each of its topics exists and has a leader.
//! Start reading at [`ensure_checkpoint_topic`].

mod brokers;
mod commands;
mod concern;
mod fitness;
mod names;
mod new_topic;
mod questions;
mod requests;
mod rights;
mod safety;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::NewTopic,
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::MetadataTopic,
};

use crate::{
    Config, Error, TopicIdentity,
    answers::{Meaning, meaning, remedy},
    error::Kind,
    native,
};

use fitness::check_checkpoint_topic;
use names::{collide, collision};
use new_topic::{MESSAGE_BYTES_MAX, wanted};
use questions::{ANSWER, Admin, client, failed, metadata, missing, names, options, settings};

pub use brokers::{broker_settings, unreachable_brokers};
pub use commands::{NOBODY, alter_line, create_line};
pub use concern::{Concern, Gravity};
pub use fitness::topic_fitness;
pub use requests::request_limit;
pub use rights::missing_rights;
pub use safety::topic_safety;

/// Between two looks at whether a new topic has its leader.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// What a topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicTakes {
    /// Bytes that a batch of records, or one of its own, may have.
    pub record_bytes_max: usize,
    /// It is compacted: it takes no record without a key.
    pub compacted: bool,
}

/// A topic that does not exist, and whether it could be created.
pub type PlannedTopic = (String, Result<(), Error>);

/// Creates the checkpoint topic when it is missing: one partition, compacted. One that exists has to be the same. From here on
/// the configuration knows what the brokers take at once.
pub fn ensure_checkpoint_topic(config: &Config) -> Result<(), Error> {
    let name = config.checkpoint_topic.as_str();
    let admin = client(config)?;
    requests::learn(config, &admin);
    if missing(&admin, &[name])?.is_empty() {
        return check_checkpoint_topic(config, &admin);
    }
    create(config, &admin, &[wanted(config, name)])?;
    await_leaders(&admin, &[name])?;
    // Another instance may have been quicker.
    check_checkpoint_topic(config, &admin)
}

/// Creates those of `topics` that are missing, and notes which ones they are. What each takes.
pub fn ensure_topics(config: &Config, topics: &[&str]) -> Result<Vec<TopicTakes>, Error> {
    let admin = client(config)?;
    ensure(config, &admin, topics)?;
    look(config, &admin, topics)?;
    // Where the right to ask is not granted the broker's defaults are as good a guess as any: they say what may be refused,
    // and the broker says what is.
    let wanted = ["max.message.bytes", "cleanup.policy"];
    let settings = settings(&admin, topics, &wanted).unwrap_or_default();
    let of = |topic: &str, name: &str| settings.get(&(topic.to_owned(), name.to_owned()));
    let takes = |topic: &&str| {
        let limit = of(topic, "max.message.bytes").and_then(|limit| limit.parse().ok());
        let own = usize::try_from(config.record_bytes_max()).unwrap_or(usize::MAX);
        TopicTakes {
            record_bytes_max: limit.unwrap_or(MESSAGE_BYTES_MAX).min(own),
            compacted: of(topic, "cleanup.policy").is_some_and(|it| it.contains("compact")),
        }
    };
    Ok(topics.iter().map(takes).collect())
}

/// Those of `topics` that take no record without a key, and whether each exists: else it would be created so.
pub fn compacted_topics(config: &Config, topics: &[&str]) -> Result<BTreeMap<String, bool>, Error> {
    let admin = client(config)?;
    let there = names(&admin)?;
    let (there, missing): (Vec<&str>, Vec<&str>) =
        topics.iter().copied().partition(|it| there.contains(*it));
    let settings = settings(&admin, &there, &["cleanup.policy"]).unwrap_or_default();
    let compacted = |policy: &String| policy.contains("compact");
    let found = settings.into_iter().filter(|(_, policy)| compacted(policy));
    let mut all: BTreeMap<String, bool> = found.map(|((topic, _), _)| (topic, true)).collect();
    let policy = config.topic_config.get("cleanup.policy");
    if policy.is_some_and(compacted) {
        let letters = |topic: &&str| *topic == config.dead_letter_topic;
        let missing = missing.into_iter().filter(|it| !letters(it));
        all.extend(missing.map(|it| (it.to_owned(), false)));
    }
    Ok(all)
}

/// As [`ensure_topics`], for one.
pub fn ensure_topic(config: &Config, topic: &str) -> Result<TopicTakes, Error> {
    let takes = ensure_topics(config, &[topic])?;
    Ok(takes.first().copied().unwrap_or(TopicTakes {
        record_bytes_max: MESSAGE_BYTES_MAX,
        compacted: false,
    }))
}

/// As [`ensure_topic`], for one that takes what others refuse for its size: it is created with room for the largest
/// record that the producer takes, where the cluster allows that.
pub fn ensure_roomy_topic(config: &Config, topic: &str) -> Result<TopicTakes, Error> {
    let mut roomy = config.clone();
    roomy
        .topic_config
        .entry("max.message.bytes".into())
        .or_insert_with(|| config.record_bytes_max().to_string());
    match ensure_topic(&roomy, topic) {
        Err(error) if matches!(error.sort(), Kind::Config | Kind::Denied) => {
            ensure_topic(config, topic)
        }
        outcome => outcome,
    }
}

/// A client that looks at topics again and again.
pub struct TopicLook {
    config: Config,
    admin: Admin,
}

impl TopicLook {
    /// Connects with the first look.
    pub fn new(config: &Config) -> Result<TopicLook, Error> {
        let admin = client(config)?;
        let config = config.clone();
        Ok(TopicLook { config, admin })
    }

    /// Looks at every topic of `config.topics`: which ones they are by now, and how many partitions they have.
    pub fn look(&self) -> Result<(), Error> {
        let names = self.config.topics.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        look(&self.config, &self.admin, &names)
    }
}

fn look(config: &Config, admin: &Admin, topics: &[&str]) -> Result<(), Error> {
    let answers = native::describe_topics(admin.inner(), topics, ANSWER)
        .map_err(|code| failed(admin, "which topics there are", &KafkaError::AdminOp(code)))?;
    for (topic, answer) in answers {
        match answer {
            Ok(found) => config.topics.found(
                &topic,
                Some(TopicIdentity {
                    id: found.id,
                    partitions: found.partitions,
                }),
            ),
            Err(code) if meaning(code) == Meaning::NoTopic => config.topics.found(&topic, None),
            // What may not be described is not known to differ.
            Err(code) => tracing::debug!(topic, %code, "a topic cannot be described"),
        }
    }
    Ok(())
}

fn ensure(config: &Config, admin: &Admin, topics: &[&str]) -> Result<(), Error> {
    let there = names(admin)?;
    let mut missing: Vec<&str> = topics
        .iter()
        .copied()
        .filter(|it| !there.contains(*it))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    collide(&there, &missing)?;
    let new: Vec<NewTopic<'_>> = missing.iter().map(|name| wanted(config, name)).collect();
    create(config, admin, &new)?;
    await_leaders(admin, &missing)
}

/// Those of `topics` that do not exist, each with whether it could be created; changes nothing.
pub fn plan_topics(config: &Config, topics: &[&str]) -> Result<Vec<PlannedTopic>, Error> {
    let admin = client(config)?;
    let there = names(&admin)?;
    let missing: Vec<&str> = topics
        .iter()
        .copied()
        .filter(|it| !there.contains(*it))
        .collect();
    let mut planned = Vec::new();
    let mut new = Vec::new();
    for (at, name) in missing.iter().enumerate() {
        let others = there
            .iter()
            .map(String::as_str)
            .chain(missing[..at].iter().copied());
        match collision(name, others) {
            Some(error) => planned.push(((*name).to_owned(), Err(error))),
            None => new.push(wanted(config, name)),
        }
    }
    if new.is_empty() {
        return Ok(planned);
    }
    let tried = admin.create_topics(&new, &options().validate_only(true));
    let tried = futures_executor::block_on(tried)
        .map_err(|error| failed(&admin, "whether topics could be created", &error))?;
    planned.extend(tried.into_iter().map(|topic| match topic {
        Ok(name) | Err((name, Code::TopicAlreadyExists)) => (name, Ok(())),
        Err((name, code)) => {
            let error = not_created(config, &name, code);
            (name, Err(error))
        }
    }));
    Ok(planned)
}

/// Those of `topics` that do not exist.
pub fn topics_missing<'a>(config: &Config, topics: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    missing(&client(config)?, topics)
}

fn create(config: &Config, admin: &Admin, topics: &[NewTopic<'_>]) -> Result<(), Error> {
    let outcome = futures_executor::block_on(admin.create_topics(topics, &options()));
    let outcome = outcome.map_err(|error| failed(admin, "to create topics", &error))?;
    for topic in outcome {
        match topic {
            Ok(name) => tracing::info!(target: "audit", topic = name, "topic created"),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(not_created(config, &name, code)),
        }
    }
    Ok(())
}

fn not_created(config: &Config, name: &str, code: Code) -> Error {
    let (kind, remedy) = match code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            (Kind::Denied, "create it, or grant CREATE on it".to_owned())
        }
        Code::InvalidTopic => (
            Kind::Config,
            "Kafka takes letters, digits, '.', '_' and '-', 249 of them at most".to_owned(),
        ),
        Code::InvalidReplicationFactor | Code::InvalidPartitions | Code::InvalidConfig => (
            Kind::Config,
            format!(
                "check kafka.topics: partitions = {}, replication_factor = {}, config = {}",
                config.topic_partitions,
                config.topic_replication,
                listed(&config.topic_config)
            ),
        ),
        Code::PolicyViolation => (
            Kind::Denied,
            "the cluster's create.topic.policy forbids it: create it by hand".to_owned(),
        ),
        code => match meaning(code) {
            Meaning::Topic | Meaning::Connector => (Kind::Denied, remedy(code).to_owned()),
            Meaning::Passing => (Kind::Unreachable, "create it by hand if this lasts".into()),
            Meaning::Record
            | Meaning::Fenced
            | Meaning::NoTopic
            | Meaning::Echo
            | Meaning::Doubt => (Kind::Doubt, "create it by hand if this lasts".into()),
        },
    };
    Error::new(
        kind,
        format!("topic {name:?} does not exist and cannot be created: {code}; {remedy}"),
    )
}

/// Settings as they are written.
fn listed(settings: &BTreeMap<String, String>) -> String {
    let listed = settings
        .iter()
        .map(|(name, value)| format!("{name} = {value}"));
    match settings.is_empty() {
        true => "none".to_owned(),
        false => listed.collect::<Vec<_>>().join(", "),
    }
}

/// A broker may say that a topic is created before it can be written to.
fn await_leaders(admin: &Admin, topics: &[&str]) -> Result<(), Error> {
    let until = Instant::now() + ANSWER;
    loop {
        let metadata = metadata(admin, None)?;
        let led = |topic: &&MetadataTopic| {
            !topic.partitions().is_empty() && topic.partitions().iter().all(|p| p.leader() >= 0)
        };
        let ready = |name: &&&str| {
            !metadata
                .topics()
                .iter()
                .filter(led)
                .any(|t| t.name() == **name)
        };
        let Some(name) = topics.iter().find(ready) else {
            return Ok(());
        };
        if Instant::now() >= until {
            return Err(Error::new(
                Kind::Unreachable,
                format!("topic {name:?} was created and has no leader after 10 s"),
            ));
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}
