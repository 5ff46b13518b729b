//! The brokers by themselves: whether each can be reached where it says that it listens, and whether they carry transactions.
//!
//! Owns [`unreachable_brokers`] and [`broker_settings`]. Never an error where the right to ask for settings is missing.
//! Source: Kafka documentation, "Broker Configs".

use std::{
    collections::BTreeMap,
    net::{TcpStream, ToSocketAddrs},
    thread,
    time::Duration,
};

use rdkafka::{
    admin::{AdminOptions, ResourceSpecifier},
    metadata::{Metadata, MetadataBroker},
};
use walferry_event::Code;

use super::{
    concern::{Concern, Gravity},
    questions::{Admin, client, metadata},
    safety::TRANSACTIONS,
};
use crate::{Config, Error, config::TRANSACTION_TIMEOUT};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a broker may take to tell its settings.
const ANSWER: Duration = Duration::from_secs(2);
/// Addresses that are tried at the same time.
const AT_ONCE: usize = 16;

/// What a broker's settings say, by name.
type Settings = BTreeMap<String, String>;

/// The brokers that cannot be reached at the address that the cluster names for them, and how many there are in all. Every
/// client is sent there, whatever `kafka.brokers` says.
pub fn unreachable_brokers(config: &Config) -> Result<(Vec<Concern>, usize), Error> {
    let metadata = metadata(&client(config)?, None)?;
    let brokers: Vec<Listener> = metadata.brokers().iter().map(Listener::of).collect();
    let mut concerns = Vec::new();
    for some in brokers.chunks(AT_ONCE) {
        let reached: Vec<Result<(), String>> = thread::scope(|scope| {
            let tries: Vec<_> = some.iter().map(|it| scope.spawn(|| it.reach())).collect();
            let panicked = |_| Err("the attempt failed".to_owned());
            let tries = tries.into_iter();
            tries.map(|it| it.join().unwrap_or_else(panicked)).collect()
        });
        for (broker, reached) in some.iter().zip(reached) {
            if let Err(why) = reached {
                concerns.push(broker.unreached(&why));
            }
        }
    }
    Ok((concerns, brokers.len()))
}

/// Where the cluster says that a broker listens.
struct Listener {
    id: i32,
    host: String,
    port: u16,
}

impl Listener {
    fn of(broker: &MetadataBroker) -> Listener {
        Listener {
            id: broker.id(),
            host: broker.host().to_owned(),
            port: u16::try_from(broker.port()).unwrap_or(0),
        }
    }

    /// Tries each address that its name stands for.
    fn reach(&self) -> Result<(), String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses = found.map_err(|error| format!("the name does not resolve: {error}"))?;
        let mut why = "the name stands for no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(_) => return Ok(()),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    fn unreached(&self, why: &str) -> Concern {
        Concern {
            subject: format!("broker {}", self.id),
            gravity: Gravity::Stops,
            code: Code::KafkaUnreachable,
            message: format!(
                "cannot be reached at {}:{}, where the cluster says that it listens: {why}",
                self.host, self.port
            ),
            remedy: "bring it up; if it runs, let its advertised.listeners name an address that this machine reaches, or open \
                     the way there"
                .to_owned(),
            fix: Vec::new(),
        }
    }
}

/// What the brokers' settings do not allow that a transaction needs; nothing where they may not be asked for.
pub fn broker_settings(config: &Config) -> Result<Vec<Concern>, Error> {
    let admin = client(config)?;
    let metadata = metadata(&admin, None)?;
    let mut concerns = Vec::new();
    let told = ask(&admin, &metadata);
    // What topics to come are like is a matter of the cluster, which its brokers agree on.
    if let Some((_, settings)) = told.first() {
        concerns.extend(of_state(&metadata, settings));
        concerns.extend(of_new_topics(config, settings));
    }
    concerns.extend(
        told.iter()
            .filter_map(|(id, settings)| of_timeout(*id, settings)),
    );
    Ok(concerns)
}

/// Each broker's settings, as far as they may be known.
fn ask(admin: &Admin, metadata: &Metadata) -> Vec<(i32, Settings)> {
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let ids: Vec<i32> = metadata.brokers().iter().map(MetadataBroker::id).collect();
    let each: Vec<_> = ids
        .iter()
        .map(|id| [ResourceSpecifier::Broker(*id)])
        .collect();
    let asked = each.iter().map(|it| admin.describe_configs(it, &options));
    let asked: Vec<_> = asked.collect();
    let answers = asked.into_iter().map(futures_executor::block_on);
    let settings = ids.into_iter().zip(answers).filter_map(|(id, answer)| {
        let config = answer.ok()?.into_iter().next()?.ok()?;
        let entries = config.entries.into_iter();
        let known = entries
            .filter_map(|it| Some((it.name, it.value?)))
            .collect();
        Some((id, known))
    });
    settings.collect()
}

fn number(settings: &Settings, name: &str) -> Option<u64> {
    settings.get(name)?.parse().ok()
}

fn refused(subject: String, message: String, remedy: String) -> Concern {
    Concern {
        subject,
        gravity: Gravity::Stops,
        code: Code::TransactionsRefused,
        message,
        remedy,
        fix: Vec::new(),
    }
}

fn of_timeout(id: i32, settings: &Settings) -> Option<Concern> {
    const SETTING: &str = "transaction.max.timeout.ms";
    let needed = u64::try_from(TRANSACTION_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    let max = number(settings, SETTING).filter(|max| *max < needed)?;
    Some(refused(
        format!("broker {id}"),
        format!("has {SETTING} = {max}, and a transaction of ours may last {needed} ms"),
        format!("set {SETTING} to {needed} or more in its properties, and restart it"),
    ))
}

/// The topic that keeps the transactions is created by the first of them.
fn of_state(metadata: &Metadata, settings: &Settings) -> Option<Concern> {
    const SETTING: &str = "transaction.state.log.replication.factor";
    let brokers = metadata.brokers().len();
    let there = metadata.topics().iter().any(|it| it.name() == TRANSACTIONS);
    let wanted = number(settings, SETTING)?;
    let short = !there && wanted > u64::try_from(brokers).unwrap_or(u64::MAX);
    short.then(|| {
        refused(
            format!("topic {TRANSACTIONS}"),
            format!(
                "does not exist yet and cannot be created: the brokers have {SETTING} = {wanted}, and there are {brokers}"
            ),
            format!(
                "start as many brokers, or set {SETTING} and transaction.state.log.min.isr to what there are, and restart them"
            ),
        )
    })
}

/// A topic that is created with fewer replicas than have to have each record takes none.
fn of_new_topics(config: &Config, settings: &Settings) -> Option<Concern> {
    const IN_SYNC: &str = "min.insync.replicas";
    let own = config.topic_config.get(IN_SYNC);
    let min = match own {
        Some(own) => own.parse().ok()?,
        None => number(settings, IN_SYNC)?,
    };
    let replicas = match u64::try_from(config.topic_replication) {
        Ok(fixed) if fixed > 0 => fixed,
        _ => number(settings, "default.replication.factor")?,
    };
    (min > replicas).then(|| Concern {
        subject: "kafka.topics".to_owned(),
        gravity: Gravity::Stops,
        code: Code::TopicUnfit,
        message: format!(
            "topics to come would have {replicas} replicas and {IN_SYNC} = {min}, so that they would take no record of a \
             transaction"
        ),
        remedy: format!(
            "set kafka.topics.replication_factor to {} or more, or kafka.topics.config.\"{IN_SYNC}\" to {replicas} or less",
            min + 1
        ),
        fix: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    fn settings(all: &[(&str, &str)]) -> Settings {
        let all = all.iter();
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_transaction_that_the_brokers_would_not_let_last_is_told() {
        let name = "transaction.max.timeout.ms";
        assert!(of_timeout(1, &settings(&[(name, "900000")])).is_none());
        assert!(of_timeout(1, &settings(&[(name, "60000")])).is_none());
        assert!(of_timeout(1, &settings(&[])).is_none());
        let told = of_timeout(7, &settings(&[(name, "59999")])).unwrap();
        assert!(told.subject == "broker 7" && told.message.contains("59999"));
    }

    #[test]
    fn topics_to_come_have_as_many_replicas_as_have_to_have_each_record() {
        let found = |min, replicas| {
            settings(&[
                ("min.insync.replicas", min),
                ("default.replication.factor", replicas),
            ])
        };
        let mut config = example();
        assert!(of_new_topics(&config, &found("2", "1")).is_some());
        assert!(of_new_topics(&config, &found("2", "2")).is_none());
        config.topic_replication = 3;
        assert!(of_new_topics(&config, &found("2", "1")).is_none());
        config.topic_config = [("min.insync.replicas".to_owned(), "4".to_owned())].into();
        assert!(of_new_topics(&config, &found("1", "1")).is_some());
    }
}
