//! A topic as it is to be created: its partitions, replicas and settings.
//!
//! Owns what of `kafka.topics` each of our topics takes. Never asks a broker.

use rdkafka::admin::{NewTopic, TopicReplication};

use crate::Config;

/// Settings of the checkpoint topic: it is read whole at every start, so it has to stay short, and it must never expire.
const CHECKPOINT_TOPIC: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("max.compaction.lag.ms", "3600000"),
];

/// Kafka's default of `max.message.bytes`.
pub(super) const MESSAGE_BYTES_MAX: usize = 1_048_588;

/// A topic as it is to be created: what each of our own takes of kafka.topics stands here.
pub(super) fn wanted<'a>(config: &'a Config, name: &'a str) -> NewTopic<'a> {
    let replication = TopicReplication::Fixed(config.topic_replication);
    if name == config.checkpoint_topic {
        let topic = NewTopic::new(name, 1, replication);
        // What makes the data safe has to hold for the position, too; how long it is kept is ours.
        let ours = |name: &str| CHECKPOINT_TOPIC.iter().any(|it| it.0 == name);
        let theirs = config.topic_config.iter();
        let theirs = theirs.filter(|(name, value)| !ours(name) && serves_checkpoint(name, value));
        let topic = theirs.fold(topic, |topic, (name, value)| topic.set(name, value));
        let settings = CHECKPOINT_TOPIC.iter();
        return settings.fold(topic, |topic, (name, value)| topic.set(name, value));
    }
    let topic = NewTopic::new(name, config.topic_partitions, replication);
    // Letters of changes without a key go there, which a compacted topic does not take.
    let letters = name == config.dead_letter_topic;
    let settings = config.topic_config.iter();
    let settings = settings.map(|(name, value)| match (letters, name.as_str()) {
        (true, "cleanup.policy") => (name, "delete"),
        _ => (name, value.as_str()),
    });
    settings.fold(topic, |topic, (name, value)| topic.set(name, value))
}

/// Whether a setting of kafka.topics may hold for the checkpoint topic: not one that would let it expire or grow, or refuse
/// the record.
fn serves_checkpoint(name: &str, value: &str) -> bool {
    match name {
        "max.message.bytes" => value
            .parse()
            .is_ok_and(|max: usize| max >= MESSAGE_BYTES_MAX),
        "min.compaction.lag.ms" | "delete.retention.ms" => false,
        _ => !name.starts_with("retention.") && !name.starts_with("local.retention."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_data_safe_holds_for_the_position_and_what_lets_it_expire_does_not() {
        for (name, value, serves) in [
            ("min.insync.replicas", "2", true),
            ("unclean.leader.election.enable", "false", true),
            ("max.message.bytes", "10000000", true),
            ("max.message.bytes", "1000", false),
            ("retention.ms", "1000", false),
            ("retention.bytes", "1000", false),
            ("min.compaction.lag.ms", "1", false),
        ] {
            assert_eq!(serves_checkpoint(name, value), serves, "{name}");
        }
    }
}
