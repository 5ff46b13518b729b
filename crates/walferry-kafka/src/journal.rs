//! What librdkafka says, in our log: the clients beside the producer, which have nothing else to tell.
//!
//! Owns the last reason that a client gave for reaching no broker: the error of the call says only that none was reached.
//! Never decides: a client that cannot reach a broker says so line after line, and whoever asked through it gets the outcome
//! as an error anyway, so these lines are for those who debug.
//! Start reading at [`Journal::unanswered`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::{BaseConsumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{Config, Error, background_drop::Leaving, error::Kind, veil::Veil};

/// How long a reason is listened for, and one step of it.
const LISTEN: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(50);

/// The context of clients whose events only go to the log.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Said>);

struct Said {
    brokers: String,
    veil: Veil,
    /// For a client that only listens for the reason.
    settings: Option<ClientConfig>,
    reason: Mutex<Option<String>>,
}

/// Parts of what librdkafka says when it reaches no broker, and what to do about it; the first that fits.
const REMEDIES: &[(&str, &str)] = &[
    (
        "certificate verify failed",
        "set ssl.ca.location in [kafka.properties] to the PEM file of the authority that signed the broker's certificate",
    ),
    (
        "SASL authentication error",
        "check sasl.username, sasl.password and sasl.mechanism in [kafka.properties]",
    ),
    (
        "Authentication failed",
        "check sasl.username, sasl.password and sasl.mechanism in [kafka.properties]",
    ),
    (
        "SSL handshake failed",
        "check security.protocol in [kafka.properties] (ssl or sasl_ssl for a listener with TLS) and the files of ssl.*",
    ),
    (
        "security.protocol",
        "check security.protocol in [kafka.properties]: the listener at kafka.brokers may speak TLS (ssl), ask for a log-in \
         (sasl_plaintext, sasl_ssl), or speak plain text",
    ),
    (
        "Disconnected",
        "the broker ends the connection without a word, as it does when the listener asks for a log-in: check \
         security.protocol (sasl_plaintext, sasl_ssl) and sasl.* in [kafka.properties]",
    ),
    (
        "resolve",
        "check the names in kafka.brokers, and advertised.listeners of the brokers",
    ),
    (
        "Connection refused",
        "check kafka.brokers, and that the brokers run",
    ),
];

impl Journal {
    pub(crate) fn of(config: &Config) -> Journal {
        Journal(Arc::new(Said {
            brokers: config.brokers.clone(),
            veil: Veil::of(config),
            settings: config.client().ok(),
            reason: Mutex::new(None),
        }))
    }

    /// No broker has answered a call of this client: why, as far as librdkafka knows, and what to do about it.
    pub(crate) fn unanswered(&self, error: &KafkaError) -> Error {
        if self.reason().is_none() {
            self.listen();
        }
        Error::new(Kind::Unreachable, self.why(error))
    }

    /// The same, as a text, with what is known by now.
    pub(crate) fn why(&self, error: &KafkaError) -> String {
        let brokers = &self.0.brokers;
        let code = error.rdkafka_error_code();
        let unreached = code.is_none_or(|code| {
            matches!(
                code,
                Code::BrokerTransportFailure
                    | Code::AllBrokersDown
                    | Code::OperationTimedOut
                    | Code::RequestTimedOut
                    | Code::Resolve
                    | Code::Authentication
                    | Code::Fail
            )
        });
        let reason = self.reason().filter(|_| unreached);
        let Some(reason) = reason else {
            let said = code.map_or_else(|| error.to_string(), |code| code.to_string());
            let said = self.0.veil.over(&said);
            return format!("no broker of kafka.brokers = {brokers:?} answers: {said}");
        };
        let remedy = REMEDIES.iter().find(|(part, _)| reason.contains(part));
        let remedy = remedy.map_or_else(String::new, |(_, remedy)| format!("; {remedy}"));
        format!("no broker of kafka.brokers = {brokers:?} answers: {reason}{remedy}")
    }

    /// An answer has come: what was said before explains nothing any more.
    pub(crate) fn answered(&self) {
        *self.lock() = None;
    }

    /// Some clients do not hand on what librdkafka says, so one more is made that only listens.
    fn listen(&self) {
        let Some(settings) = &self.0.settings else {
            return;
        };
        let Ok(listener) = settings.create_with_context::<_, BaseConsumer<Journal>>(self.clone())
        else {
            return;
        };
        let listener = Leaving::new(listener);
        let until = Instant::now() + LISTEN;
        while self.reason().is_none() && Instant::now() < until {
            // An error comes by the callback, and once more as the outcome.
            let _ = listener.poll(STEP);
        }
    }

    fn reason(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // The value is replaced whole, so a holder that panicked left a valid one.
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the reason of a lost or refused connection: the address, and why.
    fn keep(&self, said: &str) {
        // `[thrd:sasl_ssl://k1:9093/bootstrap]: ` stands before it, and how long it took behind.
        let said = said.split_once("]: ").map_or(said, |(_, said)| said);
        let said = said.rsplit_once(" (after ").map_or(said, |(said, _)| said);
        *self.lock() = Some(said.trim_end_matches(['.', ' ']).to_owned());
    }
}

impl ClientContext for Journal {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = self.0.veil.over(message);
        if matches!(facility, "FAIL" | "ERROR" | "SASLAUTH" | "SSL") {
            self.keep(&message);
        }
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = self.0.veil.over(reason);
        // That all are down is said beside why each is.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            self.keep(&reason);
        }
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Journal {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    #[test]
    fn the_reason_is_librdkafkas_own_with_a_remedy_and_without_a_secret() {
        let mut config = example();
        config
            .properties
            .insert("sasl.password".into(), "hunter2".into());
        let journal = Journal::of(&config);
        let lost = KafkaError::MetadataFetch(Code::BrokerTransportFailure);
        // Nobody is there, and that is heard.
        let text = journal.unanswered(&lost).to_string();
        assert!(text.contains("brokers run"), "{text}");
        for (said, part) in [
            (
                "SASL authentication error: Authentication failed: hunter2",
                "sasl.username",
            ),
            (
                "SSL handshake failed: error:0A: certificate verify failed: broker",
                "ssl.ca.location",
            ),
            (
                "Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol",
                "security.protocol",
            ),
            (
                "Connect to ipv4#127.0.0.1:1 failed: Connection refused",
                "brokers run",
            ),
        ] {
            let line =
                format!("[thrd:x://h/bootstrap]: x://h/bootstrap: {said} (after 3ms in state X)");
            journal.log(RDKafkaLogLevel::Error, "FAIL", &line);
            let text = journal.why(&lost);
            assert!(
                text.contains(&said.replace("hunter2", "…")) && text.contains(part),
                "{text}"
            );
            assert!(
                !text.contains("hunter2") && !text.contains("thrd") && !text.contains("after"),
                "{text}"
            );
        }
    }
}
