//! A configuration for unit tests: everything as the file's defaults have it, on servers that do not answer.

use super::*;

/// A connector `c` that follows every table of `public`; a test changes what it is about.
pub(crate) fn example() -> Config {
    let retries = RetryLimits {
        retries_max: 5,
        retry_min_ms: 1,
        retry_max_ms: 2,
    };
    Config {
        name: "c".into(),
        source: Source {
            connect: ConnectConfig::from_url("postgres://postgres@127.0.0.1:1/d").unwrap(),
            tables: vec!["public.*".into()],
            slot: "c".into(),
            publication: "c".into(),
            create: true,
            partitions_root: true,
            origin_none: false,
            slot_retained_bytes_max: None,
            heartbeat_ms: 10_000,
            new_tables: NewTables::Follow,
            adopt_slot: false,
            adopt_with_snapshot: false,
        },
        snapshot: Snapshot::default(),
        kafka: Kafka {
            brokers: "127.0.0.1:1".into(),
            properties: Default::default(),
            secrets: Default::default(),
            connector: "c".into(),
            checkpoint_topic: "walferry_checkpoint_c".into(),
            dead_letter_topic: "c.dead_letters".into(),
            queue_bytes_max: 8 << 20,
            topic_partitions: 1,
            topic_replication: -1,
            topic_config: Default::default(),
            retries,
            headers: Vec::new(),
            topics: Default::default(),
            requests: Default::default(),
        },
        topic_prefix: "c".into(),
        registry: Registry {
            urls: vec![BaseUrl::parse("http://127.0.0.1:1").unwrap().0],
            username: None,
            password: None,
            token: None,
            ca: None,
            cert: None,
            key: None,
            timeout_ms: 5_000,
        },
        subject_strategy: SubjectStrategy::default(),
        format: Format::default(),
        tombstones: true,
        transaction_metadata: false,
        context_headers: false,
        skipped_operations: Vec::new(),
        publish: Publish {
            batch_bytes_max: 1 << 20,
            commit_interval_ms: 50,
            memory_bytes_max: 16 << 20,
        },
        errors: Errors {
            policy: Policy::Stop,
            dead_letter_topic: "c.dead_letters".into(),
            retries_max: retries.retries_max,
            retry_min_ms: retries.retry_min_ms,
            retry_max_ms: retries.retry_max_ms,
        },
        shutdown_ms: 10_000,
        tables: Vec::new(),
        resync: None,
    }
}
