//! What a transaction that has failed as a whole has failed for.
//!
//! Owns the question to the cluster which topic is meant. Never decides what follows: the machine does.

use std::time::Duration;

use rdkafka::{error::RDKafkaErrorCode as Code, producer::Producer};

use super::{faults::denied, live::Live};
use crate::{
    Config, Refusal,
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
        Ok(topic) => {
            let allowed = topic.allowed.as_ref();
            allowed.is_some_and(|it| !it.contains(&native::Operation::Write))
        }
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
