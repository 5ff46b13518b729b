//! What the errors of librdkafka's calls mean, and what a transaction that has failed as a whole has failed for.
//!
//! Owns the words for them. Never decides what follows: the machine does.

use std::time::Duration;

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::Producer,
};

use super::Live;
use crate::{
    Config, Error, Refusal,
    answers::{Meaning, meaning, remedy},
    error::Kind,
    native,
    transactions::Fault,
};

/// How long the question may take which topic is meant.
const DESCRIBE: Duration = Duration::from_secs(2);

/// Why a transaction has failed as a whole. Which topic is meant, only the cluster can say.
pub(super) fn spoilt(live: &Live, config: &Config, error: &native::TransactionError) -> Fault {
    let text = error.text.clone();
    match meaning(error.code) {
        Meaning::Topic => match forbidden_topic(live) {
            Some(topic) => {
                let refusal = Refusal::of(error.code, &topic, false, 0);
                refusal.map_or(Fault::Doubt(text), |refusal| Fault::Refused {
                    sequence: 0,
                    refusal,
                    alone: true,
                })
            }
            None => Fault::Final(Kind::Denied, format!("{text}; {}", remedy(error.code))),
        },
        Meaning::Connector => Fault::Final(Kind::Denied, denied(config, &text, error.code)),
        Meaning::Fenced => Fault::Fenced(text),
        Meaning::Passing => Fault::Away(text),
        Meaning::NoTopic => match topic_that(live, |answer| {
            answer.is_err_and(|code| meaning(code) == Meaning::NoTopic)
        }) {
            Some(topic) => Fault::NoTopic(topic),
            None => Fault::Doubt(text),
        },
        Meaning::Record | Meaning::Echo | Meaning::Doubt => Fault::Doubt(text),
    }
}

/// A topic of the open transaction to which we may not write.
fn forbidden_topic(live: &Live) -> Option<String> {
    topic_that(live, |answer| match answer {
        Ok(topic) => topic.may_write == Some(false),
        Err(code) => code == Code::TopicAuthorizationFailed,
    })
}

/// A topic of the open transaction of which the cluster says this.
fn topic_that(live: &Live, is: impl Fn(Result<native::Described, Code>) -> bool) -> Option<String> {
    let topics: Vec<&str> = live.topics.keys().map(|it| &**it).collect();
    let answers = native::describe_topics(live.producer.client(), &topics, DESCRIBE).ok()?;
    let mut answers = answers.into_iter();
    answers.find_map(|(topic, answer)| is(answer).then_some(topic))
}

/// What is not allowed, by name, and the right that is missing.
pub(super) fn denied(config: &Config, text: &str, code: Code) -> String {
    let what = match code {
        Code::TransactionalIdAuthorizationFailed => {
            let id = config.transactional_id();
            format!(
                " (kafka-acls --add --allow-principal … --operation Describe --operation Write --transactional-id {id})"
            )
        }
        Code::ClusterAuthorizationFailed => {
            " (kafka-acls --add --allow-principal … --operation IdempotentWrite --cluster)".into()
        }
        _ => String::new(),
    };
    let id = config.transactional_id();
    format!("transactional id {id:?}: {text}; {}{what}", remedy(code))
}

pub(super) fn no_producer() -> Fault {
    Fault::Doubt("there is no producer".into())
}

pub(super) fn error_fault(error: &Error) -> Fault {
    if error.is_stopped() {
        Fault::Stopped
    } else if error.disposition() == walferry_event::Disposition::Halt {
        Fault::Final(error.sort(), error.to_string())
    } else if error.disposition() == walferry_event::Disposition::Retry {
        Fault::Away(error.to_string())
    } else {
        Fault::Doubt(error.to_string())
    }
}

/// What an error of a call means; the topic, where there is one.
pub(super) fn fault(error: &KafkaError, topic: &str) -> Fault {
    let code = match error {
        KafkaError::Transaction(error) => error.code(),
        error => error.rdkafka_error_code().unwrap_or(Code::Fail),
    };
    let text = error.to_string();
    match meaning(code) {
        Meaning::Fenced => Fault::Fenced(text),
        Meaning::Topic | Meaning::Connector => {
            Fault::Final(Kind::Denied, format!("{text}; {}", remedy(code)))
        }
        Meaning::NoTopic => Fault::NoTopic(topic.to_owned()),
        Meaning::Passing => Fault::Away(text),
        Meaning::Record | Meaning::Echo | Meaning::Doubt => Fault::Doubt(text),
    }
}
