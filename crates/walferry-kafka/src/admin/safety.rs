//! Whether what is committed can be lost with a broker: replicas, how many of them have to have a record, and elections.
//!
//! Owns [`topic_safety`]. Never changes a topic; never an error where the right to ask is missing, which is told.

use std::collections::HashMap;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::questions::{client, metadata, settings};
use crate::{Config, Error};

/// What is not safe about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// The topic.
    pub topic: String,
    /// What is wrong, and what to do.
    pub message: String,
    /// There is one broker, so that nothing else is to be had.
    pub alone: bool,
}

/// Where the brokers keep the transactions.
const TRANSACTIONS: &str = "__transaction_state";

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
        there.push(name);
        let replicas = topic.partitions().iter().map(|it| it.replicas().len());
        if replicas.min() == Some(1) {
            concerns.push(Concern {
                topic: name.to_owned(),
                message: format!(
                    "has one replica: with its broker what is committed can be lost{}",
                    match alone {
                        true => ", and there is only one broker".to_owned(),
                        false => format!(
                            "; raise its replication factor to 3 (kafka-reassign-partitions), and kafka.topics.replication_factor \
                             for topics to come{}",
                            of_transactions(name, "transaction.state.log.replication.factor")
                        ),
                    }
                ),
                alone,
            });
        }
    }
    let wanted = ["min.insync.replicas", "unclean.leader.election.enable"];
    match settings(&admin, &there, &wanted) {
        Ok(found) => concerns.extend(of_settings(&there, &found, alone)),
        Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            concerns.push(Concern {
                topic: there.first().map(|it| (*it).to_owned()).unwrap_or_default(),
                message: "its min.insync.replicas is not known, nor that of the others: grant DESCRIBE_CONFIGS on them \
                          (kafka-acls --add --allow-principal … --operation DescribeConfigs --topic …)"
                    .into(),
                alone: false,
            });
        }
        Err(code) => tracing::debug!(%code, "the settings of topics are not known"),
    }
    Ok(concerns)
}

fn of_transactions(topic: &str, setting: &str) -> String {
    match topic {
        TRANSACTIONS => format!("; for this one it is the brokers' {setting}"),
        _ => String::new(),
    }
}

fn of_settings(
    topics: &[&str],
    found: &HashMap<(String, String), String>,
    alone: bool,
) -> Vec<Concern> {
    let of = |topic: &str, name: &str| {
        let key = (topic.to_owned(), name.to_owned());
        found.get(&key).map(String::as_str)
    };
    let mut concerns = Vec::new();
    for topic in topics {
        let mut concern = |message: String| {
            concerns.push(Concern {
                topic: (*topic).to_owned(),
                message,
                alone,
            });
        };
        if of(topic, "min.insync.replicas") == Some("1") && !alone {
            concern(format!(
                "has min.insync.replicas = 1: what one broker alone has taken counts as committed, and is lost with it, after \
                 PostgreSQL was told to forget it; set it to 2 (kafka-configs --alter --topic {topic} --add-config \
                 min.insync.replicas=2){}",
                of_transactions(topic, "transaction.state.log.min.isr")
            ));
        }
        if of(topic, "unclean.leader.election.enable") == Some("true") {
            concern(format!(
                "has unclean.leader.election.enable = true: a broker that lacks committed records may lead it; set it to false \
                 (kafka-configs --alter --topic {topic} --add-config unclean.leader.election.enable=false)"
            ));
        }
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_can_lose_what_is_committed_is_told_with_the_remedy() {
        let found = [
            (("a", "min.insync.replicas"), "1"),
            (("b", "min.insync.replicas"), "2"),
            (("b", "unclean.leader.election.enable"), "true"),
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
        let told = of_settings(&["a", "b", TRANSACTIONS], &found, false);
        let topics: Vec<&str> = told.iter().map(|it| it.topic.as_str()).collect();
        assert_eq!(topics, ["a", "b", TRANSACTIONS]);
        assert!(told[0].message.contains("--topic a"), "{told:?}");
        assert!(
            told[2].message.contains("transaction.state.log.min.isr"),
            "{told:?}"
        );
        assert_eq!(
            of_settings(&["a"], &found, true).len(),
            0,
            "one broker has no second"
        );
    }
}
