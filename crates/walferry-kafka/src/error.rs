//! Why publishing cannot go on.

use std::fmt;

use walferry_event::Disposition;

/// Why publishing cannot go on. Opaque: print it, or ask what sort it is.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// | kind | what the operator sees | what to do |
/// |---|---|---|
/// | Config | a property that would break the guarantee | take it out |
/// | NoTopic | a topic that does not exist | create it, or let it be created |
/// | Denied | topic, group or transactional id not authorised | grant it |
/// | Unreachable | no broker answers, all tries used | mend the cluster |
/// | TooLarge | a record above the topic's limit | raise `max.message.bytes`, or a policy |
/// | Fenced | another instance has claimed the connector | nothing |
/// | Diverged | the checkpoint is not ours nor the one before | the ring restarts from it |
/// | Stopped | asked to stop | nothing |
/// | Unreadable | a checkpoint record that is not one, or of a later version | restore it, or run the later version |
/// | Broken | librdkafka gave up | see the message |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Config,
    NoTopic,
    Denied,
    Unreachable,
    TooLarge,
    Fenced,
    Diverged,
    Stopped,
    Unreadable,
    Broken,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn sort(&self) -> Kind {
        self.kind
    }

    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self.kind {
            Kind::Unreachable => Disposition::Wait,
            Kind::Diverged => Disposition::Reconnect,
            _ => Disposition::Halt,
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
            Kind::Config | Kind::NoTopic | Kind::Unreadable => "validation",
            Kind::Denied => "auth",
            Kind::Unreachable => "connection",
            Kind::TooLarge => "too_large",
            Kind::Fenced => "fenced",
            Kind::Diverged | Kind::Stopped | Kind::Broken => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
