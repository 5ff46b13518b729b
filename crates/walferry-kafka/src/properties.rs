//! librdkafka's properties: which are ours, which are the file's, decided one by one.
//!
//! Owns the tables. Invariant: each property that librdkafka has stands in one of them, which a test proves, so that a new
//! one of a later version is decided upon before it can be set.
//! Source: librdkafka's CONFIGURATION.md.

/// `RECORD_BYTES_DEFAULT`, as text.
const RECORD_BYTES: &str = "67108864";

/// What the product sets, where a value is given, and why it cannot be overridden. Other names of a property count, too.
pub(crate) const FIXED: &[(&str, &str, &str)] = &[
    ("enable.idempotence", "true", "records would be doubled"),
    ("acks", "all", "committed records could be lost"),
    (
        "transactional.id",
        "",
        "it is derived from the connector's name, so that a newer instance fences an older one",
    ),
    (
        "transaction.timeout.ms",
        "60000",
        "the rules for retries and cuts are built on it",
    ),
    (
        "delivery.report.only.error",
        "true",
        "only failures are of interest",
    ),
    (
        "partitioner",
        "murmur2_random",
        "keys would move to other partitions than with Java producers",
    ),
    (
        "queue.buffering.max.messages",
        "30000",
        "it is part of memory_bytes_max",
    ),
    (
        "queue.buffering.max.kbytes",
        "",
        "it is part of memory_bytes_max",
    ),
    (
        "max.in.flight.requests.per.connection",
        "5",
        "order depends on it",
    ),
    (
        "retry.backoff.ms",
        "250",
        "the guard against late commits is timed by it",
    ),
    ("isolation.level", "", "the checkpoint is read committed"),
    (
        "enable.auto.commit",
        "false",
        "the position is in the checkpoint, nowhere else",
    ),
    ("group.id", "", "no consumer group is used"),
    ("bootstrap.servers", "", "it is kafka.brokers"),
    ("metadata.broker.list", "", "it is kafka.brokers"),
    ("statistics.interval.ms", "0", "statistics are not read"),
    (
        "log.connection.close",
        "true",
        "the guard against late commits listens for it",
    ),
    (
        "retry.backoff.max.ms",
        "1000",
        "the guard against late commits is timed by it",
    ),
    (
        "allow.auto.create.topics",
        "false",
        "topics are created with the settings of kafka.topics",
    ),
    ("queuing.strategy", "", "order depends on it"),
    (
        "request.required.acks",
        "",
        "committed records could be lost",
    ),
    ("max.in.flight", "", "order depends on it"),
    (
        "retries",
        "",
        "a fault that passes would be taken for one that does not",
    ),
    (
        "message.send.max.retries",
        "",
        "a fault that passes would be taken for one that does not",
    ),
    (
        "message.timeout.ms",
        "",
        "the rules for retries and cuts are built on transaction.timeout.ms",
    ),
    (
        "delivery.timeout.ms",
        "",
        "the rules for retries and cuts are built on transaction.timeout.ms",
    ),
    (
        "enable.gapless.guarantee",
        "",
        "the producer is replaced after each fault anyway",
    ),
    (
        "receive.message.max.bytes",
        "",
        "it is derived from message.max.bytes",
    ),
    (
        "log_level",
        "",
        "the guard against late commits listens to the log; use log.level",
    ),
    (
        "log.queue",
        "",
        "the guard against late commits listens to the log",
    ),
    ("topic.blacklist", "", "topics would be unseen"),
    ("plugin.library.paths", "", "a library could change records"),
    (
        "test.mock.num.brokers",
        "",
        "records would go to no cluster",
    ),
    ("test.mock.broker.rtt", "", "it is for tests of librdkafka"),
    ("produce.offset.report", "", "offsets are not read"),
    ("api.version.request", "", "transactions need it"),
    (
        "enabled_events",
        "",
        "the guard against late commits needs events",
    ),
    ("enable_sasl_queue", "", "nobody would read it"),
    (
        "broker.version.fallback",
        "",
        "transactions need brokers that say what they can do",
    ),
];

/// What the product sets unless the file says otherwise.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("compression.type", "lz4"),
    // What is older while another batch of its partition is on its way makes librdkafka's thread spin: 100 000 polls a second were
    // measured with 50. A commit flushes what lingers.
    ("linger.ms", "1000"),
    ("batch.num.messages", "10000"),
    ("batch.size", "1000000"),
    ("message.max.bytes", RECORD_BYTES),
    // Topics are created, and have their leaders, before they are written to: one that is unknown has been deleted.
    ("topic.metadata.propagation.max.ms", "10000"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.nagle.disable", "true"),
    // A connection that is begun while the network carries nothing is begun again, so that it does not outlast the fault.
    ("socket.connection.setup.timeout.ms", "3000"),
    ("api.version.request.timeout.ms", "3000"),
    // A dead connection of the producer is found by `waits`; this is for what does not wait.
    ("socket.timeout.ms", "30000"),
    ("socket.keepalive.enable", "true"),
];

/// Smaller batches cost a factor of three of the rate (measured), so the file may only raise these.
pub(crate) const NOT_BELOW: &[(&str, u64)] =
    &[("batch.num.messages", 10_000), ("batch.size", 1_000_000)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RECORD_BYTES_DEFAULT;

    /// Properties that the file may set: they change how brokers are reached, how fast, and with which rights.
    const FREE: &[&str] = &[
        "client.id",
        "message.copy.max.bytes",
        "topic.metadata.refresh.interval.ms",
        "topic.metadata.refresh.fast.interval.ms",
        "topic.metadata.refresh.sparse",
        "topic.metadata.refresh.fast.cnt",
        "metadata.max.age.ms",
        "metadata.recovery.strategy",
        "metadata.recovery.rebootstrap.trigger.ms",
        "debug",
        "socket.send.buffer.bytes",
        "socket.receive.buffer.bytes",
        "socket.max.fails",
        "socket.blocking.max.ms",
        "broker.address.ttl",
        "broker.address.family",
        "connections.max.idle.ms",
        "log.thread.name",
        "enable.random.seed",
        "internal.termination.signal",
        "api.version.fallback.ms",
        "https.ca.location",
        "https.ca.pem",
        "queue.buffering.backpressure.threshold",
        "compression.codec",
        "compression.level",
        "client.dns.lookup",
        "client.rack",
        "client.software.name",
        "client.software.version",
        "sticky.partitioning.linger.ms",
        "request.timeout.ms",
        "queue.buffering.max.ms",
        "enable.metrics.push",
        "security.protocol",
        "enable.ssl.certificate.verification",
        "metadata.request.timeout.ms",
        "enable.sparse.connections",
        "reconnect.backoff.jitter.ms",
        "dr_msg_cb",
        "builtin.features",
    ];
    /// Whole families of them.
    const FREE_FAMILIES: &[&str] = &["ssl", "sasl.", "oauth", "enable.sasl.oauthbearer"];
    /// Properties of consumers, which reach none of ours, and callbacks, which no file can set.
    const OF_CONSUMERS: &[&str] = &[
        "group.",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "coordinator.query.interval.ms",
        "max.poll.interval.ms",
        "auto.commit.",
        "enable.auto.offset.store",
        "queued.",
        "fetch.",
        "max.partition.fetch.bytes",
        "offset.store.",
        "consume",
        "rebalance_cb",
        "offset_commit_cb",
        "enable.partition.eof",
        "check.crcs",
        "partition.assignment.strategy",
        "auto.offset.reset",
        "share.",
    ];

    #[test]
    fn every_property_of_librdkafka_is_decided_upon() {
        let all = crate::native::property_names();
        assert!(all.len() > 100, "{all:?}");
        let begins = |name: &str, families: &[&str]| families.iter().any(|it| name.starts_with(it));
        let undecided: Vec<&String> = all
            .iter()
            .filter(|name| {
                let is_callback =
                    name.ends_with("_cb") || name.ends_with("opaque") || *name == "interceptors";
                !(is_callback
                    || FIXED.iter().any(|it| it.0 == *name)
                    || DEFAULTS.iter().any(|it| it.0 == *name)
                    || FREE.contains(&name.as_str())
                    || begins(name, FREE_FAMILIES)
                    || begins(name, OF_CONSUMERS))
            })
            .collect();
        assert!(undecided.is_empty(), "{undecided:?}");
    }

    #[test]
    fn the_largest_record_is_the_same_everywhere() {
        assert_eq!(RECORD_BYTES.parse(), Ok(RECORD_BYTES_DEFAULT));
    }
}
