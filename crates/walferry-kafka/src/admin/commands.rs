//! Lines of Kafka's own tools that mend a topic or a right: `kafka-topics`, `kafka-configs`, `kafka-acls`.
//!
//! Owns their words; they are those of Kafka 3 and 4, whose scripts some distributions call `kafka-topics.sh` and so on. Never
//! runs one; never a secret: who we are is the user name of the file, and [`NOBODY`] where the file does not say it.

use rdkafka::admin::{NewTopic, TopicReplication};

use super::new_topic::wanted;
use crate::Config;

/// Stands for the name that the brokers know us by, where it is not in the configuration.
pub const NOBODY: &str = "User:PRINCIPAL";
/// Mechanisms with which the principal is the user name.
const NAMED: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What a right is on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    /// A topic, by its name.
    Topic(&'a str),
    /// The consumer group of the connector's readers.
    Group,
    /// The connector's transactional id.
    TransactionalId,
}

/// Creates a topic as `run` would.
pub fn create_line(config: &Config, topic: &str) -> String {
    of_new(config, &wanted(config, topic))
}

fn of_new(config: &Config, topic: &NewTopic<'_>) -> String {
    let mut line = format!(
        "{} --create --if-not-exists --topic {} --partitions {}",
        tool(config, "kafka-topics"),
        quoted(topic.name),
        topic.num_partitions
    );
    if let TopicReplication::Fixed(replicas) = topic.replication
        && replicas > 0
    {
        line.push_str(&format!(" --replication-factor {replicas}"));
    }
    for (name, value) in &topic.config {
        line.push_str(&format!(" --config {}", quoted(&format!("{name}={value}"))));
    }
    line
}

/// Deletes a topic.
pub(super) fn delete_line(config: &Config, topic: &str) -> String {
    let tool = tool(config, "kafka-topics");
    format!("{tool} --delete --topic {}", quoted(topic))
}

/// Changes settings of a topic; a value has no comma.
pub fn alter_line(config: &Config, topic: &str, settings: &[(&str, &str)]) -> String {
    let settings = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let settings: Vec<String> = settings.collect();
    format!(
        "{} --alter --entity-type topics --entity-name {} --add-config {}",
        tool(config, "kafka-configs"),
        quoted(topic),
        quoted(&settings.join(","))
    )
}

/// Grants operations, by the names that the tool has for them.
pub(super) fn allow_line(config: &Config, on: Resource<'_>, operations: &[&str]) -> String {
    let operations = operations.iter().map(|it| format!(" --operation {it}"));
    let on = match on {
        Resource::Topic(topic) => format!("--topic {}", quoted(topic)),
        Resource::Group => format!("--group {}", quoted(&config.group())),
        Resource::TransactionalId => {
            format!("--transactional-id {}", quoted(&config.transactional_id()))
        }
    };
    format!(
        "{} --add --allow-principal {}{} {on}",
        tool(config, "kafka-acls"),
        quoted(&principal(config)),
        operations.collect::<String>()
    )
}

/// Who the brokers take us for.
fn principal(config: &Config) -> String {
    let property = |name: &str| config.properties.get(name).map(String::as_str);
    let protocol = property("security.protocol").unwrap_or("plaintext");
    if protocol.eq_ignore_ascii_case("plaintext") {
        return "User:ANONYMOUS".to_owned();
    }
    let mechanism = property("sasl.mechanism").or_else(|| property("sasl.mechanisms"));
    let named =
        mechanism.is_some_and(|it| NAMED.iter().any(|named| named.eq_ignore_ascii_case(it)));
    match property("sasl.username") {
        Some(user) if named && protocol.to_ascii_lowercase().starts_with("sasl") => {
            format!("User:{user}")
        }
        _ => NOBODY.to_owned(),
    }
}

fn tool(config: &Config, name: &str) -> String {
    format!("{name} --bootstrap-server {}", quoted(&config.brokers))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "._-:,=/+@".contains(it);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    #[test]
    fn lines_are_whole_and_a_shell_takes_each_word_as_it_is() {
        let mut config = example();
        config.brokers = "k1:9092, k2:9092".into();
        config.topic_replication = 3;
        config.topic_config = [("retention.ms".to_owned(), "-1".to_owned())].into();
        assert_eq!(
            create_line(&config, "shop.orders"),
            "kafka-topics --bootstrap-server 'k1:9092, k2:9092' --create --if-not-exists --topic shop.orders --partitions 1 \
             --replication-factor 3 --config retention.ms=-1"
        );
        let checkpoint = create_line(&config, "walferry_checkpoint_c");
        assert!(
            checkpoint.contains("--config cleanup.policy=compact"),
            "{checkpoint}"
        );
        assert!(!checkpoint.contains("retention.ms"), "{checkpoint}");
        config.topic_replication = -1;
        assert!(!create_line(&config, "a").contains("--replication-factor"));
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
        config.brokers = "k:1".into();
        assert_eq!(
            alter_line(
                &config,
                "a",
                &[("cleanup.policy", "delete"), ("retention.ms", "-1")]
            ),
            "kafka-configs --bootstrap-server k:1 --alter --entity-type topics --entity-name a --add-config \
             cleanup.policy=delete,retention.ms=-1"
        );
    }

    #[test]
    fn rights_are_granted_to_whom_the_brokers_take_us_for() {
        let mut config = example();
        let line = |config: &Config| allow_line(config, Resource::TransactionalId, &["Write"]);
        assert_eq!(
            line(&config),
            "kafka-acls --bootstrap-server 127.0.0.1:1 --add --allow-principal User:ANONYMOUS --operation Write \
             --transactional-id walferry-c"
        );
        let mut set = |name: &str, value: &str| {
            config.properties.insert(name.into(), value.into());
            line(&config)
        };
        assert!(set("security.protocol", "ssl").contains(NOBODY));
        assert!(set("sasl.username", "shop app").contains(NOBODY));
        assert!(set("security.protocol", "SASL_SSL").contains(NOBODY));
        assert!(set("sasl.mechanism", "scram-sha-512").contains("'User:shop app'"));
        assert!(set("sasl.mechanism", "GSSAPI").contains(NOBODY));
    }
}
