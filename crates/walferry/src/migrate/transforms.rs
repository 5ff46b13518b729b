//! Single message transforms: those that Walferry has a key for become it, any other holds up the start.
//!
//! Owns the chain. Invariant: a configuration whose records or topics would be others without a transform does not start until
//! somebody has settled it.
//! Source: Debezium's documentation, "New Record State Extraction", "Topic Routing", "Outbox Event Router"; Kafka Connect, "RegexRouter".
//! Start reading at `transforms`.

use std::collections::BTreeMap;

use toml::Value;

use super::Migration;

const UNWRAP: &str = "io.debezium.transforms.ExtractNewRecordState";
const REGEX: &str = "org.apache.kafka.connect.transforms.RegexRouter";
const LOGICAL: &str = "io.debezium.transforms.ByLogicalTableRouter";
const OUTBOX: &str = "io.debezium.transforms.outbox.EventRouter";

/// What a router makes of topics: the tables that it takes, and their topic.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    tables: String,
    topic: String,
}

impl Migration {
    pub(super) fn transforms(&mut self, prefix: &str) {
        let chain = self.take("transforms").unwrap_or_default();
        let names: Vec<String> = chain
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        for name in &names {
            let mut options = self.options(&format!("transforms.{name}."));
            let class = options.remove("type").unwrap_or_default();
            if options.remove("predicate").is_some() {
                options.remove("negate");
                self.hold(format!(
                    "transforms.{name} is for some records only (predicate), which has no counterpart; it is taken for all"
                ));
            }
            match class.as_str() {
                UNWRAP => self.unwrap(name, &options),
                REGEX | LOGICAL => {
                    let (regex, replacement) = match class.as_str() {
                        REGEX => ("regex", "replacement"),
                        _ => ("topic.regex", "topic.replacement"),
                    };
                    let of = |key: &str| options.get(key).cloned().unwrap_or_default();
                    match route(&of(regex), &of(replacement), prefix) {
                        Some(found) => self.route(name, &class, &options, found),
                        None => self.hold(format!(
                            "transforms.{name} sends {:?} to {:?}, which no topic of a [[table]] says by itself: write one for \
                             each table",
                            of(regex),
                            of(replacement)
                        )),
                    }
                }
                OUTBOX => self.hold(format!(
                    "transforms.{name} is the outbox EventRouter: topics, keys and values come out of columns there, and here \
                     they do not. Leave the outbox table to Debezium, or let its consumers read the table's own topic"
                )),
                other => self.hold(format!(
                    "transforms.{name} ({other}) changes records or topics and has no counterpart"
                )),
            }
        }
        // Of those that are not in the chain nothing is used.
        for property in self.options("transforms.").into_keys() {
            self.lacks(
                &format!("transforms.{property}"),
                "it is not in the chain of transforms",
            );
        }
        for property in self.options("predicates").into_keys() {
            self.lacks(
                &format!("predicates{property}"),
                "see what is said of transforms",
            );
        }
    }

    /// Takes the properties with this beginning, by what stands behind it.
    fn options(&mut self, beginning: &str) -> BTreeMap<String, String> {
        let ours = |name: &String| name.strip_prefix(beginning).map(str::to_owned);
        let names: Vec<(String, String)> = self
            .left
            .keys()
            .filter_map(|name| Some((name.clone(), ours(name)?)))
            .collect();
        names
            .into_iter()
            .filter_map(|(name, short)| Some((short, self.take(&name)?)))
            .collect()
    }

    /// A flat record has four fields more than the row, and a delete has the old row.
    fn unwrap(&mut self, name: &str, options: &BTreeMap<String, String>) {
        self.set("format", "envelope", "flat");
        let of = |key: &str| options.get(key).map(String::as_str);
        let rewrites = [
            of("delete.handling.mode"),
            of("delete.tombstone.handling.mode"),
        ]
        .iter()
        .flatten()
        .any(|mode| mode.starts_with("rewrite"));
        let mut fields: Vec<&str> = of("add.fields")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .collect();
        fields.sort_unstable();
        let alike = rewrites
            && (fields == ["lsn", "op", "ts_ms"] || fields == ["lsn", "op", "source.ts_ms"]);
        if !alike {
            self.hold(format!(
                "transforms.{name} becomes format.envelope = \"flat\": its records have the fields __op, __lsn, __ts_ms and \
                 __deleted beside the row, and a delete is a record with the old row. Consumers have to bear that"
            ));
        }
        if of("drop.tombstones") == Some("true")
            || of("delete.tombstone.handling.mode") == Some("rewrite")
        {
            self.set("format", "tombstones", false);
        }
        const KNOWN: [&str; 4] = [
            "delete.handling.mode",
            "delete.tombstone.handling.mode",
            "add.fields",
            "drop.tombstones",
        ];
        for option in options.keys().filter(|it| !KNOWN.contains(&it.as_str())) {
            self.hold(format!("transforms.{name}.{option} has no counterpart"));
        }
    }

    fn route(&mut self, name: &str, class: &str, options: &BTreeMap<String, String>, found: Route) {
        let own = options.keys().filter(|key| key.starts_with("key.field."));
        for option in own.cloned().collect::<Vec<_>>() {
            self.hold(format!(
                "transforms.{name}.{option} has no counterpart: keys would be others"
            ));
        }
        let in_key = class == LOGICAL
            && options.get("key.enforce.uniqueness").map(String::as_str) != Some("false");
        let others: Vec<String> = self.tables.keys().cloned().collect();
        if found.tables != "*.*" && !others.is_empty() {
            self.hold(format!(
                "transforms.{name}: a [[table]] that is named below has its own topic only where it says so; look at each"
            ));
        }
        for table in others.iter().chain([&found.tables]) {
            let keys = self.tables.entry(table.clone()).or_default();
            keys.retain(|(key, _)| !matches!(*key, "topic" | "table_in_key"));
            keys.push(("topic", Value::from(found.topic.as_str())));
            keys.push(("table_in_key", Value::from(in_key)));
        }
    }
}

/// What `prefix.schema.table` becomes, where the expression takes it apart at its dots.
fn route(regex: &str, replacement: &str, prefix: &str) -> Option<Route> {
    let regex = regex.trim_start_matches('^');
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    let parts: Vec<&str> = regex.split("\\.").collect();
    let [first, schema, table] = parts.as_slice() else {
        return None;
    };
    let (mut groups, mut names) = (Vec::new(), Vec::new());
    for (part, stands_for) in [(first, prefix), (schema, "{schema}"), (table, "{table}")] {
        let inner = part.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
        let name = match inner.unwrap_or(part) {
            ".*" | ".+" | "[^.]+" | "[^.]*" | "[^\\.]+" => "*",
            literal if plain(literal) => literal,
            _ => return None,
        };
        if inner.is_some() {
            groups.push(if name == "*" { stands_for } else { name });
        }
        names.push(name);
    }
    if names[0] != "*" && names[0] != prefix {
        return None;
    }
    let mut topic = replacement.to_owned();
    for (number, group) in groups.iter().enumerate().rev() {
        topic = topic.replace(&format!("${}", number + 1), group);
        topic = topic.replace(&format!("${{{}}}", number + 1), group);
    }
    let left = topic.replace("{schema}", "").replace("{table}", "");
    let says = !left.is_empty() || topic != left;
    (says && plain(&left.replace('.', ""))).then(|| Route {
        tables: format!("{}.{}", names[1], names[2]),
        topic,
    })
}

fn plain(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_topic_of_a_table_can_say_is_said_and_no_more() {
        for (regex, replacement, expected) in [
            (r"([^.]+)\.([^.]+)\.([^.]+)", "$3", Some(("*.*", "{table}"))),
            (
                r"shop\.public\.(.*)",
                "shop_$1",
                Some(("public.*", "shop_{table}")),
            ),
            (
                r"^(.*)\.(.*)\.(.*)$",
                "$1.$3",
                Some(("*.*", "shop.{table}")),
            ),
            (
                r"(shop)\.(.*)\.orders",
                "$1.all_${2}",
                Some(("*.orders", "shop.all_{schema}")),
            ),
            (r"(.*)\.tenant_.*\.(.*)", "$2", None),
            (r"other\.public\.(.*)", "$1", None),
            (r"(.*)", "x", None),
            (r"(.*)\.(.*)\.(.*)", "$9", None),
            ("", "", None),
        ] {
            let found = route(regex, replacement, "shop");
            let found = found
                .as_ref()
                .map(|it| (it.tables.as_str(), it.topic.as_str()));
            assert_eq!(found, expected, "{regex}");
        }
    }
}
