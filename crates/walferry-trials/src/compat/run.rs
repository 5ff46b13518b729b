//! One group of cases, followed by all sides at once.
//!
//! Owns: a database for the group, the connectors of both passes and Debezium's, the rounds of SQL, what was published.
//! Never: compares; see `difference`.
//! Invariants: SQL of a round runs only when every side has published all of the round before; a marker row that each
//! side must show proves it. Nothing that a group makes in PostgreSQL but its database is left behind.
//! Start reading at [`Bench::group`].

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::canonical::{self, Topic};
use super::corpus::{Case, Group};
use super::debezium::{Debezium, Place};
use super::recording::Recorded;
use super::topic::Topics;
use walferry_stack::Coordinates;
use walferry_testkit::checker::{Session, quote_identifier, quote_literal};
use walferry_testkit::load;
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::{Reader, key_long, topic_name};

/// Where groups run.
pub struct Bench<'a> {
    /// Servers, which others may use too.
    pub servers: &'a Coordinates,
    /// Root of the REST interface of Debezium's worker, on the same Kafka; without it only Walferry runs.
    pub worker: Option<String>,
    /// For logs.
    pub folder: PathBuf,
}

/// What each side has published.
#[derive(Debug)]
pub struct Published {
    /// Debezium, if it ran.
    pub debezium: Option<Recorded>,
    /// Walferry with all quirks.
    pub all: Recorded,
    /// Walferry without any.
    pub none: Recorded,
}

/// One connector.
struct Side {
    prefix: String,
    slot: String,
    connector: Connector,
}

enum Connector {
    Debezium(Debezium),
    Walferry(Box<Walferry>),
}

impl Bench<'_> {
    /// Runs a group.
    pub fn group(&self, group: &Group) -> Result<Published> {
        let name = format!(
            "compat_{}_{}",
            group.name.replace('-', "_"),
            std::process::id()
        );
        let url = load::create_database(&self.servers.postgres_url, &name)?;
        prepare(&url)?;
        for case in &group.cases {
            for schema in &case.schemas {
                let sql = format!("create schema if not exists {}", quote_identifier(schema));
                Session::connect(&url)?.execute(&sql)?;
            }
            execute(&url, case, &case.setup)?;
        }
        let mut sides = Vec::new();
        if let Some(worker) = &self.worker {
            sides.push(self.debezium(worker, &url, group)?);
        }
        sides.push(self.walferry(&url, group, "all")?);
        sides.push(self.walferry(&url, group, "none")?);
        let outcome = self.rounds(&url, group, &mut sides);
        let slots: Vec<String> = sides.iter().map(|side| side.slot.clone()).collect();
        drop(sides);
        for slot in slots {
            // One that was never created is not there.
            let _ = load::drop_slot(&url, &slot);
        }
        outcome
    }

    fn debezium(&self, worker: &str, url: &str, group: &Group) -> Result<Side> {
        let prefix = prefix(group, "dbz");
        let place = Place {
            url,
            registry: &self
                .servers
                .registry_url
                .replace("/ccompat/v7", "/registry/v2"),
            prefix: &prefix,
            slot: &prefix,
        };
        let connector = Connector::Debezium(Debezium::start(worker, &place, group)?);
        let slot = prefix.clone();
        Ok(Side {
            prefix,
            slot,
            connector,
        })
    }

    fn walferry(&self, url: &str, group: &Group, pass: &str) -> Result<Side> {
        let prefix = prefix(group, pass);
        let servers = self.servers;
        let mut settings = Settings::new(
            &prefix,
            url,
            &["*.*"],
            &servers.kafka_brokers,
            &prefix,
            &servers.registry_url,
        )?;
        settings
            // As many as Debezium has: several read tables of one topic in any order.
            .set("snapshot.readers", "1")
            .set_text("errors.policy", "dead-letter")
            .set("publish.commit_interval_ms", "20")
            .set("kafka.topics.partitions", &group.partitions.to_string());
        if pass == "all" {
            settings.set("format.quirks", "[\"all\"]");
        }
        for (path, literal) in &group.walferry {
            settings.set(path, literal.as_str().unwrap_or_default());
        }
        // What Debezium publishes is compared, tables whose rows cannot be changed then among them.
        settings.without_identity(&["*.*"]);
        for table in &group.tables {
            settings.table(&table.replace("{prefix}", &prefix));
        }
        // Of all tables, as Debezium's is by default, so that both follow one that is created later.
        let publication = format!("walferry_{prefix}");
        Session::connect(url)?.execute(&format!(
            "create publication {publication} for all tables with (publish_via_partition_root = {})",
            group.via_root
        ))?;
        let process = Walferry::start(&settings, &self.folder)?;
        Ok(Side {
            slot: publication,
            prefix,
            connector: Connector::Walferry(Box::new(process)),
        })
    }

    fn rounds(&self, url: &str, group: &Group, sides: &mut [Side]) -> Result<Published> {
        let mut session = Session::connect(url)?;
        for side in &mut *sides {
            let question = format!(
                "select 1 from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid \
                 where s.slot_name = {} and r.state = 'streaming'",
                quote_literal(&side.slot)
            );
            side.wait("streaming", || Ok(session.value(&question)?.is_some()))?;
        }
        let rounds = group
            .cases
            .iter()
            .map(|case| case.steps.len())
            .max()
            .unwrap_or(0);
        for round in 0..=rounds {
            for case in group.cases.iter().filter(|_| round > 0) {
                if let Some(step) = case.steps.get(round - 1) {
                    execute(url, case, step)?;
                }
            }
            let marker = round as i64 + 1;
            session.execute(&format!("insert into public.{MARKER} values ({marker})"))?;
            for side in &mut *sides {
                let topic = format!("{}.public.{MARKER}", side.prefix);
                side.wait(&format!("at marker {marker}"), || {
                    self.shows(&topic, marker)
                })?;
            }
        }
        let servers = self.servers;
        let mut topics = Topics::new(&servers.kafka_brokers, &servers.registry_url);
        let mut published = sides.iter().map(|side| read(&mut topics, side, group));
        let debezium = match &self.worker {
            Some(_) => published.next().transpose()?,
            None => None,
        };
        let mut next = || published.next().context("both passes run")?;
        Ok(Published {
            debezium,
            all: next()?,
            none: next()?,
        })
    }

    fn shows(&self, topic: &str, marker: i64) -> Result<bool> {
        let mut found = false;
        Reader::open(&self.servers.kafka_brokers, &[topic.to_owned()])?.read_to_end(|message| {
            found |= key_long(message) == Some(marker);
            Ok(())
        })?;
        Ok(found)
    }
}

impl Side {
    /// Asks until the answer is yes.
    fn wait(&mut self, what: &str, mut ask: impl FnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !ask()? {
            let failure = match &mut self.connector {
                Connector::Debezium(connector) => connector.failure(),
                Connector::Walferry(process) => process.exited().map(|_| process.log_tail()),
            };
            if let Some(failure) = failure {
                bail!("{} ended instead of: {what}\n{failure}", self.prefix);
            }
            if begun.elapsed() > PATIENCE {
                let log = match &self.connector {
                    Connector::Debezium(_) => "its log is the worker's".to_owned(),
                    Connector::Walferry(process) => process.log_tail(),
                };
                bail!("{} is not {what} within {PATIENCE:?}\n{log}", self.prefix);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

fn prefix(group: &Group, side: &str) -> String {
    // No part of a case's data looks like it.
    format!(
        "zq{side}_{}_{}",
        group.name.replace('-', "_"),
        std::process::id()
    )
}

/// Extensions and types that cases share, and the marker.
fn prepare(url: &str) -> Result<()> {
    let mut session = Session::connect(url)?;
    for sql in COMMON.split(";;") {
        session.execute(sql)?;
    }
    session.execute(&format!(
        "create table public.{MARKER} (id int primary key); insert into public.{MARKER} values (0)"
    ))
}

fn execute(url: &str, case: &Case, statements: &[String]) -> Result<()> {
    let mut session = Session::connect(url)?;
    let own = quote_identifier(case.schemas.first().context("a case has a schema")?);
    session.execute(&format!("set search_path to {own}, public"))?;
    for statement in statements {
        session
            .execute(statement)
            .with_context(|| format!("case {}: {statement}", case.name))?;
    }
    Ok(())
}

/// Topics by case; those of no case come last.
fn read(topics: &mut Topics<'_>, side: &Side, group: &Group) -> Result<Recorded> {
    let mut all: Vec<Topic> = Vec::new();
    for (name, raw) in topics.read(&side.prefix)? {
        let ours = name == format!("public.{MARKER}");
        if !ours && !raw.is_empty() {
            all.push(canonical::topic(&name, &raw, &side.prefix, group.markers));
        }
    }
    let mut recorded = Vec::new();
    for case in &group.cases {
        let (own, rest) = all
            .into_iter()
            .partition(|it: &Topic| belongs(case, &it.name));
        all = rest;
        recorded.push((case.name.clone(), own));
    }
    if !all.is_empty() {
        recorded.push((OTHERS.to_owned(), all));
    }
    Ok(recorded)
}

fn belongs(case: &Case, topic: &str) -> bool {
    let schema = topic.split('.').next().unwrap_or_default();
    let named = |it: &String| topic_name("", it)[1..] == *schema;
    case.topics.iter().any(|it| it == topic)
        || (topic.contains('.') && case.schemas.iter().any(named))
}

/// The case that topics of no case belong to.
pub const OTHERS: &str = "(other topics)";
const MARKER: &str = "compat_marker";
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(100);

/// Types of extensions that are not everywhere have stand-ins: both sides know them by name, and see their text alone.
const COMMON: &str = include_str!("../../compat/common.sql");
