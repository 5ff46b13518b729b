//! What Kafka will not take however often it is sent: which record or topic, and why.
//!
//! Owns [`Refusal`] and the words that the operator reads. Never: decides what becomes of it; the table's policy does.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::{
    answers::{Meaning, meaning, remedy},
    sizes::Sizes,
};

/// How much of a table is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// One record, for its size.
    Size,
    /// One record, for what it is.
    Record,
    /// Every record of the topic that has no key.
    Keyless,
    /// Every record of the topic.
    Topic,
}

/// What Kafka will not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How much is concerned.
    pub refused: Refused,
    /// The topic.
    pub topic: String,
    /// Bytes of the record, where there is one.
    pub bytes: usize,
    /// Cause and remedy, for the operator.
    pub reason: String,
}

impl Refusal {
    /// What an answer refuses for good; nothing when it says something else.
    pub(crate) fn of(code: Code, topic: &str, keyless: bool, bytes: usize) -> Option<Refusal> {
        let refused = match (meaning(code), code) {
            (Meaning::Record, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
                Refused::Size
            }
            (Meaning::Record, Code::InvalidRecord) if keyless => Refused::Keyless,
            (Meaning::Record, _) => Refused::Record,
            (Meaning::Topic, _) => Refused::Topic,
            _ => return None,
        };
        let what = match refused {
            Refused::Size => {
                format!("a record of {bytes} bytes is larger than topic {topic:?} takes")
            }
            Refused::Record => format!("topic {topic:?} does not take the record: {code}"),
            Refused::Keyless => {
                format!("topic {topic:?} does not take a record without a key: {code}")
            }
            Refused::Topic => format!("topic {topic:?} takes no record of ours: {code}"),
        };
        let reason = match remedy(code) {
            "" => what,
            remedy => format!("{what}; {remedy}"),
        };
        Some(Refusal {
            refused,
            topic: topic.to_owned(),
            bytes,
            reason,
        })
    }

    /// One record that the producer itself does not take.
    pub(crate) fn above_producer(topic: &str, bytes: usize, sizes: &Sizes) -> Refusal {
        let (max, what) = (
            sizes.record,
            format!("a record of {bytes} bytes for topic {topic:?}"),
        );
        Refusal {
            refused: Refused::Size,
            topic: topic.to_owned(),
            bytes,
            reason: match sizes.request {
                Some(request) => format!(
                    "{what} is larger than the brokers take at once: socket.request.max.bytes = {request}; raise it on every \
                     broker, and max.message.bytes of the topic"
                ),
                None => format!(
                    "{what} is larger than the producer takes: kafka.properties.\"message.max.bytes\" = {max}; raise it, and \
                     max.message.bytes of the topic"
                ),
            },
        }
    }
}
