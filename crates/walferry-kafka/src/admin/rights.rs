//! Which rights on topics, group and transactional id are missing, and the line that grants each.
//!
//! Owns [`missing_rights`]. Never uses a right to find out: WRITE on the transactional id cannot be asked for without ending a
//! connector that runs, so where others are missing it is told as one that is most likely missing too.
//! Source: Kafka documentation, "Authorization and ACLs", operations and resources of each request.

use rdkafka::error::RDKafkaErrorCode;
use walferry_event::Code;

use super::{
    commands::{Resource, allow_line},
    concern::{Concern, Gravity},
    questions::{ANSWER, client, failed},
};
use crate::{
    Config, Error,
    native::{Operation, describe_group, describe_topics},
};

/// What the checkpoint topic is used for.
const OF_CHECKPOINT: [Operation; 4] = [
    Operation::Read,
    Operation::Write,
    Operation::Describe,
    Operation::DescribeConfigs,
];
/// What every other topic is used for.
const OF_DATA: [Operation; 3] = [
    Operation::Write,
    Operation::Describe,
    Operation::DescribeConfigs,
];

/// The rights that are missing on `topics`, whether they exist or not, and on the connector's group. A topic that does not
/// exist and whose absence may be seen tells nothing.
pub fn missing_rights(config: &Config, topics: &[&str]) -> Result<Vec<Concern>, Error> {
    let admin = client(config)?;
    let answers = describe_topics(admin.inner(), topics, ANSWER).map_err(|code| {
        let error = rdkafka::error::KafkaError::AdminOp(code);
        failed(&admin, "what may be done with topics", &error)
    })?;
    let mut concerns = Vec::new();
    for (topic, answer) in answers {
        let needed: &[Operation] = match topic == config.checkpoint_topic {
            true => &OF_CHECKPOINT,
            false => &OF_DATA,
        };
        let allowed = match answer {
            // Who may do anything with a topic may see it.
            Err(RDKafkaErrorCode::TopicAuthorizationFailed) => Some(Vec::new()),
            Err(_) => None,
            Ok(described) => described.allowed,
        };
        let Some(allowed) = allowed else { continue };
        let lacks = lacks(needed, &allowed);
        // Nothing is written without the first three; what settings are is only told.
        let gravity = match lacks.iter().all(|it| *it == Operation::DescribeConfigs) {
            true => Gravity::Look,
            false => Gravity::Stops,
        };
        if !lacks.is_empty() {
            let line = granted(config, Resource::Topic(&topic), &lacks);
            let message = said(&lacks, "it");
            concerns.push(
                Concern::of_topic(&topic, gravity, Code::KafkaDenied, message)
                    .remedy("grant it, or let an administrator run the line below")
                    .fix(line),
            );
        }
    }
    let group = match describe_group(admin.inner(), &config.group(), ANSWER) {
        Ok(allowed) => allowed,
        Err(RDKafkaErrorCode::GroupAuthorizationFailed) => Some(Vec::new()),
        Err(code) => {
            tracing::debug!(%code, "what may be done with the group is not known");
            None
        }
    };
    let lacks = lacks(&[Operation::Read], &group.unwrap_or(vec![Operation::Read]));
    if !lacks.is_empty() {
        concerns.push(Concern {
            subject: format!("group {}", config.group()),
            gravity: Gravity::Stops,
            code: Code::KafkaDenied,
            message: said(&lacks, "the group of those who read the checkpoint"),
            remedy: "grant it, or let an administrator run the line below".to_owned(),
            fix: vec![granted(config, Resource::Group, &lacks)],
        });
    }
    if !concerns.is_empty() {
        concerns.push(of_transactional_id(config));
    }
    Ok(concerns)
}

fn of_transactional_id(config: &Config) -> Concern {
    let id = config.transactional_id();
    let needed = [Operation::Write, Operation::Describe];
    Concern {
        subject: format!("transactional id {id}"),
        gravity: Gravity::Look,
        code: Code::KafkaDenied,
        message: "whether WRITE and DESCRIBE on it are granted cannot be asked for without ending a connector that runs; \
                  other rights are missing, so these most likely are, too"
            .to_owned(),
        remedy: "grant them; to grant what is granted changes nothing".to_owned(),
        fix: vec![granted(config, Resource::TransactionalId, &needed)],
    }
}

fn lacks(needed: &[Operation], allowed: &[Operation]) -> Vec<Operation> {
    let needed = needed.iter().copied();
    needed.filter(|it| !allowed.contains(it)).collect()
}

fn said(lacks: &[Operation], on: &str) -> String {
    let names = lacks.iter().map(|it| in_capitals(*it));
    let names: Vec<&str> = names.collect();
    let is = if names.len() == 1 { "is" } else { "are" };
    format!("{} on {on} {is} not granted", names.join(" and "))
}

/// As Kafka's documentation has it.
fn in_capitals(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "READ",
        Operation::Write => "WRITE",
        Operation::Describe => "DESCRIBE",
        Operation::DescribeConfigs => "DESCRIBE_CONFIGS",
    }
}

fn granted(config: &Config, on: Resource<'_>, lacks: &[Operation]) -> String {
    let names: Vec<&str> = lacks.iter().map(|it| it.name()).collect();
    allow_line(config, on, &names)
}
