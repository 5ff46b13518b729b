//! What one connector is told to do: the binary fills this from its file, tests fill it by hand.
//!
//! Owns no parsing and no defaults of the file format; every bound stands beside its field.
//! Invariant: the sizes that follow from `publish` are derived in `limits`, nowhere else.

#[cfg(test)]
pub(crate) mod example;
mod in_force;
mod limits;
pub mod selection;

pub use walferry_avro::{
    BinaryMode, DecimalMode, Envelope, Format, HstoreMode, IntervalMode, Quirk, Quirks, TimeMode,
};
pub use walferry_event::{Operation, Secret};
pub use walferry_kafka::{Config as Kafka, RetryLimits};
pub use walferry_postgres::{ConnectConfig, RequireAuth, TlsConfig, TlsMode};
pub use walferry_registry::{BaseUrl, Config as Registry, Credentials};

pub use in_force::InForce;
pub use limits::Publish;

use walferry_postgres::KeyRules;

use crate::{config::selection::Selection, retry::Retry};

/// One connector.
#[derive(Clone, Debug)]
pub struct Config {
    /// Stem of slot, publication and `transactional.id`; key of the checkpoint record.
    pub name: String,
    /// The PostgreSQL side.
    pub source: Source,
    /// Whether rows that exist before the slot are read.
    pub snapshot: Snapshot,
    /// The Kafka side.
    pub kafka: Kafka,
    /// First part of the default topic names, and `source.name` of each record.
    pub topic_prefix: String,
    /// The schema registry.
    pub registry: Registry,
    /// How subjects are named.
    pub subject_strategy: SubjectStrategy,
    /// What records look like.
    pub format: Format,
    /// Whether a delete is followed by a record with the key and no value.
    pub tombstones: bool,
    /// Whether the beginning and the end of each transaction are told, and the place of each change in it.
    pub transaction_metadata: bool,
    /// Whether each record has headers that name connector, task and run.
    pub context_headers: bool,
    /// Operations that are not published.
    pub skipped_operations: Vec<Operation>,
    /// Batching and memory.
    pub publish: Publish,
    /// Policies and retries.
    pub errors: Errors,
    /// How long an orderly stop may take, in milliseconds.
    pub shutdown_ms: u64,
    /// Settings of single tables.
    pub tables: Vec<TableConfig>,
    /// Make the topics agree with the tables again: with all, or, when some are named (`schema.table`), with these.
    pub resync: Option<Vec<String>>,
}

/// The PostgreSQL side of a connector.
#[derive(Clone, Debug)]
pub struct Source {
    /// How to connect.
    pub connect: ConnectConfig,
    /// Globs of `schema.table` in order; `!` excludes; the last match decides.
    pub tables: Vec<String>,
    /// Name of the replication slot.
    pub slot: String,
    /// Name of the publication.
    pub publication: String,
    /// Whether slot and publication are created when missing.
    pub create: bool,
    /// Whether a partitioned table is one stream under its root's name.
    pub partitions_root: bool,
    /// Whether changes that replication brought in are skipped (PostgreSQL 16).
    pub origin_none: bool,
    /// Retained WAL above which readiness fails, in bytes.
    pub slot_retained_bytes_max: Option<u64>,
    /// How often an idle stream writes a checkpoint, in milliseconds.
    pub heartbeat_ms: u64,
    /// What is done with tables and partitions that come to match while the connector runs.
    pub new_tables: NewTables,
    /// Take over a slot that exists while there is no checkpoint.
    pub adopt_slot: bool,
    /// Read every table beside the stream of a slot that is taken over.
    pub adopt_with_snapshot: bool,
}

/// What is done with tables that come to match and are not in the publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewTables {
    /// They are added to the publication, and their rows are read.
    #[default]
    Follow,
    /// They are left out, and that is told.
    Warn,
    /// They are left out.
    Ignore,
}

/// How rows that the stream does not bring are read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When.
    pub mode: SnapshotMode,
    /// Sessions that read at the same time.
    pub readers: u32,
    /// Rows of a chunk.
    pub chunk_rows: u64,
    /// Whether the first snapshot is read beside the stream from the start, so that it holds no old snapshot and retains no WAL.
    pub while_streaming: bool,
    /// How long the server may take for one statement, in milliseconds; 0 for any time.
    pub statement_timeout_ms: u64,
    /// Rows a second of all readers together.
    pub rows_per_second_max: Option<u64>,
    /// Transactions that may begin while the first snapshot is held; then the rest is read beside the stream.
    pub xmin_age_max: Option<u64>,
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot {
            mode: SnapshotMode::Initial,
            readers: 2,
            chunk_rows: 50_000,
            while_streaming: false,
            statement_timeout_ms: 600_000,
            rows_per_second_max: None,
            xmin_age_max: Some(100_000_000),
        }
    }
}

/// Whether rows that exist before the slot are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMode {
    /// On the first start.
    Initial,
    /// Never.
    Never,
    /// On the first start, and then the process ends.
    Only,
}

/// How the subject of a schema is named, as Confluent's serialisers have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubjectStrategy {
    /// `<topic>-key` and `<topic>-value`.
    #[default]
    Topic,
    /// The full name of the schema's record.
    Record,
    /// `<topic>-` and the full name of the schema's record.
    TopicRecord,
}

/// What happens to a change that cannot be encoded or published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The connector halts.
    Stop,
    /// It is written to the dead-letter topic in the same Kafka transaction.
    DeadLetter,
    /// It is counted, logged and left out.
    Skip,
    /// The table waits at it, and the others go on.
    Park,
}

/// Policies and retries.
#[derive(Clone, Debug)]
pub struct Errors {
    /// The policy of tables that set none.
    pub policy: Policy,
    /// Where dead letters go.
    pub dead_letter_topic: String,
    /// Tries in a row without progress before the process gives up.
    pub retries_max: u32,
    /// Shortest upper bound of a pause, in milliseconds.
    pub retry_min_ms: u64,
    /// Longest upper bound of a pause, in milliseconds.
    pub retry_max_ms: u64,
}

impl Errors {
    /// A series of tries within these limits.
    pub(crate) fn retry(&self) -> Retry {
        Retry::new(self.retries_max, self.retry_min_ms, self.retry_max_ms)
    }
}

/// Settings of one table, or of several.
#[derive(Clone, Debug, Default)]
pub struct TableConfig {
    /// `schema.table`, or a glob of such names.
    pub name: String,
    /// Its topic, when not `prefix.schema.table`; `{schema}` and `{table}` in it stand for the table's own.
    pub topic: Option<String>,
    /// Whether its keys tell it apart from other tables of its topic.
    pub table_in_key: Option<bool>,
    /// Its message key, when not the primary key.
    pub key: Option<Vec<String>>,
    /// Whether it is published though PostgreSQL then refuses the application's updates and deletes of its rows.
    pub publish_without_identity: bool,
    /// Its policy.
    pub errors: Option<Policy>,
    /// Columns that do not leave the source.
    pub exclude_columns: Vec<String>,
    /// Which rows are followed: an SQL expression, as a publication's row filter.
    pub row_filter: Option<String>,
    /// Columns whose values are masked.
    pub masks: Vec<(String, Mask)>,
}

/// How the values of a column are masked.
#[derive(Clone, Debug)]
pub enum Mask {
    /// SHA-256 over this salt and the value's text, in hexadecimal digits.
    Sha256(Secret),
    /// The same text for every value.
    Redact,
    /// This many characters from its beginning.
    Truncate(usize),
    /// None: the values are masked already.
    Done,
}

impl TableConfig {
    /// Whether something of the table's rows does not leave.
    pub(crate) fn limits(&self) -> bool {
        !self.exclude_columns.is_empty() || self.row_filter.is_some() || !self.masks.is_empty()
    }
}

impl Config {
    /// Derives the sizes of one side that follow from those of another.
    pub fn agree(&mut self) {
        self.source.connect.message_bytes_max =
            limits::frame_bytes_max(self.kafka.record_bytes_max());
    }

    /// The settings of a table: those under its very name, else of the last glob that matches it.
    pub fn table(&self, qualified_name: &str) -> Option<&TableConfig> {
        let tables = || self.tables.iter();
        tables()
            .find(|own| own.name == qualified_name)
            .or_else(|| tables().rfind(|own| selection::matches(&own.name, qualified_name)))
    }

    /// Whether a table (`schema.table`) is followed.
    pub fn follows(&self, qualified_name: &str) -> bool {
        Selection::new(&self.source.tables).includes(qualified_name)
    }

    /// The policy of a table.
    pub fn policy(&self, qualified_name: &str) -> Policy {
        self.table(qualified_name)
            .and_then(|t| t.errors)
            .unwrap_or(self.errors.policy)
    }

    /// The subject of a schema of `topic`.
    pub(crate) fn subject(&self, topic: &str, part: &str, schema: &str) -> String {
        match self.subject_strategy {
            SubjectStrategy::Topic => format!("{topic}-{part}"),
            SubjectStrategy::Record => record_name(schema),
            SubjectStrategy::TopicRecord => format!("{topic}-{}", record_name(schema)),
        }
    }

    /// Which deletes are followed by a record without a value.
    pub fn tombstones(&self) -> Tombstones {
        match self.tombstones {
            false => Tombstones::None,
            true if self.format.quirks.has(Quirk::TombstoneWithoutKey) => Tombstones::WithoutKeyToo,
            true => Tombstones::WithKey,
        }
    }

    /// Which indexes give a message key.
    pub fn key_rules(&self) -> KeyRules {
        KeyRules {
            partial_indexes: self.format.quirks.has(Quirk::PartialIndexKey),
            outside_identity: self.format.quirks.has(Quirk::KeyOutsideIdentity),
        }
    }

    /// Where the beginning and the end of each transaction are told.
    pub fn transaction_topic(&self) -> String {
        format!("{}.transaction", self.topic_prefix)
    }

    /// Where logical decoding messages go.
    pub fn message_topic(&self) -> String {
        format!("{}.message", self.topic_prefix)
    }

    /// The topic of a table: the one of its settings, or `prefix.schema.table`, with what Kafka does not allow in names
    /// replaced by `_`.
    pub fn topic(&self, schema: &str, table: &str) -> String {
        let own = self.table(&format!("{schema}.{table}"));
        match own.and_then(|own| own.topic.as_deref()) {
            Some(topic) => topic
                .replace("{schema}", &allowed(schema))
                .replace("{table}", &allowed(table)),
            None => self.topic_of_its_own(schema, table),
        }
    }

    /// The topic of a table with everything in it that Kafka does not allow.
    pub(crate) fn whole_topic(&self, schema: &str, table: &str) -> String {
        let own = self.table(&format!("{schema}.{table}"));
        match own.and_then(|own| own.topic.as_deref()) {
            Some(topic) => topic.replace("{schema}", schema).replace("{table}", table),
            None => format!("{}.{schema}.{table}", self.topic_prefix),
        }
    }

    fn topic_of_its_own(&self, schema: &str, table: &str) -> String {
        allowed(&format!("{}.{schema}.{table}", self.topic_prefix))
    }

    /// Whether the configuration may send other tables to the table's topic, too. The tables that there are do not matter, so
    /// that one that is created later changes no schema.
    pub(crate) fn shares_topic(&self, schema: &str, table: &str) -> bool {
        let own = self.table(&format!("{schema}.{table}"));
        let Some((own, topic)) = own.and_then(|own| Some((own, own.topic.as_deref()?))) else {
            return false;
        };
        let others = self.tables.iter().filter(|it| it.name != own.name);
        let mut others = others.filter_map(|it| it.topic.as_deref());
        selection::has_many(&own.name, topic) || others.any(|it| selection::may_meet(it, topic))
    }

    /// What tells the table apart in the keys of a topic that several share: the topic that it would have of its own.
    pub(crate) fn physical_table(&self, schema: &str, table: &str) -> Option<String> {
        let own = self.table(&format!("{schema}.{table}"))?;
        own.topic.as_ref()?;
        let apart = own.table_in_key;
        let apart = apart.unwrap_or_else(|| self.shares_topic(schema, table));
        apart.then(|| self.topic_of_its_own(schema, table))
    }
}

/// A name with what Kafka does not allow in topics replaced by `_`.
fn allowed(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '_',
        })
        .collect()
}

/// The full name of a record schema: its namespace and name.
fn record_name(schema: &str) -> String {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Named {
        namespace: String,
        name: String,
    }
    // Our own schemas are records; one that were none has no name, and the registry refuses the empty subject.
    let Named { namespace, name } = serde_json::from_str(schema).unwrap_or_default();
    match namespace.is_empty() {
        true => name,
        false => format!("{namespace}.{name}"),
    }
}

/// Which deletes are followed by a record without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tombstones {
    /// None.
    None,
    /// Those with a key: without one a tombstone would say nothing.
    WithKey,
    /// All of them, as Debezium has it.
    WithoutKeyToo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_full_name() {
        for (schema, name) in [
            (
                r#"{"type":"record","name":"Key","namespace":"shop.public.t","fields":[]}"#,
                "shop.public.t.Key",
            ),
            (r#"{"type":"record","name":"Key","fields":[]}"#, "Key"),
            (r#""string""#, ""),
        ] {
            assert_eq!(record_name(schema), name);
        }
    }
}
