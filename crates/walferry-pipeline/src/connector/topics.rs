//! The tables' topics, watched: whether each is still the one that it was when it was first written to, over as many partitions.
//!
//! Owns what is told of a topic that is another by now. Which topics those are, and what was accepted of them, is in the
//! checkpoint record (`topics`), and in `walferry_kafka::KnownTopics` while the connector runs. Never creates or changes a topic.
//! Invariant: a topic that was deleted and came back, however, is told of until its tables are read again.
//! Start reading at `begin`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time;
use walferry_kafka::{Checkpoint, Difference, TopicLook};
use walferry_postgres::TableInfo;

use crate::{
    blocking::blocking,
    config::{Config, InForce},
    position::published_record::Lack,
    status::Status,
};

/// How often the topics are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Tables (`schema.table`) and their topics.
pub(crate) type TableTopics = Arc<[(String, String)]>;

/// The topics of the tables that there are.
pub(crate) fn of(config: &Config, tables: &[TableInfo]) -> TableTopics {
    let topic = |it: &TableInfo| (it.qualified_name(), config.topic(&it.schema, &it.name));
    tables.iter().map(topic).collect()
}

/// Begins with what the checkpoint says of the topics, looks at them, and tells what is different.
pub(crate) async fn begin(
    config: &Arc<Config>,
    status: &Status,
    checkpoint: Option<&Checkpoint>,
    tables: &TableTopics,
) {
    let known = &config.kafka.topics;
    known.load(&checkpoint.map(|it| it.topics.clone()).unwrap_or_default());
    let side = [
        config.errors.dead_letter_topic.clone(),
        config.transaction_topic(),
        config.message_topic(),
    ];
    known.retain(|topic| {
        side.iter().any(|it| it == topic) || tables.iter().any(|(_, it)| it == topic)
    });
    let kafka = config.kafka.clone();
    let looked = blocking("looking at topics", move || {
        Ok(TopicLook::new(&kafka)?.look()?)
    });
    if let Err(error) = looked.await {
        tracing::warn!(%error, "whether the topics are those of before is not known yet");
    }
    tell(config, status, tables, &mut BTreeMap::new());
}

/// Looks at the topics until the ring ends.
pub(crate) async fn watch(config: InForce, status: Arc<Status>, tables: TableTopics) {
    let mut told = BTreeMap::new();
    let mut look: Option<Arc<TopicLook>> = None;
    loop {
        time::sleep(EVERY).await;
        let config = config.now();
        let kafka = config.kafka.clone();
        let open = look.take();
        let looked = blocking("looking at topics", move || {
            let open = match open {
                Some(open) => open,
                None => Arc::new(TopicLook::new(&kafka)?),
            };
            open.look()?;
            Ok(open)
        });
        match looked.await {
            Ok(open) => look = Some(open),
            // That Kafka does not answer is told by the monitor.
            Err(error) => tracing::debug!(%error, "looking at topics"),
        }
        let mut all: Vec<(String, String)> = tables.to_vec();
        all.extend(status.table_topics());
        tell(&config, &status, &all, &mut told);
    }
}

/// What is different, at each of the topic's tables; and no more what was told before and is not so any longer.
fn tell(
    config: &Config,
    status: &Status,
    tables: &[(String, String)],
    told: &mut BTreeMap<String, String>,
) {
    let differences = config.kafka.topics.differences();
    let mut found = BTreeMap::new();
    for (table, topic) in tables {
        if let Some(difference) = differences.get(topic) {
            found.insert(table.clone(), reason(table, topic, difference));
        }
    }
    let seen = status.findings.told();
    let ours = |table: &str, told: &BTreeMap<String, String>| match seen.get(table) {
        Some(finding) => told.get(table) == Some(&finding.reason),
        None => true,
    };
    for (table, (lack, reason)) in &found {
        // What somebody else has found of the table is not hidden.
        if ours(table, told) {
            status.findings.set(table, *lack, reason.clone());
            told.insert(table.clone(), reason.clone());
        }
    }
    told.retain(|table, reason| {
        let gone = !found.contains_key(table);
        if gone && seen.get(table).is_some_and(|it| it.reason == *reason) {
            status.findings.clear(table);
        }
        !gone
    });
}

fn reason(table: &str, topic: &str, difference: &Difference) -> (Lack, String) {
    match difference {
        Difference::Replaced => (
            Lack::Incomplete,
            format!(
                "its topic {topic:?} was deleted and created again, so that its records from before are gone: `walferry resync \
                 {table} -c FILE` publishes its rows again"
            ),
        ),
        Difference::Gone => (
            Lack::Incomplete,
            format!(
                "its topic {topic:?} was deleted, and its records with it: it is created again with the next change; `walferry \
                 resync {table} -c FILE` publishes its rows again"
            ),
        ),
        Difference::Partitions { accepted, found } => (
            Lack::Uneven,
            format!(
                "its topic {topic:?} has {found} partitions and had {accepted} when it was first written to: keys stay in the \
                 {accepted} that they were spread over, so that the order of each is kept, and the others get records without a \
                 key only; to spread keys over all of them, delete the topic and run `walferry resync {table} -c FILE`, or name another \
                 topic for the table"
            ),
        ),
    }
}
