//! Topics: the checkpoint topic and those of the tables, created when missing and known before the first record.
//!
//! Owns their settings. Never changes a topic that exists: one that cannot serve as it is is an error that says what to do.
//! Invariant: when a call has returned, each of its topics exists and has a leader.
//! Start reading at [`ensure_checkpoint_topic`].

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
        TopicReplication,
    },
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::MetadataTopic,
};

use crate::{Config, Error, error::Kind, journal::Journal, leave::Leaving, veil};

const ANSWER: Duration = Duration::from_secs(10);
/// Between two looks at whether a new topic has its leader.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Settings of the checkpoint topic: it is read whole at every start, so it has to stay short, and it must never expire.
const CHECKPOINT_TOPIC: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("max.compaction.lag.ms", "3600000"),
];

/// Kafka's default of `max.message.bytes`.
const MESSAGE_BYTES_MAX: usize = 1_048_588;

/// A topic that does not exist, and whether it could be created.
pub type PlannedTopic = (String, Result<(), Error>);

type Admin = Leaving<AdminClient<Journal>>;

/// Creates the checkpoint topic when it is missing: one partition, compacted. One that exists has to be the same.
pub fn ensure_checkpoint_topic(config: &Config) -> Result<(), Error> {
    let name = config.checkpoint_topic.as_str();
    let admin = client(config)?;
    if missing(&admin, &[name])?.is_empty() {
        return check_checkpoint_topic(config, &admin);
    }
    create(config, &admin, &[wanted(config, name)])?;
    await_leaders(&admin, &[name])?;
    // Another instance may have been quicker.
    check_checkpoint_topic(config, &admin)
}

/// Creates those of `topics` that are missing. The bytes that a batch of records, or one of its own, may have in each.
pub fn ensure_topics(config: &Config, topics: &[&str]) -> Result<Vec<usize>, Error> {
    let admin = client(config)?;
    ensure(config, &admin, topics)?;
    // Where the right to ask is not granted the broker's default is as good a guess as any: it says what may be refused,
    // and the broker says what is.
    let limits = settings(&admin, topics, "max.message.bytes").unwrap_or_default();
    let limit = |topic: &&str| limits.get(*topic).and_then(|limit| limit.parse().ok());
    let max = |topic| {
        let limit = limit(topic).unwrap_or(MESSAGE_BYTES_MAX);
        limit.min(config.message_bytes_max())
    };
    Ok(topics.iter().map(max).collect())
}

/// As [`ensure_topics`], for one.
pub fn ensure_topic(config: &Config, topic: &str) -> Result<usize, Error> {
    let max = ensure_topics(config, &[topic])?;
    Ok(max.first().copied().unwrap_or(MESSAGE_BYTES_MAX))
}

/// As [`ensure_topic`], for one that takes what others refuse for its size: it is created with room for the largest
/// record that the producer takes, where the cluster allows that.
pub fn ensure_roomy_topic(config: &Config, topic: &str) -> Result<usize, Error> {
    let mut roomy = config.clone();
    roomy
        .topic_config
        .entry("max.message.bytes".into())
        .or_insert_with(|| config.message_bytes_max().to_string());
    match ensure_topic(&roomy, topic) {
        Err(error) if matches!(error.sort(), Kind::Config | Kind::Denied) => {
            ensure_topic(config, topic)
        }
        outcome => outcome,
    }
}

fn ensure(config: &Config, admin: &Admin, topics: &[&str]) -> Result<(), Error> {
    let missing = missing(admin, topics)?;
    if missing.is_empty() {
        return Ok(());
    }
    let new: Vec<NewTopic<'_>> = missing.iter().map(|name| wanted(config, name)).collect();
    create(config, admin, &new)?;
    await_leaders(admin, &missing)
}

/// Those of `topics` that do not exist, each with whether it could be created; changes nothing. A checkpoint topic among
/// them that does exist has to be one that can serve.
pub fn plan_topics(config: &Config, topics: &[&str]) -> Result<Vec<PlannedTopic>, Error> {
    let admin = client(config)?;
    let missing = missing(&admin, topics)?;
    let checkpoint = config.checkpoint_topic.as_str();
    let mut planned = Vec::new();
    if topics.contains(&checkpoint)
        && !missing.contains(&checkpoint)
        && let Err(error) = check_checkpoint_topic(config, &admin)
    {
        planned.push((checkpoint.to_owned(), Err(error)));
    }
    if missing.is_empty() {
        return Ok(planned);
    }
    let new: Vec<NewTopic<'_>> = missing.iter().map(|name| wanted(config, name)).collect();
    let tried = admin.create_topics(&new, &options().validate_only(true));
    let tried = futures_executor::block_on(tried).map_err(|error| unreachable(&admin, &error))?;
    planned.extend(tried.into_iter().map(|topic| match topic {
        Ok(name) | Err((name, Code::TopicAlreadyExists)) => (name, Ok(())),
        Err((name, code)) => {
            let error = not_created(config, &name, code);
            (name, Err(error))
        }
    }));
    Ok(planned)
}

/// A topic as it is to be created.
fn wanted<'a>(config: &'a Config, name: &'a str) -> NewTopic<'a> {
    let replication = TopicReplication::Fixed(config.topic_replication);
    if name == config.checkpoint_topic {
        let topic = NewTopic::new(name, 1, replication);
        let settings = CHECKPOINT_TOPIC.iter();
        return settings.fold(topic, |topic, (name, value)| topic.set(name, value));
    }
    let topic = NewTopic::new(name, config.topic_partitions, replication);
    let settings = config.topic_config.iter();
    settings.fold(topic, |topic, (name, value)| topic.set(name, value))
}

/// Those of `topics` that do not exist.
pub fn topics_missing<'a>(config: &Config, topics: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    missing(&client(config)?, topics)
}

fn client(config: &Config) -> Result<Admin, Error> {
    config
        .client()?
        .create_with_context(Journal::of(config))
        .map(Leaving::new)
        .map_err(|error| veil::property(config, &error))
}

/// Asks for all topics, because a question for one by name lets some brokers create it, with settings of their own.
fn missing<'a>(admin: &Admin, topics: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    let metadata = admin
        .inner()
        .fetch_metadata(None, ANSWER)
        .map_err(|error| unreachable(admin, &error))?;
    let exists = |name: &str| metadata.topics().iter().any(|t| t.name() == name);
    Ok(topics
        .iter()
        .copied()
        .filter(|name| !exists(name))
        .collect())
}

fn create(config: &Config, admin: &Admin, topics: &[NewTopic<'_>]) -> Result<(), Error> {
    let outcome = futures_executor::block_on(admin.create_topics(topics, &options()));
    for topic in outcome.map_err(|error| unreachable(admin, &error))? {
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
        _ => (Kind::Unreachable, "create it by hand if this lasts".into()),
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
        let metadata = admin
            .inner()
            .fetch_metadata(None, ANSWER)
            .map_err(|error| unreachable(admin, &error))?;
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

/// Refuses a checkpoint topic from which the position could be lost, or in which it could lie twice.
fn check_checkpoint_topic(config: &Config, admin: &Admin) -> Result<(), Error> {
    let name = config.checkpoint_topic.as_str();
    let metadata = admin
        .inner()
        .fetch_metadata(Some(name), ANSWER)
        .map_err(|error| unreachable(admin, &error))?;
    let topic = metadata.topics().iter().find(|t| t.name() == name);
    let partitions = topic.map_or(0, |t| t.partitions().len());
    if partitions > 1 {
        return Err(Error::new(
            Kind::Config,
            format!(
                "checkpoint topic {name:?} has {partitions} partitions and must have one: name another in \
                 kafka.checkpoint_topic, which will then be created"
            ),
        ));
    }
    match setting(admin, name, "cleanup.policy") {
        Ok(policy) if policy == "compact" => Ok(()),
        Ok(policy) => Err(Error::new(
            Kind::Config,
            format!(
                "checkpoint topic {name:?} has cleanup.policy = {policy}, so that the position would be deleted one day: \
                 set it to compact (kafka-configs --alter --topic {name} --add-config cleanup.policy=compact)"
            ),
        )),
        Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            tracing::warn!(
                topic = name,
                "whether the checkpoint topic is compacted is not known: DESCRIBE_CONFIGS on it is not granted"
            );
            Ok(())
        }
        Err(code) => Err(Error::new(
            Kind::Unreachable,
            format!("asking for the settings of checkpoint topic {name:?}: {code}"),
        )),
    }
}

fn setting(admin: &Admin, topic: &str, name: &str) -> Result<String, Code> {
    settings(admin, &[topic], name)?
        .remove(topic)
        .ok_or(Code::Fail)
}

/// A setting of topics, by topic.
fn settings(admin: &Admin, topics: &[&str], name: &str) -> Result<HashMap<String, String>, Code> {
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let of: Vec<_> = topics
        .iter()
        .map(|it| ResourceSpecifier::Topic(it))
        .collect();
    let answer = futures_executor::block_on(admin.describe_configs(&of, &options()))
        .map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Fail))?;
    let mut settings = HashMap::new();
    for resource in answer {
        let resource = resource?;
        let value = resource.get(name).and_then(|entry| entry.value.clone());
        if let (OwnedResourceSpecifier::Topic(topic), Some(value)) = (&resource.specifier, value) {
            settings.insert(topic.clone(), value);
        }
    }
    Ok(settings)
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER))
        .operation_timeout(Some(ANSWER))
}

/// No broker has answered: why, as librdkafka has said it.
fn unreachable(admin: &Admin, error: &KafkaError) -> Error {
    admin.inner().context().unanswered(error)
}
