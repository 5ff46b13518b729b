//! Whether what is committed can be lost with a broker: replicas, how many of them have to have a record, and elections.
//!
//! Owns [`topic_safety`]. Never changes a topic; never an error where the right to ask is missing, which `rights` tells.

use std::collections::HashMap;

use walferry_event::Code;

use super::{
    commands::alter_line,
    concern::{Concern, Gravity},
    questions::{client, metadata, settings},
};
use crate::{Config, Error};

/// Where the brokers keep the transactions.
pub(super) const TRANSACTIONS: &str = "__transaction_state";

/// Settings, by topic and name.
type Settings = HashMap<(String, String), String>;

/// What is not safe about those of `topics` that exist, and about the one that keeps the transactions.
pub fn topic_safety(config: &Config, topics: &[&str]) -> Result<Vec<Concern>, Error> {
    let admin = client(config)?;
    let metadata = metadata(&admin, None)?;
    let alone = metadata.brokers().len() <= 1;
    let mut concerns = Vec::new();
    let mut there = Vec::new();
    for topic in metadata.topics() {
        let name = topic.name();
        if name != TRANSACTIONS && !topics.contains(&name) {
            continue;
        }
        let replicas = topic.partitions().iter().map(|it| it.replicas().len());
        let replicas = replicas.min().unwrap_or(0);
        there.push((name, replicas));
        if replicas == 1 {
            concerns.push(single(name, alone));
        }
    }
    let names: Vec<&str> = there.iter().map(|(name, _)| *name).collect();
    let wanted = ["min.insync.replicas", "unclean.leader.election.enable"];
    match settings(&admin, &names, &wanted) {
        Ok(found) => concerns.extend(of_settings(config, &there, &found)),
        Err(code) => tracing::debug!(%code, "the settings of topics are not known"),
    }
    Ok(concerns)
}

/// One replica. With one broker nothing better is to be had.
fn single(topic: &str, alone: bool) -> Concern {
    let message = "has one replica: with its broker what is committed can be lost";
    if alone {
        let message = format!("{message}, and there is only one broker");
        return Concern::of_topic(topic, Gravity::Fine, Code::TopicUnsafe, message);
    }
    Concern::of_topic(topic, Gravity::Look, Code::TopicUnsafe, message).remedy(format!(
        "raise its replication factor to 3 (kafka-reassign-partitions), and kafka.topics.replication_factor for topics to \
         come{}",
        of_transactions(topic, "transaction.state.log.replication.factor")
    ))
}

fn of_transactions(topic: &str, setting: &str) -> String {
    match topic {
        TRANSACTIONS => format!("; for this one it is the brokers' {setting}"),
        _ => String::new(),
    }
}

/// What follows from the settings of topics with so many replicas.
fn of_settings(config: &Config, topics: &[(&str, usize)], found: &Settings) -> Vec<Concern> {
    let of = |topic: &str, name: &str| {
        let key = (topic.to_owned(), name.to_owned());
        found.get(&key).map(String::as_str)
    };
    let mut concerns = Vec::new();
    for (topic, replicas) in topics {
        let in_sync = of(topic, "min.insync.replicas").and_then(|it| it.parse::<usize>().ok());
        let mut set = |name: &str, value: &str, concern: Concern| {
            let line = alter_line(config, topic, &[(name, value)]);
            concerns.push(concern.fix(line));
        };
        if let Some(min) = in_sync.filter(|min| min > replicas && *replicas > 0) {
            let message = format!(
                "has min.insync.replicas = {min} and {replicas} replicas, so that it takes no record of a transaction at all"
            );
            let concern =
                Concern::of_topic(topic, Gravity::Stops, Code::TopicUnfit, message).remedy(format!(
                    "set min.insync.replicas to less than its replicas, or give it more (kafka-reassign-partitions){}",
                    of_transactions(topic, "transaction.state.log.min.isr")
                ));
            let value = replicas.saturating_sub(1).max(1).to_string();
            set("min.insync.replicas", &value, concern);
        }
        if in_sync == Some(1) && *replicas > 1 {
            let message = "has min.insync.replicas = 1: what one broker alone has taken counts as committed, and is lost with it, \
                           after PostgreSQL was told to forget it";
            let concern = Concern::of_topic(topic, Gravity::Look, Code::TopicUnsafe, message)
                .remedy(format!(
                    "set it to 2{}",
                    of_transactions(topic, "transaction.state.log.min.isr")
                ));
            set("min.insync.replicas", "2", concern);
        }
        if of(topic, "unclean.leader.election.enable") == Some("true") {
            let message = "has unclean.leader.election.enable = true: a broker that lacks committed records may lead it";
            let concern = Concern::of_topic(topic, Gravity::Look, Code::TopicUnsafe, message)
                .remedy("set it to false");
            set("unclean.leader.election.enable", "false", concern);
        }
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    #[test]
    fn a_topic_that_can_lose_what_is_committed_is_told_with_the_line_that_mends_it() {
        let found = [
            (("a", "min.insync.replicas"), "1"),
            (("b", "min.insync.replicas"), "2"),
            (("b", "unclean.leader.election.enable"), "true"),
            (("c", "min.insync.replicas"), "3"),
            ((TRANSACTIONS, "min.insync.replicas"), "1"),
        ];
        let found = found
            .iter()
            .map(|((topic, name), value)| {
                (
                    ((*topic).to_owned(), (*name).to_owned()),
                    (*value).to_owned(),
                )
            })
            .collect();
        let topics = [("a", 3), ("b", 3), ("c", 2), (TRANSACTIONS, 3)];
        let told = of_settings(&example(), &topics, &found);
        let subjects: Vec<&str> = told.iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(
            subjects,
            ["topic a", "topic b", "topic c", "topic __transaction_state"]
        );
        for (concern, part) in told.iter().zip([
            "--entity-name a --add-config min.insync.replicas=2",
            "--entity-name b --add-config unclean.leader.election.enable=false",
            "--entity-name c --add-config min.insync.replicas=1",
            "--entity-name __transaction_state --add-config min.insync.replicas=2",
        ]) {
            assert!(concern.fix[0].ends_with(part), "{concern:?}");
        }
        assert_eq!(told[2].gravity, Gravity::Stops);
        assert!(told[3].remedy.contains("transaction.state.log.min.isr"));
        // One replica has no second: nothing that a setting mends.
        assert_eq!(of_settings(&example(), &[("a", 1)], &found), []);
    }
}
