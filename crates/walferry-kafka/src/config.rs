//! Settings of the clients.
//!
//! Owns how they are put together. Those that would break the guarantee are refused in `property_check`; which properties are whose is decided one by one in `properties`.

use std::{collections::BTreeMap, env, fmt, sync::Arc, time::Duration};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use walferry_event::Secret;

use crate::{
    KnownTopics,
    error::{Error, Kind},
    properties::{DEFAULTS, FIXED},
    sizes::{RECORD_BYTES_DEFAULT, RequestLimit, Sizes},
};

/// How to reach Kafka, and what to create there.
#[derive(Clone)]
pub struct Config {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// Further librdkafka properties; checked by [`Config::check`].
    pub properties: BTreeMap<String, String>,
    /// Properties whose values are secrets, asked for when a client is created.
    pub secrets: BTreeMap<String, Secret>,
    /// Connector name: key of the checkpoint record, stem of `transactional.id`.
    pub connector: String,
    /// The checkpoint topic.
    pub checkpoint_topic: String,
    /// The topic of dead letters.
    pub dead_letter_topic: String,
    /// Bytes that librdkafka may queue.
    pub queue_bytes_max: u64,
    /// Partitions of topics that are created.
    pub topic_partitions: i32,
    /// Their replication factor; -1 is the broker's default.
    pub topic_replication: i32,
    /// Their settings.
    pub topic_config: BTreeMap<String, String>,
    /// How often and how long to try again.
    pub retries: RetryLimits,
    /// Headers of every record, behind its own.
    pub headers: Vec<(String, String)>,
    /// The topics that records go to, as they were accepted.
    pub topics: Arc<KnownTopics>,
    /// What the brokers take at once.
    pub requests: Arc<RequestLimit>,
}

/// How often and how long to try again.
#[derive(Clone, Copy, Debug)]
pub struct RetryLimits {
    /// Tries in a row.
    pub retries_max: u32,
    /// Shortest bound of a pause, in milliseconds.
    pub retry_min_ms: u64,
    /// Longest bound of a pause, in milliseconds.
    pub retry_max_ms: u64,
}

/// After this the coordinator aborts an open transaction.
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// librdkafka's pause before it asks again; the guard's clock is derived from it.
pub(crate) const RETRY_BACKOFF_MS: u64 = 250;
/// How long those who ask beside the producer wait for one answer, in milliseconds.
const ASK_TIMEOUT_MS: &str = "4000";
/// Where OpenSSL is told by the environment which authorities to trust.
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Records that librdkafka may queue. Fewer make it wake for each (measured: under 20 000 costs half the rate).
pub(crate) const QUEUE_MESSAGES_MAX: i32 = 30_000;

/// Values of properties are left out: any of them may be a secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&String> = self.properties.keys().chain(self.secrets.keys()).collect();
        f.debug_struct("Config")
            .field("brokers", &self.brokers)
            .field("properties", &named)
            .field("connector", &self.connector)
            .field("checkpoint_topic", &self.checkpoint_topic)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Settings that every client shares.
    pub(crate) fn client(&self) -> Result<ClientConfig, Error> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client.set("client.id", format!("walferry-{}", self.connector));
        client.set("log.connection.close", "true");
        client.set_log_level(RDKafkaLogLevel::Info);
        if let Some(place) = authorities(|it| env::var_os(it).is_some()) {
            client.set("ssl.ca.location", place);
        }
        for (name, value) in DEFAULTS.iter().filter(|(name, _)| is_common(name)) {
            client.set(*name, *value);
        }
        // What asks beside the producer asks again: a connection that says nothing is not waited for.
        client.set("socket.timeout.ms", ASK_TIMEOUT_MS);
        for (name, value) in &self.properties {
            if is_common(name) {
                client.set(name, value);
            }
        }
        self.set_secrets(&mut client)?;
        Ok(client)
    }

    fn set_secrets(&self, client: &mut ClientConfig) -> Result<(), Error> {
        for (name, secret) in &self.secrets {
            let value = secret.read().map_err(|error| {
                Error::new(Kind::Config, format!("kafka.properties: {name}: {error}"))
            })?;
            client.set(name, value);
        }
        Ok(())
    }

    /// Settings of the transactional producer.
    pub(crate) fn producer(&self) -> Result<ClientConfig, Error> {
        let mut client = self.client()?;
        for (name, value, _) in FIXED {
            if !value.is_empty() && *name != "enable.auto.commit" {
                client.set(*name, *value);
            }
        }
        for (name, value) in DEFAULTS {
            client.set(*name, *value);
        }
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        // What comes from the environment or a file is not less than what stands in the configuration: it wins over defaults.
        self.set_secrets(&mut client)?;
        client.set("transactional.id", self.transactional_id());
        let sizes = self.sizes();
        client.set("message.max.bytes", sizes.record.to_string());
        client.set("batch.size", sizes.batch.to_string());
        let queue_kib = sizes.client_queue.div_ceil(1024);
        client.set("queue.buffering.max.kbytes", queue_kib.to_string());
        Ok(client)
    }

    /// Bytes that a record may have for the producer to take it at all.
    pub fn record_bytes_max(&self) -> u64 {
        self.sizes().record
    }

    /// The sizes that follow from it.
    pub(crate) fn sizes(&self) -> Sizes {
        let number = |name: &str| self.effective(name).and_then(|it| it.parse().ok());
        let record = number("message.max.bytes").unwrap_or(RECORD_BYTES_DEFAULT);
        Sizes::derive(
            record,
            number("batch.size").unwrap_or(record),
            self.queue_bytes_max,
            self.requests.get(),
        )
    }

    /// The value of a property that is in force: the file's, or else ours.
    pub(crate) fn effective(&self, name: &str) -> Option<&str> {
        let set = self.properties.get(name).map(String::as_str);
        let default = || DEFAULTS.iter().find(|(default, _)| *default == name);
        set.or_else(|| default().map(|(_, value)| *value))
    }

    /// Settings of a consumer of the checkpoint topic.
    pub(crate) fn consumer(&self, isolation: &str) -> Result<ClientConfig, Error> {
        let mut client = self.client()?;
        client.set("group.id", self.group());
        client.set("enable.auto.commit", "false");
        client.set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "earliest");
        client.set("isolation.level", isolation);
        let receive = self.sizes().receive;
        client.set("receive.message.max.bytes", receive.to_string());
        Ok(client)
    }

    /// The group of those who read the checkpoint; it has no members and commits nothing.
    pub(crate) fn group(&self) -> String {
        format!("walferry-{}", self.connector)
    }

    /// One id per connector, so that the newest instance fences every older one.
    pub(crate) fn transactional_id(&self) -> String {
        format!("walferry-{}", self.connector)
    }
}

/// Where authorities are looked for, unless a variable or the file says it: OpenSSL is part of the binary, and of its own accord it
/// looks where it was built for, not where it runs.
fn authorities(is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    let said = AUTHORITIES.iter().any(|it| is_set(it));
    (!said).then_some("probe")
}

/// Producer settings mean nothing to a consumer, which would warn of each.
fn is_common(name: &str) -> bool {
    [
        "security.",
        "sasl.",
        "ssl.",
        "socket.",
        "broker.",
        "client.",
        "reconnect.",
        "api.version.request.timeout",
        "enable.ssl",
        "debug",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
pub(crate) fn example() -> Config {
    Config {
        brokers: "127.0.0.1:1".into(),
        properties: BTreeMap::new(),
        secrets: BTreeMap::new(),
        connector: "c".into(),
        checkpoint_topic: "walferry_checkpoint_c".into(),
        dead_letter_topic: "c.dead_letters".into(),
        queue_bytes_max: 8 << 20,
        topic_partitions: 1,
        topic_replication: -1,
        topic_config: BTreeMap::new(),
        retries: RetryLimits {
            retries_max: 5,
            retry_min_ms: 1,
            retry_max_ms: 2,
        },
        headers: Vec::new(),
        topics: Arc::default(),
        requests: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_ones_that_librdkafka_takes() {
        let producer: Result<rdkafka::producer::BaseProducer, _> =
            example().producer().unwrap().create();
        assert!(producer.is_ok(), "{:?}", producer.err());
    }

    #[test]
    fn authorities_are_looked_for_where_the_system_keeps_them_unless_somebody_says_where() {
        assert_eq!(authorities(|_| false), Some("probe"));
        for variable in AUTHORITIES {
            assert_eq!(authorities(|it| it == variable), None);
        }
        let (name, file) = ("ssl.ca.location", "/etc/ours.pem");
        let mut config = example();
        config.properties.insert(name.into(), file.into());
        assert_eq!(config.client().unwrap().get(name), Some(file));
    }
}
