//! What Kafka is asked about topics: which there are, who leads them, what they are set to.
//!
//! Owns the client, how long an answer may take, and the words for a question that failed. Never creates or changes a topic.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier},
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::Metadata,
};

use crate::{
    Config, Error,
    answers::{Meaning, meaning, remedy},
    background_drop::Leaving,
    error::Kind,
    journal::Journal,
    veil,
};

pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// A client that asks.
pub(super) type Admin = Leaving<AdminClient<Journal>>;

pub(super) fn client(config: &Config) -> Result<Admin, Error> {
    config
        .client()?
        .create_with_context(Journal::of(config))
        .map(Leaving::new)
        .map_err(|error| veil::property(config, &error))
}

pub(super) fn missing<'a>(admin: &Admin, topics: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    let there = names(admin)?;
    Ok(topics
        .iter()
        .copied()
        .filter(|it| !there.contains(*it))
        .collect())
}

/// Asks for all topics, because a question for one by name lets some brokers create it, with settings of their own.
pub(super) fn names(admin: &Admin) -> Result<HashSet<String>, Error> {
    let metadata = metadata(admin, None)?;
    Ok(metadata
        .topics()
        .iter()
        .map(|it| it.name().to_owned())
        .collect())
}

pub(super) fn metadata(admin: &Admin, topic: Option<&str>) -> Result<Metadata, Error> {
    admin
        .inner()
        .fetch_metadata(topic, ANSWER)
        .map_err(|error| failed(admin, "which topics there are", &error))
}

pub(super) fn setting(admin: &Admin, topic: &str, name: &str) -> Result<String, Code> {
    // The crate drops the error of a single resource and answers with no settings at all; of a topic that exists, that is a
    // missing right.
    settings(admin, &[topic], &[name])?
        .remove(&(topic.to_owned(), name.to_owned()))
        .ok_or(Code::TopicAuthorizationFailed)
}

/// Settings of topics, by topic and name.
pub(super) fn settings(
    admin: &Admin,
    topics: &[&str],
    names: &[&str],
) -> Result<HashMap<(String, String), String>, Code> {
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let of: Vec<_> = topics
        .iter()
        .map(|it| ResourceSpecifier::Topic(it))
        .collect();
    let answer = futures_executor::block_on(admin.describe_configs(&of, &options()))
        .map_err(|error| code_of(&error))?;
    let mut settings = HashMap::new();
    for resource in answer {
        let resource = resource?;
        let OwnedResourceSpecifier::Topic(topic) = &resource.specifier else {
            continue;
        };
        for name in names {
            let value = resource.get(name).and_then(|entry| entry.value.clone());
            if let Some(value) = value {
                settings.insert((topic.clone(), (*name).to_owned()), value);
            }
        }
    }
    Ok(settings)
}

pub(super) fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER))
        .operation_timeout(Some(ANSWER))
}

/// The code of an admin call's error, which the crate keeps to itself.
pub(super) fn code_of(error: &KafkaError) -> Code {
    match error {
        KafkaError::AdminOp(code) => *code,
        error => error.rdkafka_error_code().unwrap_or(Code::Fail),
    }
}

/// Why an admin request failed. That no broker has answered is told as librdkafka has said it.
pub(super) fn failed(admin: &Admin, what: &str, error: &KafkaError) -> Error {
    let code = code_of(error);
    let kind = match meaning(code) {
        Meaning::Connector | Meaning::Topic => Kind::Denied,
        Meaning::NoTopic => Kind::NoTopic,
        Meaning::Passing => return admin.inner().context().unanswered(error),
        Meaning::Record | Meaning::Fenced | Meaning::Echo | Meaning::Doubt => Kind::Doubt,
    };
    let remedy = match remedy(code) {
        "" => String::new(),
        remedy => format!("; {remedy}"),
    };
    Error::new(kind, format!("asking Kafka {what}: {code}{remedy}"))
}
