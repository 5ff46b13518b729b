//! What is not right about a topic, the brokers or our rights, with the lines of Kafka's own tools that mend it.
//!
//! Owns [`Concern`]. Never: asks a broker, or runs a line.

use walferry_event::Code;

/// How bad a concern is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// Nothing better is to be had.
    Fine,
    /// It works, but not as most people want it.
    Look,
    /// Publishing would stop, or wait for ever.
    Stops,
}

/// Something that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// What it is about: `topic shop.orders`, `broker 2`, …
    pub subject: String,
    /// How bad it is.
    pub gravity: Gravity,
    /// Its stable code.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do; empty where the message says all.
    pub remedy: String,
    /// Lines that mend it, in order; none where no command does.
    pub fix: Vec<String>,
}

impl Concern {
    pub(super) fn of_topic(
        topic: &str,
        gravity: Gravity,
        code: Code,
        message: impl Into<String>,
    ) -> Concern {
        Concern {
            subject: format!("topic {topic}"),
            gravity,
            code,
            message: message.into(),
            remedy: String::new(),
            fix: Vec::new(),
        }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Concern {
        let remedy = remedy.into();
        Concern { remedy, ..self }
    }

    pub(super) fn fix(self, line: String) -> Concern {
        let fix = vec![line];
        Concern { fix, ..self }
    }
}
