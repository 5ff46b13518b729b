//! A Debezium connector's configuration as a Walferry file.
//!
//! Owns which key stands for which property, and what is said of a property that has no key. Never opens a connection, and
//! never repeats a value that may be a secret.
//! Invariants: each property becomes a key, or is named in the comments with what to do about it; a list that cannot be kept
//! holds up the start, so that nothing is published that was kept back; what is written is read with the code that reads a
//! configuration before it is given out.
//! Source: Debezium's documentation, "PostgreSQL connector properties", 3.x.
//!
//! Start reading at [`from_debezium`]; `properties` reads the file, `source`, `tables` and `rest` take what they know of it.

mod patterns;
mod properties;
mod rest;
mod source;
mod tables;
mod transforms;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use toml::Value;

use crate::configuration;

/// Sections in the order in which they are written.
const SECTIONS: [&str; 11] = [
    "",
    "source",
    "source.tls",
    "snapshot",
    "kafka",
    "kafka.topics",
    "kafka.topics.config",
    "kafka.properties",
    "registry",
    "format",
    "errors",
];

/// What became of a configuration.
pub(crate) struct Migrated {
    /// The Walferry file.
    pub(crate) text: String,
    /// How many properties have no counterpart.
    pub(crate) without: usize,
    /// How many things are left to settle.
    pub(crate) to_settle: usize,
}

/// The properties that are left, and what has come of the others.
struct Migration {
    left: BTreeMap<String, String>,
    keys: Vec<(&'static str, String, Value)>,
    /// By table: keys of its `[[table]]`.
    tables: BTreeMap<String, Vec<(&'static str, Value)>>,
    /// Without these, other records or topics would be written than Debezium writes; then the file is not ready to run.
    blockers: Vec<String>,
    to_settle: Vec<String>,
    /// What consumers see otherwise.
    seen: Vec<(String, &'static str)>,
    without: Vec<(String, &'static str)>,
}

/// Translates the text of a file, Java properties or JSON.
pub(crate) fn from_debezium(text: &str, place: &str) -> Result<Migrated> {
    let left = properties::read(text).with_context(|| place.to_owned())?;
    let mut migration = Migration {
        left,
        keys: Vec::new(),
        tables: BTreeMap::new(),
        blockers: Vec::new(),
        to_settle: Vec::new(),
        seen: Vec::new(),
        without: Vec::new(),
    };
    migration.check().with_context(|| place.to_owned())?;
    let prefix = migration.name();
    migration.source();
    migration.selection();
    migration.columns();
    migration.transforms(&prefix);
    migration.rest();
    let text = migration.text(place);
    configuration::parse(&text, "the file that came of it")
        .with_context(|| format!("{place}: cannot be translated"))?;
    Ok(Migrated {
        text,
        without: migration.without.len() + migration.seen.len(),
        to_settle: migration.to_settle.len() + migration.blockers.len(),
    })
}

impl Migration {
    /// Takes a property out.
    fn take(&mut self, property: &str) -> Option<String> {
        let value = self.left.remove(property)?;
        if value.contains("${") {
            let remark = format!(
                "{property} holds a placeholder that Kafka Connect resolves and Walferry does not: put the value in its place"
            );
            self.settle(remark);
        }
        Some(value).filter(|value| !value.is_empty())
    }

    fn set(&mut self, section: &'static str, key: &str, value: impl Into<Value>) {
        self.keys.push((section, key.to_owned(), value.into()));
    }

    /// A number, or else a remark.
    fn number(&mut self, property: &str, value: &str, section: &'static str, key: &str) {
        match value.parse::<i64>() {
            Ok(number) => self.set(section, key, number),
            Err(_) => self.settle(format!("{property} = {value} is no number")),
        }
    }

    /// Leaves something to whoever reads the file.
    fn settle(&mut self, what: impl Into<String>) {
        // A comment has one line.
        self.to_settle.push(what.into().replace(['\n', '\r'], " "));
    }

    /// Leaves something without which more, or something else, would be published than Debezium does.
    fn hold(&mut self, what: impl Into<String>) {
        self.blockers.push(what.into().replace(['\n', '\r'], " "));
    }

    fn held(&self) -> bool {
        !self.blockers.is_empty()
    }

    fn lacks(&mut self, property: &str, why: &'static str) {
        let property = property.replace(['\n', '\r'], " ");
        self.without.push((property, why));
    }

    /// Whether this is a configuration of Debezium's PostgreSQL connector.
    fn check(&mut self) -> Result<()> {
        const CLASS: &str = "io.debezium.connector.postgresql.PostgresConnector";
        match self.take("connector.class") {
            Some(class) if class == CLASS => Ok(()),
            Some(class) => bail!("connector.class is {class}; only {CLASS} can be translated"),
            None if self.left.contains_key("database.hostname") => Ok(()),
            None => {
                bail!("neither connector.class nor database.hostname is there; is it Debezium's?")
            }
        }
    }

    /// The connector's name. What topics begin with.
    fn name(&mut self) -> String {
        let prefix = self.take("topic.prefix");
        let server = self.take("database.server.name");
        let prefix = prefix.or(server);
        let name = self.take("name").or_else(|| prefix.clone());
        let name = name.unwrap_or_else(|| "debezium".to_owned());
        let stem = configuration::draft::name_of(&name);
        match &prefix {
            Some(prefix) => self.set("kafka", "topic_prefix", prefix.as_str()),
            None => self.hold("topic.prefix is missing; topics would begin with the name"),
        }
        self.set("", "name", stem.as_str());
        prefix.unwrap_or(stem)
    }

    /// The file.
    fn text(&self, place: &str) -> String {
        let mut text =
            format!("# From {place}, a configuration of Debezium's PostgreSQL connector.\n");
        let without = |of: &[(String, &str)]| -> Vec<String> {
            of.iter()
                .map(|(property, why)| format!("{property}: {why}"))
                .collect()
        };
        for (title, lines) in [
            (
                "It does not start before this is settled, because topics or records would not be Debezium's. Then take the \
                 comment sign off source.tables:",
                self.blockers.clone(),
            ),
            ("To settle before the first start:", self.to_settle.clone()),
            (
                "Without a counterpart, and consumers may see it:",
                without(&self.seen),
            ),
            (
                "Without a counterpart, and nothing to do:",
                without(&self.without),
            ),
        ] {
            if !lines.is_empty() {
                text.push_str(&format!("#\n# {title}\n"));
                lines
                    .iter()
                    .for_each(|line| text.push_str(&format!("# - {line}\n")));
            }
        }
        for section in SECTIONS {
            let keys: Vec<_> = self.keys.iter().filter(|it| it.0 == section).collect();
            if keys.is_empty() {
                continue;
            }
            text.push('\n');
            if !section.is_empty() {
                text.push_str(&format!("[{section}]\n"));
            }
            for (_, key, value) in keys {
                // Names of Kafka's settings have dots.
                let key = match key.contains('.') {
                    true => Value::from(key.as_str()).to_string(),
                    false => key.clone(),
                };
                if self.held() && key == "tables" {
                    text.push_str("# ");
                }
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        for (table, keys) in &self.tables {
            let name = Value::from(table.as_str());
            text.push_str(&format!("\n[[table]]\nname = {name}\n"));
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &str = "connector.class = io.debezium.connector.postgresql.PostgresConnector\n";

    fn migrated(properties: &str) -> (toml::Table, String) {
        let text = from_debezium(&format!("{CLASS}{properties}"), "test")
            .unwrap()
            .text;
        (toml::from_str(&text).unwrap(), text)
    }

    #[test]
    fn each_property_is_a_key_or_a_comment() {
        let (keys, text) = migrated(
            "name = Shop-1\ntopic.prefix = shop\ndatabase.user = a b\ndatabase.hostname = ::1\n\
             schema.include.list = a,b\ntable.exclude.list = a\\\\.(t|u)\nskipped.operations = none\n\
             publish.via.partition.root = true\nsnapshot.mode = no_data\nslot.name = s\nplugin.name = pgoutput\n\
             message.key.columns = a.t:x,y;b.u:z\ncolumn.mask.with.5.chars = a.t.m\n\
             topic.creation.default.cleanup.policy = compact\nslot.drop.on.stop = true\nwhat.is.this = 1\n",
        );
        assert_eq!(keys["name"].as_str(), Some("shop_1"));
        let source = &keys["source"];
        assert_eq!(
            source["url"].as_str(),
            Some("postgresql://a%20b@[::1]:5432/postgres")
        );
        assert_eq!(
            source["tables"].to_string(),
            r#"["a.*", "b.*", "!a.t", "!a.u"]"#
        );
        assert_eq!(source["slot"].as_str(), Some("s"));
        assert_eq!(source["publication"].as_str(), Some("dbz_publication"));
        assert_eq!(source["partitions"].as_str(), Some("root"));
        assert_eq!(keys["snapshot"]["mode"].as_str(), Some("never"));
        assert_eq!(keys["format"]["skipped_operations"].to_string(), "[]");
        let topics = &keys["kafka"]["topics"]["config"];
        assert_eq!(topics["cleanup.policy"].as_str(), Some("compact"));
        assert_eq!(keys["table"][0]["key"].to_string(), r#"["x", "y"]"#);
        assert_eq!(keys["table"][0]["mask"][0]["with"].as_str(), Some("redact"));
        assert_eq!(keys["table"][1]["name"].as_str(), Some("b.u"));
        for comment in [
            "slot.drop.on.stop: `walferry drop`",
            "what.is.this: not known",
        ] {
            assert!(text.contains(&format!("# - {comment}")), "{text}");
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        let (keys, text) = migrated(
            "database.password = hunter2\nvalue.converter.basic.auth.user.info = u:hunter2\n\
             column.mask.hash.SHA-256.with.salt.hunter2 = a.t.c\nproducer.override.sasl.jaas.config = hunter2\n\
             signal.kafka.password = hunter2\n",
        );
        assert!(!text.contains("hunter2"), "{text}");
        let variable = &keys["source"]["password"]["env"];
        assert_eq!(variable.as_str(), Some("WALFERRY_SOURCE_PASSWORD"));
        let (keys, _) = migrated("database.password = ${env:PG_PASSWORD}\n");
        assert_eq!(
            keys["source"]["password"]["env"].as_str(),
            Some("PG_PASSWORD")
        );
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        let (keys, text) = migrated(
            "plugin.name = decoderbufs\nslot.name = s\ntable.include.list = a\\\\.t\\\\d+,a.u\nsnapshot.mode = always\n\
             value.converter = org.apache.kafka.connect.json.JsonConverter\ndatabase.sslmode = prefer\n\
             database.port = ${file:/x:port}\nheartbeat.interval.ms = soon\n",
        );
        assert!(keys["source"].get("slot").is_none());
        assert!(keys["source"].get("tables").is_none());
        for part in [
            "decoderbufs",
            "a\\.t\\d+",
            "snapshot.mode = always",
            "JsonConverter",
            "prefer",
            "placeholder",
            "soon",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn a_column_that_cannot_be_kept_back_holds_up_the_start() {
        for list in [
            "column.exclude.list = .*\\\\.card",
            "column.mask.with.5.chars = a\\\\.t\\\\.[cd]",
        ] {
            let (keys, _) = migrated(list);
            assert!(keys["source"].get("tables").is_none(), "{list}");
        }
        let (keys, _) = migrated("topic.prefix = shop\ncolumn.exclude.list = .*\\\\.t\\\\.card");
        assert_eq!(keys["source"]["tables"].to_string(), r#"["*.*"]"#);
        assert_eq!(keys["table"][0]["name"].as_str(), Some("*.t"));
    }

    #[test]
    fn a_file_that_would_write_other_records_or_topics_does_not_start() {
        for lines in [
            "transforms = outbox\ntransforms.outbox.type = io.debezium.transforms.outbox.EventRouter",
            "transforms = a\ntransforms.a.type = org.apache.kafka.connect.transforms.Filter",
            "transforms = a\ntransforms.a.type = io.debezium.transforms.ExtractNewRecordState",
            "transforms = a\ntransforms.a.type = org.apache.kafka.connect.transforms.RegexRouter\n\
             transforms.a.regex = .*tenant_(\\\\d+).*\ntransforms.a.replacement = x",
            "decimal.handling.mode = strange",
            "topic.naming.strategy = my.Own",
            "converters = isbn\nisbn.type = my.Own",
            "column.include.list = public.t.a",
            "value.converter = org.apache.kafka.connect.json.JsonConverter",
            "value.converter.value.subject.name.strategy = my.Own",
            "message.key.columns = (a|b.t:x",
            "debezium.transforms = outbox\ndebezium.transforms.outbox.type = io.debezium.transforms.outbox.EventRouter\n\
             debezium.format.key = avro\ndebezium.format.value = avro",
            "debezium.source.slot.name = s",
            "debezium.sink.type = pulsar\ndebezium.format.key = avro\ndebezium.format.value = avro",
        ] {
            let (keys, text) = migrated(&format!("topic.prefix = shop\n{lines}\n"));
            assert!(keys["source"].get("tables").is_none(), "{lines}:\n{text}");
            let blockers = text.find("# It does not start before").unwrap();
            let others = text.find("# To settle before the first start").unwrap();
            assert!(blockers < others, "{text}");
        }
    }

    #[test]
    fn what_has_a_key_is_mapped_and_starts() {
        let (keys, text) = migrated(
            "topic.prefix = shop\ntransforms = unwrap, route\n\
             transforms.unwrap.type = io.debezium.transforms.ExtractNewRecordState\n\
             transforms.unwrap.add.fields = op,lsn,ts_ms\ntransforms.unwrap.delete.tombstone.handling.mode = rewrite\n\
             transforms.route.type = io.debezium.transforms.ByLogicalTableRouter\n\
             transforms.route.topic.regex = (.*)\\\\.(.*)\\\\.(.*)\ntransforms.route.topic.replacement = $1.$3\n\
             topic.naming.strategy = io.debezium.schema.SchemaTopicNamingStrategy\ntime.precision.mode = adaptive_time_microseconds\n\
             value.converter.value.subject.name.strategy = io.confluent.kafka.serializers.subject.TopicRecordNameStrategy\n\
             message.key.columns = public.t:a\npoll.interval.ms = 5\nsnapshot.locking.mode = none\n",
        );
        assert_eq!(keys["format"]["envelope"].as_str(), Some("flat"));
        assert_eq!(keys["format"]["tombstones"].as_bool(), Some(false));
        assert_eq!(keys["format"]["headers"].as_bool(), Some(true));
        assert_eq!(
            keys["format"]["time"].as_str(),
            Some("adaptive-time-microseconds")
        );
        assert_eq!(
            keys["registry"]["subject_strategy"].as_str(),
            Some("topic-record")
        );
        assert!(keys["source"].get("tables").is_some(), "{text}");
        for table in keys["table"].as_array().unwrap() {
            assert_eq!(table["topic"].as_str(), Some("shop.{table}"), "{text}");
            assert_eq!(table["table_in_key"].as_bool(), Some(true));
        }
        let seen = text.find("consumers may see it").unwrap();
        let nothing = text.find("nothing to do").unwrap();
        let place = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part} is not in\n{text}"))
        };
        assert!(seen < place("snapshot.locking.mode") && place("snapshot.locking.mode") < nothing);
        assert!(nothing < place("poll.interval.ms"), "{text}");
    }

    #[test]
    fn the_configuration_of_another_connector_is_refused() {
        let error = from_debezium(
            "connector.class=io.debezium.connector.mysql.MySqlConnector",
            "f",
        );
        assert!(format!("{:#}", error.err().unwrap()).contains("MySqlConnector"));
        assert!(from_debezium("a=b", "f").is_err());
        assert!(from_debezium("", "f").is_err());
    }
}
