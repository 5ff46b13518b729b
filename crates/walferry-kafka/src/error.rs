//! Why publishing cannot go on.

use std::fmt;

use walferry_event::{Code, Disposition};

use crate::{Refusal, Refused};

/// Why publishing cannot go on. Opaque: print it, or ask what sort it is.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    refusal: Option<Box<Refusal>>,
    missing_topic: Option<String>,
}

/// | kind | what the operator sees | what to do |
/// |---|---|---|
/// | Config | a property that would break the guarantee | take it out |
/// | Unfit | a topic that cannot serve as it is set | change it as the message says |
/// | NoTopic | a topic that does not exist | create it, or let it be created |
/// | Denied | topic, group or transactional id not authorised | grant it |
/// | Unreachable | no broker answers | mend the cluster |
/// | Doubt | an answer that no table knows | see the message; tried `retries_max` times |
/// | TooLarge | a record above the topic's limit | raise `max.message.bytes`, or a policy |
/// | Refused | a record or a topic that the broker refuses for good | see the message, or a policy |
/// | Fenced | another instance has claimed the connector | nothing |
/// | Diverged | the checkpoint is not ours nor the one before | the ring restarts from it |
/// | Stopped | asked to stop | nothing |
/// | Unreadable | a checkpoint record that is not one, or of a later version | restore it, or run the later version |
/// | Broken | librdkafka gave up, or we after `retries_max` doubts | see the message |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Config,
    Unfit,
    NoTopic,
    Denied,
    Unreachable,
    Doubt,
    TooLarge,
    Refused,
    Fenced,
    Diverged,
    Stopped,
    Unreadable,
    Broken,
}

impl Kind {
    /// The kind of an error that ends publishing for a refusal.
    pub(crate) fn of_refusal(refusal: &Refusal) -> Kind {
        match refusal.refused {
            Refused::Size => Kind::TooLarge,
            Refused::Record | Refused::Keyless | Refused::Topic => Kind::Refused,
        }
    }
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            refusal: None,
            missing_topic: None,
        }
    }

    /// A topic that records go to does not exist.
    pub(crate) fn no_topic(topic: &str) -> Error {
        Error {
            missing_topic: Some(topic.to_owned()),
            ..Error::new(
                Kind::NoTopic,
                format!(
                    "topic {topic:?} does not exist any more: create it, or start again so that it is created"
                ),
            )
        }
    }

    /// The topic that does not exist, when that is the reason.
    pub fn missing_topic(&self) -> Option<&str> {
        self.missing_topic.as_deref()
    }

    /// Kafka will not take a record, or anything for its topic.
    pub(crate) fn refused(refusal: Refusal) -> Error {
        Error {
            kind: Kind::of_refusal(&refusal),
            message: refusal.reason.clone(),
            refusal: Some(Box::new(refusal)),
            missing_topic: None,
        }
    }

    /// What Kafka will not take, when that is the reason. Of the batch nothing is published: whoever begins again at the
    /// checkpoint, and knows of this, can go on.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    pub(crate) fn sort(&self) -> Kind {
        self.kind
    }

    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self.kind {
            Kind::Unreachable => Disposition::Wait,
            Kind::Doubt => Disposition::Retry,
            Kind::Diverged => Disposition::Reconnect,
            _ => Disposition::Halt,
        }
    }

    /// Its stable code.
    pub fn code(&self) -> Code {
        match self.kind {
            Kind::Config => Code::KafkaSettings,
            Kind::Unfit => Code::TopicUnfit,
            Kind::NoTopic => Code::TopicMissing,
            Kind::Denied => Code::KafkaDenied,
            Kind::Unreachable => Code::KafkaUnreachable,
            Kind::Doubt => Code::KafkaDoubt,
            Kind::TooLarge => Code::RecordTooLarge,
            Kind::Refused => Code::RecordRefused,
            Kind::Fenced => Code::Fenced,
            Kind::Diverged => Code::Diverged,
            Kind::Unreadable => Code::CheckpointUnreadable,
            Kind::Broken | Kind::Stopped => Code::KafkaBroken,
        }
    }

    /// Another instance has claimed the connector.
    pub fn is_fenced(&self) -> bool {
        self.kind == Kind::Fenced
    }

    /// The checkpoint in Kafka is neither this batch's nor the one before: start again from it.
    pub fn is_diverged(&self) -> bool {
        self.kind == Kind::Diverged
    }

    /// The checkpoint cannot be read: to go on without it would lose the position.
    pub fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unreadable
    }

    /// Asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.kind == Kind::Stopped
    }

    /// The `kind` label of the error metric.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Config | Kind::Unfit | Kind::NoTopic | Kind::Unreadable => "validation",
            Kind::Denied => "auth",
            Kind::Unreachable => "connection",
            Kind::TooLarge => "too_large",
            Kind::Refused => "validation",
            Kind::Fenced => "fenced",
            Kind::Doubt | Kind::Diverged | Kind::Stopped | Kind::Broken => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Stopped => f.write_str(&self.message),
            _ => f.write_str(&self.code().tag(&self.message)),
        }
    }
}

impl std::error::Error for Error {}
