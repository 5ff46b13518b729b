//! Secrets of `[kafka.properties]`, and messages of librdkafka without them.
//!
//! Owns which properties are secrets: those whose values come from elsewhere, and those whose names look or nearly look like
//! one. Invariant: no text of librdkafka that is told or logged holds the value of one, and the value of a property that is
//! refused is never repeated, because a password under a misspelt name is one.
//! Start reading at [`Veil::over`]; [`property`] is what is said of a property that is refused.

use rdkafka::{error::KafkaError, types::RDKafkaConfRes};
use walferry_event::without_userinfo;

use crate::{Config, Error, error::Kind};

/// Parts of names that make a value a secret. Misspelt names count too.
const SECRET: &[&str] = &[
    "pass",
    "pas.",
    "pasw",
    "pwd",
    "secret",
    "secert",
    "token",
    "key",
    "pem",
    "cred",
    "jaas",
    "oauthbearer",
    "user.info",
    "auth",
];
/// Ends of names that say where something is.
const PLACES: &[&str] = &[".location", ".url"];
/// Properties whose values are words of librdkafka, also when they come from the environment.
const WORDS: &[&str] = &[
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.method",
    "client.id",
    "client.rack",
    "compression.type",
];
/// A shorter value is not looked for: it would take letters out of every message, and is no secret.
const SECRET_BYTES_MIN: usize = 4;

/// Properties that are misspelt most often, for "did you mean".
const KNOWN: &[&str] = &[
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "sasl.kerberos.service.name",
    "sasl.kerberos.principal",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.token.endpoint.url",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "client.id",
    "client.rack",
    "client.dns.lookup",
    "broker.address.family",
    "compression.type",
    "linger.ms",
    "batch.size",
    "batch.num.messages",
    "message.max.bytes",
    "socket.timeout.ms",
    "socket.keepalive.enable",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "debug",
];
/// How like a known name a name has to be.
const LIKE: f64 = 0.85;

/// The secrets that a client was made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Veil(Hidden);

#[derive(Clone, Default)]
struct Hidden(Vec<String>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values", self.0.len())
    }
}

impl Veil {
    /// The secrets as they are now.
    pub(crate) fn of(config: &Config) -> Veil {
        let named = config.properties.iter().filter(|(name, _)| is_secret(name));
        let literal = named.map(|(_, value)| value.clone());
        let elsewhere = config.secrets.iter();
        let elsewhere = elsewhere.filter(|(name, _)| !WORDS.contains(&name.as_str()));
        let read = elsewhere.filter_map(|(_, secret)| secret.read().ok());
        let mut hidden: Vec<String> = literal
            .chain(read)
            .filter(|value| value.len() >= SECRET_BYTES_MIN)
            .collect();
        // One may hold another.
        hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Veil(Hidden(hidden))
    }

    /// The text without any of the secrets.
    pub(crate) fn over(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| match text.contains(secret.as_str()) {
            true => text.replace(secret.as_str(), "…"),
            false => text,
        };
        self.0.0.iter().fold(without_userinfo(text), hide)
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_place = PLACES.iter().any(|end| name.ends_with(end));
    !is_place && !WORDS.contains(&name.as_str()) && SECRET.iter().any(|part| name.contains(part))
}

/// What is said of properties with which no client can be made.
pub(crate) fn property(config: &Config, error: &KafkaError) -> Error {
    let said = match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            match nearest(name) {
                Some(known) => {
                    format!("{name:?} is no property of librdkafka; did you mean {known:?}?")
                }
                None => format!(
                    "{name:?} is no property of librdkafka; its CONFIGURATION.md has those that are"
                ),
            }
        }
        KafkaError::ClientConfig(_, said, name, value) => {
            // What librdkafka says may quote the value.
            let said = match value.len() >= SECRET_BYTES_MIN {
                true => said.replace(value.as_str(), "…"),
                false => said.clone(),
            };
            format!("{name:?} has a value that librdkafka does not take: {said}")
        }
        KafkaError::ClientCreation(said) => said.clone(),
        error => error.to_string(),
    };
    let said = Veil::of(config).over(&said);
    Error::new(Kind::Config, format!("kafka.properties: {said}"))
}

fn nearest(name: &str) -> Option<&'static str> {
    let like = |known: &&&str| strsim::jaro_winkler(name, known);
    let nearest = KNOWN.iter().max_by(|a, b| like(a).total_cmp(&like(b)))?;
    (like(&nearest) >= LIKE).then_some(*nearest)
}

#[cfg(test)]
mod tests {
    use walferry_event::Secret;

    use super::*;
    use crate::config::example;

    const CANARY: &str = "Tr0ub4dor-and-3";

    #[test]
    fn a_property_that_is_refused_is_named_without_its_value() {
        for (name, part) in [
            ("sasl.pasword", "did you mean \"sasl.password\""),
            ("sasl.passwrd", "did you mean \"sasl.password\""),
            ("ssl.keypassword", "did you mean \"ssl.key.password\""),
            ("my.own", "CONFIGURATION.md"),
            ("compression.type", "does not take"),
            ("linger.ms", "does not take"),
            ("security.protocol", "does not take"),
            ("debug", "does not take"),
            ("ssl.ca.pem", "kafka.properties"),
            ("ssl.cipher.suites", "kafka.properties"),
        ] {
            for elsewhere in [false, true] {
                let mut config = example();
                if name.starts_with("ssl") {
                    config
                        .properties
                        .insert("security.protocol".into(), "ssl".into());
                }
                match elsewhere {
                    true => drop(config.secrets.insert(name.into(), Secret::literal(CANARY))),
                    false => drop(config.properties.insert(name.into(), CANARY.into())),
                }
                let error = config.check().err();
                let error = error.unwrap_or_else(|| panic!("{name} is taken"));
                let told = format!("{error} {error:?} {config:?}");
                assert!(error.to_string().contains(part), "{told}");
                assert!(told.contains(name) && !told.contains(CANARY), "{told}");
            }
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_out_of_every_text() {
        let mut config = example();
        config
            .secrets
            .insert("sasl.username".into(), Secret::literal("the-user"));
        for (name, secret) in [
            ("sasl.password", "hunter2"),
            ("sasl.pasword", "hunter2-more"),
            ("ssl.key.passwd", "hunter3"),
            ("sasl.oauthbearer.config", "principal=x secret=y"),
        ] {
            config.properties.insert(name.into(), secret.into());
            let text = format!("it says {secret} to the-user");
            assert_eq!(Veil::of(&config).over(&text), "it says … to …");
        }
        config
            .properties
            .insert("compression.type".into(), "zstd".into());
        assert_eq!(Veil::of(&config).over("zstd"), "zstd");
    }
}
