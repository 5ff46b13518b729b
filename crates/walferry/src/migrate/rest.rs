//! What records look like, where they go, and what is to be said of the properties that are left.

use super::Migration;

/// Properties with a key of the same meaning and the same words.
const WORDS: [(&str, &str, &[&str]); 5] = [
    (
        "decimal.handling.mode",
        "decimal",
        &["precise", "string", "double"],
    ),
    (
        "time.precision.mode",
        "time",
        &[
            "adaptive",
            "adaptive-time-microseconds",
            "microseconds",
            "nanoseconds",
            "connect",
            "isostring",
        ],
    ),
    (
        "binary.handling.mode",
        "binary",
        &["bytes", "base64", "base64-url-safe", "hex"],
    ),
    ("interval.handling.mode", "interval", &["numeric", "string"]),
    ("hstore.handling.mode", "hstore", &["json", "map"]),
];
const SWITCHES: [(&str, &str); 2] = [
    ("tombstones.on.delete", "tombstones"),
    ("provide.transaction.metadata", "transaction_metadata"),
];

/// Properties without a counterpart on which topics, records or what is published depend: the file does not start until they
/// are settled. A value that is Debezium's default changes nothing.
const BLOCKERS: [(&str, &str, &str); 8] = [
    (
        "column.include.list",
        "",
        "columns that are not in it would be published: say what to leave out, in a [[table]]'s exclude_columns",
    ),
    (
        "converters",
        "",
        "custom converters change values; here every type has its mapping, with switches in [format]",
    ),
    (
        "debezium.sink.type",
        "kafka",
        "Walferry writes to Kafka and nowhere else",
    ),
    (
        "topic.naming.strategy",
        "io.debezium.schema.SchemaTopicNamingStrategy",
        "topics would have other names: give each [[table]] its topic",
    ),
    (
        "topic.delimiter",
        ".",
        "topics would have other names: give each [[table]] its topic",
    ),
    (
        "snapshot.select.statement.overrides",
        "",
        "rows that it leaves out would be published: see where in [[table]]",
    ),
    (
        "snapshot.include.collection.list",
        "",
        "rows of tables that are not in it would be published by the first snapshot",
    ),
    (
        "message.prefix.",
        "",
        "logical decoding messages that it keeps back would be published; see format.skipped_operations (m)",
    ),
];

/// Beginnings of properties whose lack consumers may see.
const SEEN: [&str; 9] = [
    "column.propagate",
    "datatype.propagate",
    "field.name.adjustment",
    "include.unknown",
    "money.",
    "schema.name.adjustment",
    "snapshot.",
    "topic.",
    "heartbeat.",
];

/// How subjects are named, by the strategy's class.
const STRATEGIES: [(&str, &str); 3] = [
    ("TopicNameStrategy", "topic"),
    ("TopicRecordNameStrategy", "topic-record"),
    ("RecordNameStrategy", "record"),
];

/// What is said of a property without a counterpart, by the beginning of its name; the first that fits.
const WITHOUT: [(&str, &str); 34] = [
    (
        "column.propagate.source.type",
        "schemas carry no parameters of columns",
    ),
    (
        "datatype.propagate.source.type",
        "schemas carry no parameters of columns",
    ),
    ("connection.", "see [errors]"),
    ("custom.metric.tags", "metrics have the label connector"),
    ("database.", "the session is Walferry's own"),
    ("errors.", "see [errors]"),
    (
        "exactly.once.support",
        "every batch is a Kafka transaction with its position",
    ),
    ("executor.shutdown.timeout.ms", "see shutdown_ms"),
    ("field.name.adjustment.mode", "see format.schema_names"),
    (
        "flush.lsn.source",
        "PostgreSQL is always told, after Kafka has it",
    ),
    ("guardrail.", "the tables are those of source.tables"),
    (
        "heartbeat.",
        "the slot of an idle database moves on without a table or a topic",
    ),
    (
        "include.unknown.datatypes",
        "every column is published, a type without a mapping as its text",
    ),
    ("internal.", "internal"),
    ("lsn.flush", "PostgreSQL is always told, after Kafka has it"),
    (
        "max.batch.size",
        "batches end by bytes and time, see [publish]",
    ),
    (
        "max.queue.size",
        "memory is bounded by bytes, see publish.memory_bytes_max",
    ),
    (
        "money.fraction.digits",
        "money has the digits of the database's lc_monetary",
    ),
    ("notification.", "see status, metrics and log"),
    ("offset", "positions are in Kafka, beside the records"),
    ("openlineage.", "no lineage is reported"),
    ("poll.interval.ms", "nothing is polled"),
    ("query.fetch.size", "rows come by COPY"),
    ("quarkus.", "see [admin] and [log]"),
    ("read.only", "nothing is written to the database"),
    (
        "replica.identity.autoset.values",
        "`walferry check --fix-sql` prints what to alter",
    ),
    ("retriable.restart", "see [errors]"),
    (
        "signal",
        "`walferry snapshot start` asks a running process; no table is needed",
    ),
    (
        "slot.",
        "`walferry drop` removes the slot; see also [errors]",
    ),
    ("snapshot.", "see [snapshot] and `walferry check`"),
    (
        "status.update.interval.ms",
        "PostgreSQL is told as soon as Kafka has it",
    ),
    (
        "topic.",
        "a [[table]] may name its topic; see [kafka.topics]",
    ),
    ("xmin.fetch.interval.ms", "no old rows are held back"),
    (
        "producer.override.",
        "see [kafka.properties], with librdkafka's names",
    ),
];

impl Migration {
    pub(super) fn rest(&mut self) {
        self.snapshot();
        self.format();
        self.kafka();
        self.registry();
        self.errors();
        self.block();
        for property in std::mem::take(&mut self.left).into_keys() {
            let known = WITHOUT
                .iter()
                .find(|(start, _)| property.starts_with(start));
            let why = known.map_or("not known", |(_, why)| why);
            match SEEN.iter().any(|start| property.starts_with(start)) {
                true => self.seen.push((property.replace(['\n', '\r'], " "), why)),
                false => self.lacks(&property, why),
            }
        }
    }

    /// What holds up the start.
    fn block(&mut self) {
        for (start, harmless, why) in BLOCKERS {
            let found: Vec<String> = self
                .left
                .keys()
                .filter(|it| it.starts_with(start))
                .cloned()
                .collect();
            for property in found {
                // Its value may be a list of names, or of classes; it is not needed to find it.
                match self.left.remove(&property) {
                    Some(value) if value.is_empty() || value == harmless => {}
                    _ => self.hold(format!("{property}: {why}")),
                }
            }
        }
    }

    fn snapshot(&mut self) {
        match self.take("snapshot.mode").as_deref() {
            None | Some("initial") => {}
            Some("initial_only") => self.set("snapshot", "mode", "only"),
            Some("no_data" | "never" | "schema_only") => self.set("snapshot", "mode", "never"),
            Some(mode) => {
                let remark = format!(
                    "snapshot.mode = {mode}: tables are read once, at the first start; \
                     `walferry snapshot start` and `walferry resync` read them again"
                );
                self.settle(remark);
            }
        }
        for (property, key) in [
            ("snapshot.max.threads", "readers"),
            ("incremental.snapshot.chunk.size", "chunk_rows"),
        ] {
            if let Some(value) = self.take(property) {
                self.number(property, &value, "snapshot", key);
            }
        }
    }

    fn format(&mut self) {
        for (property, key, words) in WORDS {
            let Some(word) = self.take(property) else {
                continue;
            };
            let ours = word.replace('_', "-");
            match words.contains(&ours.as_str()) {
                true => self.set("format", key, ours),
                false => self.hold(format!(
                    "{property} = {word} is none of {}",
                    words.join(", ")
                )),
            }
        }
        if let Some(placeholder) = self.take("unavailable.value.placeholder") {
            self.set("format", "unavailable_value", placeholder);
        }
        let adjustment = "schema.name.adjustment.mode";
        match self.take(adjustment).as_deref() {
            // Avro allows no others, so the converter has replaced them in any case.
            None | Some("none" | "avro") => {}
            Some(_) => self.lacks(adjustment, "see format.schema_names"),
        }
        for (property, key) in SWITCHES {
            if let Some(word) = self.take(property) {
                self.set("format", key, word == "true");
            }
        }
        // Debezium's default.
        let headers = self.take("extended.headers.enabled");
        self.set(
            "format",
            "headers",
            headers.is_none_or(|word| word == "true"),
        );
        let skipped = self
            .take("skipped.operations")
            .unwrap_or_else(|| "t".into());
        let codes = skipped.split(',').map(str::trim).filter(|it| *it != "none");
        self.set("format", "skipped_operations", codes.collect::<Vec<_>>());
        self.set("format", "quirks", vec!["all"]);
        self.settle("quirks = [\"all\"] does as Debezium where it loses or bends a value: see docs/COMPAT.md for each");
    }

    fn kafka(&mut self) {
        let brokers = self.take("producer.override.bootstrap.servers");
        let brokers = brokers.unwrap_or_else(|| {
            self.settle("kafka.brokers: the Connect worker's bootstrap.servers, and its security settings as [kafka.properties]");
            "localhost:9092".into()
        });
        self.set("kafka", "brokers", brokers);
        for same in ["security.protocol", "sasl.mechanism", "compression.type"] {
            if let Some(value) = self.take(&format!("producer.override.{same}")) {
                self.set("kafka.properties", same, value);
            }
        }
        const DEFAULT: &str = "topic.creation.default.";
        let ours: Vec<String> = self
            .left
            .keys()
            .filter(|it| it.starts_with(DEFAULT))
            .cloned()
            .collect();
        for property in ours {
            let Some(value) = self.take(&property) else {
                continue;
            };
            match &property[DEFAULT.len()..] {
                "partitions" => self.number(&property, &value, "kafka.topics", "partitions"),
                "replication.factor" => {
                    self.number(&property, &value, "kafka.topics", "replication_factor")
                }
                "include" | "exclude" => {}
                setting => self.set("kafka.topics.config", setting, value),
            }
        }
    }

    /// The converters: Walferry writes Avro under a registry, as Confluent's converter does.
    fn registry(&mut self) {
        let mut url = None;
        for part in ["value", "key"] {
            let class = self.take(&format!("{part}.converter")).unwrap_or_default();
            match class.as_str() {
                "" | "io.confluent.connect.avro.AvroConverter" | "avro" => {}
                class => self.hold(format!(
                    "{part}.converter is {class}: Walferry writes Avro in Confluent's wire format, so consumers have to change"
                )),
            }
            self.strategy(part);
            let theirs = self.take(&format!("{part}.converter.schema.registry.url"));
            url = url.or(theirs);
            self.left
                .remove(&format!("{part}.converter.basic.auth.credentials.source"));
            let user = format!("{part}.converter.basic.auth.user.info");
            if let (Some(info), "value") = (self.left.remove(&user), part) {
                let name = info.split_once(':').map_or("", |(name, _)| name);
                self.set("registry", "username", name);
                let password = self.secret(&user, &info, "WALFERRY_REGISTRY_PASSWORD");
                self.set("registry", "password", password);
                self.settle("registry.password is what stands behind the colon");
            }
        }
        let url = url.unwrap_or_else(|| {
            self.settle("registry.url: the Connect worker's value.converter.schema.registry.url");
            "http://localhost:8081".into()
        });
        self.set("registry", "url", url);
    }

    /// How subjects are named: one way for keys and values.
    fn strategy(&mut self, part: &str) {
        for property in [
            format!("{part}.converter.{part}.subject.name.strategy"),
            format!("{part}.subject.name.strategy"),
        ] {
            let Some(class) = self.take(&property) else {
                continue;
            };
            let name = class.rsplit('.').next().unwrap_or_default();
            match STRATEGIES.iter().find(|(theirs, _)| *theirs == name) {
                Some((_, ours)) if part == "value" => {
                    self.set("registry", "subject_strategy", *ours)
                }
                Some((_, "topic")) => {}
                Some(_) => {
                    self.settle(format!("{property}: keys have the strategy of values here"))
                }
                None => self.hold(format!(
                    "{property} = {class}: subjects would have other names"
                )),
            }
        }
    }

    fn errors(&mut self) {
        let handling = "event.processing.failure.handling.mode";
        if let Some("warn" | "skip" | "ignore") = self.take(handling).as_deref() {
            self.set("errors", "policy", "skip");
        }
        match self.take("errors.max.retries").as_deref() {
            // Without an end: the process ends all the same, and whoever watches it starts it again.
            None | Some("-1") => {}
            Some(retries) => self.number("errors.max.retries", retries, "errors", "retries_max"),
        }
        // One task, one plugin: there is nothing to say.
        self.left.remove("tasks.max");
    }
}
