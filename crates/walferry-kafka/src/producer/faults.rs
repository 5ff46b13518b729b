//! What the errors of librdkafka's calls mean.
//!
//! Owns the words for them. Never decides what follows: the machine does.

use std::collections::BTreeSet;

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, Producer},
};
use walferry_event::Disposition;

use crate::{
    Config, Error,
    answers::{Meaning, meaning, remedy},
    error::Kind,
    events::Events,
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

/// A producer that was fenced takes nothing any more, and each call says so in words of its own, most of them "fatal error". Whoever
/// has fenced it may need time for its claim, so what was first counts.
pub(super) fn first_cause(producer: &BaseProducer<Events>, fault: Fault) -> Fault {
    match producer.client().fatal_error() {
        Some((code, text))
            if meaning(code) == Meaning::Fenced && !matches!(fault, Fault::Stopped) =>
        {
            Fault::Fenced(text)
        }
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::config::ClientConfig;

    use super::*;
    use crate::{native, veil::Veil};

    #[test]
    fn a_fence_is_one_in_whatever_words_a_call_meets_it() {
        let producer: BaseProducer<Events> = ClientConfig::new()
            .set("bootstrap.servers", "localhost:1")
            .set("transactional.id", "x")
            .create_with_context(Events::new(usize::MAX, Veil::default()))
            .unwrap();
        let doubt = || Fault::Doubt("Message production error: Fatal".into());
        assert_eq!(first_cause(&producer, doubt()), doubt());
        native::fence(&producer, c"a newer one");
        for fault in [doubt(), Fault::Away("x".into())] {
            let found = first_cause(&producer, fault);
            assert!(
                matches!(&found, Fault::Fenced(text) if text.contains("a newer one")),
                "{found:?}"
            );
        }
        assert_eq!(first_cause(&producer, Fault::Stopped), Fault::Stopped);
    }

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
