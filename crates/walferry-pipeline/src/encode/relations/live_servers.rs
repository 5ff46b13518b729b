//! The catalog, the registry and Kafka, asked from the encode thread: a new schema or topic cannot do without them.
//!
//! Owns the connection to the catalog, the tries, and what is known of topics; says in the status what is waited for. Invariants: an
//! outage has no end here but the stop, which is obeyed at once, also in the middle of a question; whatever waits shows that it is alive.
//! Start reading at `LiveServers::ids`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, time};
use walferry_event::{Relation, Table};
use walferry_kafka::TopicTakes;
use walferry_postgres::{Catalog, KeyRules};
use walferry_registry::Registry;

use crate::{
    blocking::blocking,
    config::Config,
    encode::{
        relations::{refusal::Refusal, servers::Servers, urgency::Urgency},
        stage::STAGE,
    },
    error::{Error, Passing},
    position::published_record::MessageKey,
    retry::{self, Retry, hedged},
    status::{Status, latency::work::Work, state::Peer},
    tables::{
        compile,
        options::names::{Meant, Names},
        plan::Offer,
    },
};

/// How long the registry may be away before a table is parked for it: a mere restart parks nothing.
const PARK_AFTER: Duration = Duration::from_secs(2);
/// How often a wait shows that it is alive.
const PULSE: Duration = Duration::from_secs(1);
/// How long a transaction whose commit is in the WAL may take to be over: longer where it waits for a synchronous standby.
const UNSEEN_MAX: Duration = Duration::from_secs(5);
const UNSEEN_LOOK: Duration = Duration::from_millis(5);

/// The servers of one connector.
pub(super) struct LiveServers {
    config: Arc<Config>,
    status: Arc<Status>,
    registry: Arc<Registry>,
    runtime: tokio::runtime::Handle,
    stop: watch::Receiver<bool>,
    catalog: Option<Catalog>,
    /// The columns that options name.
    names: Names,
    /// Topics that exist, each with what it takes.
    known_topics: Vec<(Arc<str>, TopicTakes)>,
    /// How long each server was waited for since that was asked last.
    waited: Work,
}

impl LiveServers {
    pub(super) fn new(
        config: Arc<Config>,
        status: Arc<Status>,
        registry: Arc<Registry>,
        runtime: tokio::runtime::Handle,
        stop: watch::Receiver<bool>,
    ) -> LiveServers {
        LiveServers {
            config,
            status,
            registry,
            runtime,
            stop,
            catalog: None,
            names: Names::default(),
            known_topics: Vec::new(),
            waited: Work::default(),
        }
    }

    /// Waits for an answer, or for the stop.
    fn ask<T>(&mut self, question: impl Future<Output = T>) -> Result<T, Error> {
        let (stop, status) = (&mut self.stop, &self.status);
        // A question that is asked again beside itself lasts for as long as nothing comes back.
        let alive = async {
            loop {
                time::sleep(PULSE).await;
                status.pulse_goes_on(STAGE);
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                answer = question => Ok(answer),
                () = retry::asked(stop) => Err(Error::stopped()),
                () = alive => Err(Error::stopped()),
            }
        })
    }

    /// Asks the catalog, over a connection of our own that is opened again when it is lost. A server that does not answer
    /// over a new connection either is away: the stream is given up and connected again, patiently. To wait for it here
    /// would hold up its orderly end, which waits for the stream.
    fn ask_catalog<T>(
        &mut self,
        mut question: impl AsyncFnMut(&Catalog, &mut Names) -> Result<T, walferry_postgres::Error>,
    ) -> Result<T, Error> {
        let asked = Instant::now();
        let connect = &self.config.source.connect;
        let (catalog, names) = (&mut self.catalog, &mut self.names);
        let answer = self.runtime.block_on(async {
            if let Some(open) = catalog {
                match question(open, names).await {
                    Err(error) if error.may_pass() => {}
                    answer => return answer,
                }
            }
            let open = catalog.insert(Catalog::connect(connect).await?);
            question(open, names).await
        });
        self.waited.catalog += asked.elapsed();
        answer.map_err(|error| {
            self.catalog = None;
            // Whoever shuts us out now let us in before.
            match error.is_shut_out() {
                true => Error::away(error),
                false => error.into(),
            }
        })
    }

    /// Waits before the next try. An error ends the tries: one that cannot pass, or a fault after as many as are configured,
    /// or the stop.
    fn wait<E: Passing + Into<Error> + std::fmt::Display>(
        &mut self,
        retry: &mut Retry,
        peer: Peer,
        stage: &'static str,
        error: E,
        address: Option<(String, u16)>,
    ) -> Result<(), Error> {
        // The ring has turned: whoever shuts us out now let us in before.
        let outage = error.is_outage() || error.is_shut_out();
        let pause = match outage || error.may_pass() {
            true => retry.failed(outage),
            false => None,
        };
        let Some(pause) = pause else {
            self.status.waits_no_more(STAGE);
            let error: Error = error.into();
            return Err(error.after_tries(retry.tries()));
        };
        let (kind, reason) = (error.label(), error.to_string());
        self.status.waits(STAGE, peer, kind, reason);
        self.status.count_retries(stage, 1);
        self.ask(retry::wait(pause, address))
    }
}

impl Servers for LiveServers {
    fn reload(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    fn table(&mut self, relation: &Relation, unseen: Option<u32>) -> Result<Table, Error> {
        let rules = self.config.key_rules();
        self.ask_catalog(async |catalog, _| table(catalog, relation, rules, unseen).await)
    }

    fn has_table(&mut self, oid: u32) -> Result<bool, Error> {
        let Some(catalog) = &self.catalog else {
            return Ok(true);
        };
        let columns = self.runtime.block_on(catalog.column_numbers(oid))?;
        Ok(!columns.is_empty())
    }

    fn key_of(&mut self, name: &str) -> Result<Option<MessageKey>, Error> {
        let Some(catalog) = &self.catalog else {
            return Ok(None);
        };
        let asked = key_of_name(&self.config, catalog, name);
        Ok(self.runtime.block_on(asked)?)
    }

    fn keys_are_newer(&mut self, oid: u32, xid: u32) -> Result<bool, Error> {
        let Some(catalog) = &self.catalog else {
            return Ok(false);
        };
        Ok(self.runtime.block_on(catalog.keys_are_newer(oid, xid))?)
    }

    fn meant(&mut self, relation: &Relation) -> Result<Meant, Error> {
        let config = self.config.clone();
        self.ask_catalog(async |catalog, names| names.of(&config, catalog, relation).await)
    }

    fn dropped(&mut self, oids: &[u32]) -> Vec<u32> {
        let catalog = self.catalog.as_ref().filter(|_| !oids.is_empty());
        let tables = catalog.map(|it| self.runtime.block_on(it.tables()));
        let Some(Ok(tables)) = tables else {
            return Vec::new();
        };
        let gone = |oid: &u32| !tables.iter().any(|it| it.oid == *oid);
        oids.iter().copied().filter(gone).collect()
    }

    fn filled(&mut self, oids: &[u32]) -> Result<Vec<u32>, Error> {
        let (catalog, connect) = (&mut self.catalog, &self.config.source.connect);
        let asked = self.runtime.block_on(async {
            let open = match catalog {
                Some(open) => open,
                None => catalog.insert(Catalog::connect(connect).await?),
            };
            open.filled(oids).await
        });
        Ok(asked?)
    }

    fn topic(&mut self, topic: &Arc<str>) -> Result<TopicTakes, Error> {
        let begun = Instant::now();
        if let Some((_, takes)) = self.known_topics.iter().find(|(known, _)| known == topic) {
            return Ok(*takes);
        }
        let ensure = match **topic == self.config.errors.dead_letter_topic {
            true => walferry_kafka::ensure_roomy_topic,
            false => walferry_kafka::ensure_topic,
        };
        let mut retry = self.config.errors.retry();
        let first = self.config.kafka.brokers.split(',').next();
        let address = first.and_then(|it| it.trim().rsplit_once(':'));
        let address = address.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let takes = loop {
            let (kafka, topic) = (self.config.kafka.clone(), topic.clone());
            let asked = blocking("making a topic", move || Ok(ensure(&kafka, &topic)));
            match self.ask(asked)?? {
                Ok(takes) => break takes,
                Err(error) => {
                    self.wait(&mut retry, Peer::Kafka, "topics", error, address.clone())?;
                }
            }
        };
        self.status.waits_no_more(STAGE);
        self.waited.kafka += begun.elapsed();
        self.known_topics.push((topic.clone(), takes));
        Ok(takes)
    }

    fn ids(&mut self, offers: &[(&str, Offer)], urgency: Urgency) -> Result<Vec<u32>, Refusal> {
        let pairs = pairs(offers.iter().map(|(_, it)| it));
        let mut retry = self.config.errors.retry();
        let (registry, address) = (self.registry.clone(), self.registry.address());
        let begun = Instant::now();
        loop {
            let asked = hedged(|| registry.register_all(&pairs));
            let error = match self.ask(asked).map_err(Refusal::Error)? {
                Ok(ids) => {
                    self.waited.registry += begun.elapsed();
                    self.status.waits_no_more(STAGE);
                    return Ok(ids);
                }
                Err(error) => error,
            };
            if error.kind() == "schema" {
                self.status.waits_no_more(STAGE);
                return Err(Refusal::Schema(error.to_string()));
            }
            let away = error.is_outage() || error.is_shut_out();
            if away && urgency == Urgency::MayPark && begun.elapsed() >= PARK_AFTER {
                self.status.waits_no_more(STAGE);
                return Err(Refusal::Schema(error.to_string()));
            }
            let (peer, stage) = (Peer::Registry, "registry");
            self.wait(&mut retry, peer, stage, error, address.clone())
                .map_err(Refusal::Error)?;
        }
    }

    fn make_ahead(
        &mut self,
        mut topics: Vec<Arc<str>>,
        versions: &[Vec<Offer>],
    ) -> Result<(), Error> {
        topics.retain(|topic| !self.known_topics.iter().any(|(known, _)| known == topic));
        topics.sort();
        topics.dedup();
        let begun = Instant::now();
        let made = blocking("making topics", {
            let (kafka, topics) = (self.config.kafka.clone(), topics.clone());
            move || {
                let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
                Ok(walferry_kafka::ensure_topics(&kafka, &names)?)
            }
        });
        let versions: Vec<_> = versions.iter().map(pairs).collect();
        let registered = self.registry.register_ahead(&versions);
        let (made, ()) = self
            .runtime
            .block_on(async { tokio::join!(made, registered) });
        self.waited.registry += begun.elapsed();
        self.known_topics.extend(topics.into_iter().zip(made?));
        Ok(())
    }

    fn waited(&mut self) -> Work {
        std::mem::take(&mut self.waited)
    }

    fn generation(&self) -> u64 {
        self.registry.generation()
    }
}

/// What the catalog says of a relation once it shows what the transaction has changed that the stream is in.
async fn table(
    catalog: &Catalog,
    relation: &Relation,
    rules: KeyRules,
    unseen: Option<u32>,
) -> Result<Table, walferry_postgres::Error> {
    if let Some(xid) = unseen {
        let until = Instant::now() + UNSEEN_MAX;
        while catalog.is_ending(xid).await? && Instant::now() < until {
            time::sleep(UNSEEN_LOOK).await;
        }
    }
    catalog.table(relation, rules).await
}

/// The message key of the table that has the name now; none when there is no such table, or it has none.
async fn key_of_name(
    config: &Config,
    catalog: &Catalog,
    name: &str,
) -> Result<Option<MessageKey>, walferry_postgres::Error> {
    let tables = catalog.tables().await?;
    let Some(info) = tables.iter().find(|it| it.qualified_name() == name) else {
        return Ok(None);
    };
    let described = async {
        let (relation, _) = compile::shape(config, catalog, info.oid).await?;
        catalog.table(&relation, config.key_rules()).await
    };
    match described.await {
        Ok(table) => Ok(Some(MessageKey::of(&table)).filter(|it| !it.columns().is_empty())),
        // It changes at this moment.
        Err(error) if error.is_stale() || error.sqlstate() == Some("42P01") => Ok(None),
        Err(error) => Err(error),
    }
}

fn pairs<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Vec<(&'a str, &'a str)> {
    let offers = offers.into_iter();
    offers
        .map(|it| (it.subject.as_str(), it.schema.as_str()))
        .collect()
}
