//! The keys of the file, as serde reads them, each with its default and what it says.
//!
//! Owns names, types, defaults and the text of `docs/CONFIG.md`. Never decides whether values fit together: `checked` does.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::scalar::{Address, Limit, SecretSource, Size, Word};

/// A part of the file: its structure, its defaults, and a row for each of its keys.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident [$path:literal] {
        $($field:ident: $type:ty = $default:expr, $shown:literal, $help:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $(pub(crate) $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            /// Section, key, default, meaning.
            pub(crate) const KEYS: &'static [Key] = &[
                $(Key { section: $path, name: stringify!($field), default: $shown, help: $help },)*
            ];
        }
    };
}

/// One key, for the document.
pub(crate) struct Key {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

section! {
    /// The whole file.
    File [""] {
        name: Option<String> = None, "required", "stem of slot, publication and `transactional.id`: lower-case letters, digits and `_`";
        shutdown_ms: u64 = 10_000, "10000", "how long SIGTERM may take to finish the open batch";
        source: SourceSection = SourceSection::default(), "", "the PostgreSQL side";
        snapshot: SnapshotSection = SnapshotSection::default(), "", "rows from before the slot";
        kafka: KafkaSection = KafkaSection::default(), "", "the Kafka side";
        registry: RegistrySection = RegistrySection::default(), "", "the schema registry";
        format: FormatSection = FormatSection::default(), "", "what records look like";
        publish: PublishSection = PublishSection::default(), "", "batches and memory";
        errors: ErrorsSection = ErrorsSection::default(), "", "policies and retries";
        admin: AdminSection = AdminSection::default(), "", "the admin endpoint";
        log: LogSection = LogSection::default(), "", "the log";
        table: Vec<TableSection> = Vec::new(), "", "settings of single tables";
    }
}

section! {
    /// `[source]`.
    SourceSection ["source"] {
        url: Option<Address> = None, "required", "`postgresql://user@host:port/database`";
        password: Option<SecretSource> = None, "none", "secret: `{ env = \"NAME\" }`, `{ file = \"PATH\" }`, or a text for development";
        tables: Vec<String> = Vec::new(), "required", "globs of `schema.table` in order; `!` excludes; the last match decides";
        slot: Option<String> = None, "`walferry_<name>`", "replication slot";
        publication: Option<String> = None, "`walferry_<name>`", "publication";
        create: bool = true, "true", "create slot and publication when missing; false: only use what is there";
        partitions: Partitions = Partitions::Root, "root", "`root`: a partitioned table is one stream; `leaf`: one per partition";
        new_tables: NewTables = NewTables::Follow, "follow", "tables and partitions that come to match and are not in the publication: `follow` adds them and reads their rows, `warn` leaves them out and says so, `ignore` leaves them out";
        origin: Origin = Origin::Any, "any", "`none` skips what replication brought in (PostgreSQL 16)";
        slot_retained_bytes_max: Limit = Limit(Some(50 << 30)), "50 GiB", "readiness fails above; 0 for no limit";
        heartbeat_ms: u64 = 10_000, "10000", "an idle database's slot moves on this often; no table is written";
        require_auth: Option<String> = None, "`scram-sha-256`, `none`, and over a verified connection or a Unix socket `md5` and `password`", "how the server may have the role log in, as libpq has it: a list of `scram-sha-256`, `md5`, `password` (in clear text), `none`, or with `!` before each name what is not taken";
        tls: SourceTls = SourceTls::default(), "", "protection of the connection";
    }
}

section! {
    /// `[source.tls]`.
    SourceTls ["source.tls"] {
        mode: Option<String> = None, "what the URL's sslmode says, else disable", "`disable`, `require`, `verify-ca`, `verify-full`";
        ca: Option<PathBuf> = None, "none", "PEM file of the authorities";
        cert: Option<PathBuf> = None, "none", "PEM file of our certificate";
        key: Option<PathBuf> = None, "none", "PEM file of its key";
    }
}

section! {
    /// `[snapshot]`.
    SnapshotSection ["snapshot"] {
        mode: SnapshotMode = SnapshotMode::Initial, "initial", "`initial`, `never`, `only`";
        readers: u32 = 2, "2", "sessions that read at the same time";
        chunk_rows: u64 = 50_000, "50000", "rows of a chunk: what is read in one transaction, and again after an interruption";
        while_streaming: bool = false, "false", "true: read beside the stream from the start, so that a long snapshot retains no WAL and holds no old snapshot";
        statement_timeout_ms: u64 = 600_000, "600000", "limit of one read on the server, 0 for none; a read that it ends goes on where it stood";
        rows_per_second_max: Option<u64> = None, "none", "rows a second, of all readers together";
        xmin_age_max: u64 = 100_000_000, "100000000", "transactions that may begin while the first snapshot keeps vacuum from cleaning up; then the rest is read beside the stream; 0 for no limit";
    }
}

section! {
    /// `[kafka]`.
    KafkaSection ["kafka"] {
        brokers: Option<String> = None, "required", "`host:port`, several separated by commas";
        topic_prefix: Option<String> = None, "the connector's name", "first part of topic names, and `source.name`";
        checkpoint_topic: Option<String> = None, "`walferry_checkpoint_<name>`", "one partition, compacted";
        topics: TopicsSection = TopicsSection::default(), "", "topics that are created";
        properties: BTreeMap<String, SecretSource> = BTreeMap::new(), "none", "any librdkafka property, refused where it would break the guarantee; a value may be a secret";
    }
}

section! {
    /// `[kafka.topics]`.
    TopicsSection ["kafka.topics"] {
        partitions: i32 = 1, "1", "partitions of a topic that is created";
        replication_factor: i32 = -1, "-1", "-1: the broker's default";
        config: BTreeMap<String, Word> = BTreeMap::new(), "none", "topic settings";
    }
}

section! {
    /// `[registry]`.
    RegistrySection ["registry"] {
        url: Option<Address> = None, "required", "several, separated by commas, are tried in turn";
        username: Option<String> = None, "none", "for basic authentication";
        password: Option<SecretSource> = None, "none", "secret";
        token: Option<SecretSource> = None, "none", "secret: bearer token";
        timeout_ms: u64 = 5_000, "5000", "how long one call may take";
        subject_strategy: SubjectStrategy = SubjectStrategy::Topic, "topic", "`topic`: subjects `<topic>-key` and `<topic>-value`; `record`: the full name of the record; `topic-record`: `<topic>-` and that name";
        tls: RegistryTls = RegistryTls::default(), "", "certificates";
    }
}

section! {
    /// `[registry.tls]`.
    RegistryTls ["registry.tls"] {
        ca: Option<PathBuf> = None, "none", "PEM file of the authorities";
        cert: Option<PathBuf> = None, "none", "PEM file of our certificate";
        key: Option<PathBuf> = None, "none", "PEM file of its key";
    }
}

section! {
    /// `[format]`.
    FormatSection ["format"] {
        envelope: String = "debezium".into(), "debezium", "`debezium`; `flat`: the columns of the row, `__op`, `__lsn`, `__ts_ms` and `__deleted`; a delete has the old row, and a truncate has no record";
        decimal: String = "precise".into(), "precise", "`precise`, `string`, `double`";
        time: String = "adaptive".into(), "adaptive", "`adaptive`, `adaptive-time-microseconds`, `microseconds`, `nanoseconds`, `connect`, `isostring`";
        binary: String = "bytes".into(), "bytes", "`bytes`, `base64`, `base64-url-safe`, `hex`";
        interval: String = "numeric".into(), "numeric", "`numeric` (microseconds; a month has 30.4375 days), `string` (ISO 8601: `P1Y2M3DT4H5M6.78S`)";
        hstore: String = "json".into(), "json", "`json` (a JSON object as text), `map` (an Avro map)";
        tombstones: bool = true, "true", "whether a delete is followed by a record with the key and no value";
        transaction_metadata: bool = false, "false", "BEGIN and END records of each transaction in the topic `<topic_prefix>.transaction`, and in each record its place among the events of its transaction";
        schema_names: SchemaNames = SchemaNames::Avro, "avro", "`avro` replaces what Avro does not allow in names; `none` leaves names alone";
        unavailable_value: String = "__debezium_unavailable_value".into(), "__debezium_unavailable_value", "stands for an unchanged TOAST value";
        skipped_operations: Vec<String> = Vec::new(), "none", "of `t`, `c`, `u`, `d`, and `m` for logical decoding messages; Debezium skips `t`";
        headers: bool = false, "false", "on each record, the headers `__debezium.context.*` of connector, task and run";
        quirks: Vec<String> = Vec::new(), "none", "deviations of Debezium's to reproduce, by the names in docs/COMPAT.md; `all` for all";
    }
}

section! {
    /// `[publish]`.
    PublishSection ["publish"] {
        batch_bytes_max: Size = Size(16 << 20), "16 MiB", "bytes after which a Kafka transaction is committed; a quarter of `memory_bytes_max` at most";
        commit_interval_ms: u64 = 200, "200", "time after which it is, half of it for changes beside a snapshot; sooner when nothing more is waiting";
        memory_bytes_max: Size = Size(64 << 20), "64 MiB", "everything in flight; at least 16 MiB";
    }
}

section! {
    /// `[errors]`.
    ErrorsSection ["errors"] {
        policy: Policy = Policy::Stop, "stop", "`stop`, `dead-letter`, `skip`, `park` (this table waits, the others go on): for a change that cannot be encoded or published";
        dead_letter_topic: Option<String> = None, "`<topic_prefix>.dead_letters`", "where dead letters go";
        retries_max: u32 = 20, "20", "tries in a row of what is no outage; then the process exits 1. A server that is away is waited for without an end";
        retry_min_ms: u64 = 100, "100", "shortest bound of a pause, with full jitter";
        retry_max_ms: u64 = 30_000, "30000", "longest bound of a pause";
    }
}

section! {
    /// `[admin]`.
    AdminSection ["admin"] {
        listen: String = "127.0.0.1:9464".into(), "127.0.0.1:9464", "address of the admin server";
        token: Option<SecretSource> = None, "none", "secret: control verbs need it; without it they are switched off";
    }
}

section! {
    /// `[log]`.
    LogSection ["log"] {
        format: Option<LogFormat> = None, "text on a terminal, else json", "`json`, `text`";
        level: String = "info".into(), "info", "`error`, `warn`, `info`, `debug`, `trace`, or directives as `info,walferry_kafka=debug`";
    }
}

section! {
    /// `[[table]]`.
    TableSection ["table"] {
        name: Option<String> = None, "required", "`schema.table`, or a glob of such names; a table's very name wins, else the last glob";
        topic: Option<String> = None, "`<prefix>.<schema>.<table>`", "where its records go; `{schema}` and `{table}` stand for the table's own. Several tables may share a topic and its subjects when their keys have one schema";
        table_in_key: Option<bool> = None, "`true` where the configuration sends several tables to the `topic`", "whether keys end with the field `__dbz__physicalTableIdentifier`, which says the topic that the table would have of its own, so that equal keys of different tables stay different, as behind Debezium's ByLogicalTableRouter; `false` is as behind its RegexRouter";
        key: Option<Vec<String>> = None, "primary key, or the replica identity index", "columns of the message key";
        publish_without_identity: bool = false, "`false`", "publish the table although it has no replica identity that PostgreSQL takes (no primary key, a deferrable one, …): PostgreSQL then refuses the application's `UPDATE` and `DELETE` on it, so this is for tables that only grow. Without it such a table is left out";
        errors: Option<Policy> = None, "`errors.policy`", "this table's policy";
        exclude_columns: Vec<String> = Vec::new(), "none", "columns that are not published: by a column list of the publication (PostgreSQL 15), else left out by Walferry";
        r#where: Option<String> = None, "none", "SQL: only rows that fit are published, by a row filter of the publication (PostgreSQL 15); over the replica identity's columns, unless that is full";
        mask: Vec<MaskSection> = Vec::new(), "none", "`{ column, with }`: `sha256` (hexadecimal, over `salt`, a secret, and the value's text), `redact` (`****`), `truncate` (to `chars` characters of a text column); NULL stays NULL";
    }
}

/// One entry of `mask`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskSection {
    pub(crate) column: String,
    pub(crate) with: MaskWith,
    pub(crate) salt: Option<SecretSource>,
    pub(crate) chars: Option<usize>,
}

/// Every key, in the order of the document.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    [
        File::KEYS,
        SourceSection::KEYS,
        SourceTls::KEYS,
        SnapshotSection::KEYS,
        KafkaSection::KEYS,
        TopicsSection::KEYS,
        RegistrySection::KEYS,
        RegistryTls::KEYS,
        FormatSection::KEYS,
        PublishSection::KEYS,
        ErrorsSection::KEYS,
        AdminSection::KEYS,
        LogSection::KEYS,
        TableSection::KEYS,
    ]
    .into_iter()
    .flatten()
    .filter(|key| !(key.default.is_empty()))
}

/// An enumeration of words.
macro_rules! words {
    ($name:ident { $($variant:ident),+ }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) enum $name { $($variant),+ }
    };
}

words!(Partitions { Root, Leaf });
words!(NewTables {
    Follow,
    Warn,
    Ignore
});
words!(Origin { Any, None });
words!(SnapshotMode {
    Initial,
    Never,
    Only
});
words!(SchemaNames { Avro, None });
words!(Policy {
    Stop,
    DeadLetter,
    Skip,
    Park
});
words!(SubjectStrategy {
    Topic,
    Record,
    TopicRecord
});
words!(LogFormat { Json, Text });
words!(MaskWith {
    Sha256,
    Redact,
    Truncate
});
