//! What the errors of librdkafka's calls mean.
//!
//! Owns the words for them. Never decides what follows: the machine does.

use std::collections::BTreeSet;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use walferry_event::Disposition;

use crate::{
    Config, Error,
    answers::{Meaning, meaning, remedy},
    error::Kind,
    transactions::Fault,
};

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

/// Why the coordinator gives no new producer its epoch: the transaction before has to end first, and each partition that it
/// has written to has to take a marker of its end.
pub(super) fn unended(topics: &BTreeSet<Box<str>>) -> String {
    let topics: Vec<&str> = topics.iter().map(|it| &**it).collect();
    let of = match topics.is_empty() {
        true => "of the topics that the connector writes to".to_owned(),
        false => format!("of its topics ({})", topics.join(", ")),
    };
    format!(
        "the coordinator has not ended the connector's last transaction, most likely because a partition {of} takes no marker of \
         its end; look at the brokers' log, and at these topics for offline partitions, too few in-sync replicas \
         (min.insync.replicas) and message.timestamp.before.max.ms; where all is well by now, restart the broker that leads the \
         transaction's partition of __transaction_state"
    )
}

pub(super) fn no_producer() -> Fault {
    Fault::Doubt("there is no producer".into())
}

pub(super) fn error_fault(error: &Error) -> Fault {
    if error.is_stopped() {
        Fault::Stopped
    } else {
        match error.disposition() {
            Disposition::Halt => Fault::Final(error.sort(), error.to_string()),
            Disposition::Wait => Fault::Away(error.to_string()),
            Disposition::Retry | Disposition::Reconnect => Fault::Doubt(error.to_string()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_no_doubt_whatever_call_meets_it() {
        let away = error_fault(&Error::new(Kind::Unreachable, "nobody answers"));
        assert_eq!(away, Fault::Away("nobody answers [WF0504]".into()));
        let doubt = error_fault(&Error::new(Kind::Doubt, "what is this"));
        assert_eq!(doubt, Fault::Doubt("what is this [WF0505]".into()));
    }

    #[test]
    fn a_transaction_that_does_not_end_is_told_with_its_topics_where_they_are_known() {
        let told = unended(&BTreeSet::from(["a.t".into(), "b".into()]));
        assert!(
            told.contains("a partition of its topics (a.t, b) takes"),
            "{told}"
        );
        let told = unended(&BTreeSet::new());
        assert!(
            told.contains("a partition of the topics that the connector writes to takes"),
            "{told}"
        );
    }
}
