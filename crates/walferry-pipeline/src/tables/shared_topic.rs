//! Several tables with one topic: one subject each for keys and values, one order, one compaction.
//!
//! Owns the rules of what goes together. Never: asks the registry, touches a record.
//! Invariant: no two tables of a topic are streamed with keys of different schemas, where both are known.
//!
//! | of the tables of a topic | rule |
//! |---|---|
//! | keys | of the same columns, types and defaults, and told apart in all of them or in none; else refused |
//! | values | may differ: each form is a version of the subject, whose compatibility level decides in the registry |
//!
//! Start reading at `judge`.

use std::collections::BTreeMap;
use walferry_event::Code;

use walferry_postgres::{Catalog, TableInfo};

use crate::{
    config::{Config, Policy},
    error::Error,
    tables::{compile, plan::Plan},
};

/// What there is to say of a topic that several tables go to.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The topic.
    pub topic: String,
    /// What there is to say.
    pub message: String,
    /// How bad it is.
    pub weight: Weight,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// As it should be.
    Fine,
    /// Somebody should look at it.
    Look,
    /// They cannot share it.
    Refused,
}

/// A table of a topic.
struct Member {
    name: String,
    policy: Policy,
    /// Whether its keys tell it apart.
    apart: bool,
    key: Option<String>,
    value: String,
}

/// The tables whose records would go into another table's topic, or into one of the connector's own, without being sent
/// there: by oid, with what is in the way. Tables that are `published` already go before others, and older ones before
/// younger.
pub(crate) fn strangers(
    config: &Config,
    tables: &[TableInfo],
    published: impl Fn(&TableInfo) -> bool,
) -> BTreeMap<u32, String> {
    let mut ordered: Vec<&TableInfo> = tables.iter().collect();
    ordered.sort_by_key(|it| (!published(it), it.oid));
    let own = [
        (&config.kafka.checkpoint_topic, "the connector's checkpoint"),
        (&config.errors.dead_letter_topic, "dead letters"),
        (
            &config.transaction_topic(),
            "the beginnings and ends of transactions",
        ),
    ];
    let mut taken = BTreeMap::<String, Vec<&TableInfo>>::new();
    let mut strangers = BTreeMap::new();
    for table in ordered {
        let topic = config.topic(&table.schema, &table.name);
        let reserved = own.iter().find(|(name, _)| one_to_kafka(name, &topic));
        if let Some((name, what)) = reserved {
            let said = format!("its topic {topic:?} would be that of {what}, {name:?}");
            strangers.insert(table.oid, said);
            continue;
        }
        let beside = taken.entry(plain(&topic)).or_default();
        match beside.iter().find(|it| !together(config, it, table)) {
            Some(other) => {
                let (other_topic, name) = (
                    config.topic(&other.schema, &other.name),
                    other.qualified_name(),
                );
                let said = match other_topic == topic {
                    true => format!(
                        "its topic {topic:?} is the one of table {name}, and nothing sends both there"
                    ),
                    false => format!(
                        "its topic {topic:?} is to Kafka the same as {other_topic:?} of table {name}, because names that differ \
                         in . and _ alone collide"
                    ),
                };
                strangers.insert(table.oid, said);
            }
            None => beside.push(table),
        }
    }
    strangers
}

/// A topic's name as Kafka compares it with others: `.` and `_` are one in the names of its metrics.
fn plain(topic: &str) -> String {
    topic.replace('.', "_")
}

fn one_to_kafka(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// Whether the configuration sends both tables to one topic, and their keys, where they tell tables apart, do.
fn together(config: &Config, one: &TableInfo, other: &TableInfo) -> bool {
    let topic = |it: &TableInfo| config.topic(&it.schema, &it.name);
    let sent = |it: &TableInfo| {
        let own = config.table(&it.qualified_name())?.topic.as_deref()?;
        Some(!(own.contains("{schema}") && own.contains("{table}")))
    };
    let on_purpose = sent(one) == Some(true) || sent(other) == Some(true);
    let apart = |it: &TableInfo| config.physical_table(&it.schema, &it.name);
    let told_apart = apart(one).is_none_or(|name| apart(other) != Some(name));
    topic(one) == topic(other)
        && on_purpose
        && told_apart
        && config.whole_topic(&one.schema, &one.name)
            == config.whole_topic(&other.schema, &other.name)
}

/// Whether the followed tables can share their topics, as the catalog has them now.
pub(crate) async fn hold(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<(), Error> {
    for told in look(config, catalog, tables).await? {
        if told.weight == Weight::Refused {
            let Told { topic, message, .. } = told;
            return Err(Error::invalid(
                Code::SharedTopic,
                format!("topic {topic} {message}"),
            ));
        }
    }
    Ok(())
}

/// What there is to say of the topics that several of the tables go to.
pub async fn look(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<Vec<Told>, Error> {
    let mut topics = BTreeMap::<String, Vec<&TableInfo>>::new();
    for table in tables {
        let topic = config.topic(&table.schema, &table.name);
        topics.entry(topic).or_default().push(table);
    }
    let mut all = Vec::new();
    for (topic, tables) in topics.into_iter().filter(|(_, tables)| tables.len() > 1) {
        let mut members = Vec::with_capacity(tables.len());
        for table in tables {
            let version = compile::described(config, catalog, table).await?;
            let name = table.qualified_name();
            let compiled = compile::compile(config, &version, &[])
                .map_err(|error| error.context(format!("table {name}")))?;
            members.push(Member {
                policy: config.policy(&name),
                name,
                apart: config.physical_table(&table.schema, &table.name).is_some(),
                key: compiled.encode.key_schema().map(str::to_owned),
                value: compiled.encode.value_schema().to_owned(),
            });
        }
        all.extend(judge(&topic, &members));
    }
    Ok(all)
}

fn judge(topic: &str, members: &[Member]) -> Option<Told> {
    let (first, others) = members.split_first()?;
    let told = |weight, message: String| {
        Some(Told {
            topic: topic.to_owned(),
            message,
            weight,
        })
    };
    let names = || {
        let names: Vec<&str> = members.iter().map(|it| it.name.as_str()).take(4).collect();
        let more = if members.len() > names.len() {
            ", …"
        } else {
            ""
        };
        format!("{} tables ({}{more})", members.len(), names.join(", "))
    };
    if let Some(other) = others.iter().find(|it| it.apart != first.apart) {
        return told(
            Weight::Refused,
            format!(
                "is shared by tables {} and {}, and only the keys of one of them tell it apart; set table_in_key alike for both",
                first.name, other.name
            ),
        );
    }
    if let Some(other) = others.iter().find(|it| it.key != first.key) {
        let message = keys_differ(&first.name, &other.name);
        // A table with another policy may wait until the others have its key, too.
        let waits = members.iter().any(|it| it.policy != Policy::Stop);
        return match waits {
            false => told(Weight::Refused, message),
            true => told(
                Weight::Look,
                format!(
                    "{message}; until then the first one to come decides, and the others follow their policy"
                ),
            ),
        };
    }
    if !first.apart && first.key.is_some() {
        return told(
            Weight::Look,
            format!(
                "is shared by {}, whose keys do not tell them apart: rows of different tables with equal keys are one key to \
                 consumers and to compaction; set table_in_key = true, unless a column of the key does it",
                names()
            ),
        );
    }
    match others.iter().find(|it| it.value != first.value) {
        Some(other) => told(
            Weight::Look,
            format!(
                "is shared by {}, and the columns of {} and {} differ: each form is a version of the subject, as far as its \
                 compatibility level allows",
                names(),
                first.name,
                other.name
            ),
        ),
        None => told(
            Weight::Fine,
            format!("is shared by {}, with one schema", names()),
        ),
    }
}

/// The tables in use, by oid, whose keys do not go into one topic with those of a new version, and why.
pub(crate) fn other_keys<'a>(
    known: impl Iterator<Item = &'a Plan>,
    new: &Plan,
) -> Vec<(u32, String)> {
    let beside =
        known.filter(|it| it.topic == new.topic && it.name != new.name && it.refused.is_none());
    let others = beside.filter(|it| it.encode.key_schema() != new.encode.key_schema());
    let told = |it: &Plan| {
        let why = keys_differ(&it.name, &new.name);
        (it.table.relation.oid, format!("topic {} {why}", new.topic))
    };
    others.map(told).collect()
}

fn keys_differ(one: &str, other: &str) -> String {
    format!(
        "is shared by tables {one} and {other}, whose keys have different schemas; give both the same key (columns, types, \
         defaults), or topics of their own"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::selection::{has_many, may_meet};

    #[test]
    fn the_configuration_alone_says_whether_tables_may_meet() {
        for (pattern, topic, many) in [
            ("tenant_*.orders", "shop.orders", true),
            ("tenant_*.orders", "shop.{table}", true),
            ("tenant_*.*", "shop.{table}", true),
            ("tenant_*.*", "shop.{schema}.{table}", false),
            ("tenant_a.*", "shop.{table}", false),
            ("tenant_a.*", "shop.all", true),
            ("tenant_a.orders", "shop.orders", false),
        ] {
            assert_eq!(has_many(pattern, topic), many, "{pattern} {topic}");
        }
        for (one, other, meet) in [
            ("shop.orders", "shop.orders", true),
            ("shop.{table}", "shop.orders", true),
            ("shop.{table}", "shop.{table}", true),
            ("shop.{schema}.{table}", "shop.{schema}.{table}", false),
            ("shop.items", "shop.orders", false),
        ] {
            assert_eq!(may_meet(one, other), meet, "{one} {other}");
            assert_eq!(may_meet(other, one), meet, "{other} {one}");
        }
    }

    #[test]
    fn keys_have_to_be_alike_and_values_may_differ() {
        let member = |name: &str, apart, key: &str, value: &str| Member {
            name: name.into(),
            policy: Policy::Stop,
            apart,
            key: (!key.is_empty()).then(|| key.into()),
            value: value.into(),
        };
        let judged = |members: &[Member]| {
            let told = judge("t", members).unwrap();
            (told.weight, told.message)
        };
        let a = || member("a.t", true, "k", "v");
        assert_eq!(
            judged(&[a(), member("b.t", true, "k", "v")]).0,
            Weight::Fine
        );
        for (other, weight, said) in [
            (
                member("b.t", false, "k", "v"),
                Weight::Refused,
                "table_in_key",
            ),
            (
                member("b.t", true, "k2", "v"),
                Weight::Refused,
                "different schemas",
            ),
            (
                member("b.t", true, "", "v"),
                Weight::Refused,
                "different schemas",
            ),
            (
                member("b.t", true, "k", "v2"),
                Weight::Look,
                "version of the subject",
            ),
        ] {
            let (found, message) = judged(&[a(), other]);
            assert_eq!(found, weight, "{message}");
            assert!(
                message.contains(said) && message.contains("b.t"),
                "{message}"
            );
        }
        let waiting = Member {
            policy: Policy::Park,
            ..member("b.t", true, "k2", "v")
        };
        assert_eq!(judged(&[a(), waiting]).0, Weight::Look);
        let merged = [
            member("a.t", false, "k", "v"),
            member("b.t", false, "k", "v"),
        ];
        let (weight, message) = judged(&merged);
        assert!(
            weight == Weight::Look && message.contains("one key"),
            "{message}"
        );
    }
}
