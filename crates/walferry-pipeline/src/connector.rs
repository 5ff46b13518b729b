//! One connector from its start to its end: evidence, decision, claim, snapshot, stream, and again after each loss.
//!
//! Owns the threads of the ring and their order at a start and a stop. Decides by `recovery`, never by itself.
//! Invariants: nothing is created or fenced before PostgreSQL, registry and Kafka have all answered and the decision is to go
//! on, and nothing is streamed before the connector is claimed in Kafka; a server that is away is waited for without an end.
//! Start reading at `run`; a start is `Start::prepare`.

pub mod choice;
mod claimant;
mod create;
mod held_up;
mod look;
mod monitor;
pub(crate) mod parked_retry;
mod patience;
pub mod published;
pub mod reload;
mod resync;
mod ring;
pub mod startup;
mod topics;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::sync::watch;
use walferry_event::Lsn;
use walferry_kafka::{Checkpoint, Health, Publisher};
use walferry_postgres::{Catalog, Replication};
use walferry_registry::Registry;

use crate::{
    blocking::blocking,
    config::{Config, InForce},
    connector::{
        claimant::{Claimant, Claimed},
        monitor::Monitor,
        published::act,
        ring::{Begin, Ring, encode_thread::EncodeThread},
        startup::Found,
    },
    encode::{
        Encoder,
        block::{Memory, QUEUE_BLOCKS_MAX},
        block_builder::Builder,
        relations::{Relations, message_keys::MessageKeys},
    },
    error::{Error, Passing},
    position::{
        checkpoint_writer::{self, CheckpointWriter},
        committed::Committed,
        published_record::Record,
        recovery::Decision,
        table_positions::Held,
    },
    publish::{Publishing, durable::Durable},
    retry,
    snapshot::{
        engine::Engine,
        mailbox::{self, Handle},
    },
    status::{
        Status, known,
        report::SourceStatus,
        state::{Peer, State},
    },
    tables::left_out,
};

/// How long a start may go on with what it is doing when it is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// What the connector as a whole waits for, before it begins anew.
const STAGE: &str = "connector";

/// Divergences in a row (another writer's checkpoint, a lost commit) before the process gives up.
const RESTARTS_MAX: u32 = 5;

/// Runs a connector until it is asked to stop or cannot go on.
pub async fn run(
    config: Config,
    handle: Arc<Handle>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let status = handle.status().clone();
    let budget = config.publish.batch_budget_bytes();
    if budget < config.publish.batch_bytes_max {
        tracing::warn!(
            budget,
            "publish.batch_bytes_max is above a quarter of publish.memory_bytes_max: batches are cut at that"
        );
    }
    // A reload while the ring turns holds over its restarts, too.
    let config = InForce::new(config);
    let mut divergences = 0;
    let mut away = config.now().errors.retry();
    // What was begun once is in the checkpoint, and goes on from there.
    let resync = Arc::new(AtomicBool::new(config.now().resync.is_some()));
    let outcome = loop {
        let before = status.ledger.positions().checkpointed;
        let refusals = status.refusals.count();
        let start = Start {
            config: config.now(),
            in_force: config.clone(),
            status: status.clone(),
            handle: handle.clone(),
            stop: stop.clone(),
            // One for each start: what an earlier ring of this process may still try is another's.
            instance: uuid::Uuid::new_v4().to_string(),
            has_turned: before > Lsn::ZERO,
            resync: resync.clone(),
        };
        let outcome = start.run().await;
        let reached = status.ledger.positions().checkpointed;
        // What Kafka refuses is noted once, and the next ring gets further.
        if reached > before || status.refusals.count() > refusals {
            divergences = 0;
            away.reset();
        }
        match outcome {
            Err(error) if error.is_diverged() && divergences < RESTARTS_MAX => {
                divergences += 1;
                status.count_error(error.labels());
                tracing::warn!(%error, divergences, "the ring starts again from the checkpoint");
                status.set_state(State::Retrying, Some(error.to_string()));
            }
            Err(error) if error.is_away() => {
                let Some(pause) = away.failed(error.is_outage()) else {
                    break Err(error.after_tries(away.tries()));
                };
                let peer = Peer::of_stage(error.labels().stage);
                status.waits(STAGE, peer, error.labels().kind, error.to_string());
                if reached > Lsn::ZERO {
                    status.set_state(State::Retrying, None);
                }
                let connect = &config.now().source.connect;
                let address = (connect.host.clone(), connect.port);
                retry::pause(pause, Some(address), &mut stop).await;
            }
            Err(error) if error.is_stopped() => break Ok(()),
            outcome => break outcome,
        }
        if *stop.borrow() {
            break Ok(());
        }
    };
    let reason = match &outcome {
        Ok(()) => "stopped".to_owned(),
        Err(error) => {
            status.count_error(error.labels());
            tracing::error!(%error, "the connector has ended");
            error.to_string()
        }
    };
    status.set_state(State::Halted, Some(reason));
    outcome
}

struct Start {
    in_force: InForce,
    /// The same for as long as the start lasts: only a ring that turns can be asked for another one.
    config: Arc<Config>,
    status: Arc<Status>,
    handle: Arc<Handle>,
    stop: watch::Receiver<bool>,
    instance: String,
    /// Whether the ring has turned in this process: then servers that are away are waited for.
    has_turned: bool,
    /// Whether a resync is asked for and has not been begun.
    resync: Arc<AtomicBool>,
}

/// A start that has been decided and claimed.
struct Prepared {
    found: Found,
    claimed: Claimed,
    registry: Arc<Registry>,
}

impl Start {
    async fn run(self) -> Result<(), Error> {
        if !self.has_turned {
            self.status.set_state(State::Starting, None);
        }
        self.config.kafka.check()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let mut stop = self.stop.clone();
        let given_up = async {
            retry::asked(&mut stop).await;
            // What blocks a thread looks at this; what waits for PostgreSQL ends by itself.
            stopping.store(true, Ordering::Relaxed);
            tokio::time::sleep(STOP_GRACE).await;
        };
        let prepared = tokio::select! {
            prepared = self.prepare(&stopping) => prepared?,
            () = given_up => return Err(Error::stopped()),
        };
        self.status.waits_no_more(STAGE);
        self.ring(prepared, stopping).await
    }

    /// Looks, decides, and only then acts: fences older instances, looks again, and creates what is missing.
    async fn prepare(&self, stopping: &Arc<AtomicBool>) -> Result<Prepared, Error> {
        let (mut found, registry) = tokio::try_join!(self.look(stopping), self.registry())?;
        let registry = Arc::new(registry);
        let (publisher, checkpoint) = self.kafka(stopping).await?;
        let (row, decision, progress) = self.judge(&mut found, checkpoint.as_ref()).await?;
        tracing::info!(target: "audit", row, %decision, "recovery decision");
        let stamp = Arc::new(CheckpointWriter::new(
            found.server.clone(),
            &self.config.source,
            &self.instance,
            checkpoint.as_ref().map_or(0, |c| c.counter),
            self.config.kafka.topics.clone(),
        ));
        let topics = topics::of(&self.config, &found.tables);
        topics::begin(&self.config, &self.status, checkpoint.as_ref(), &topics).await;
        let claimant = Claimant { publisher, stamp };
        let claimed = match decision {
            Decision::Refuse(reason) => return Err(Error::decided(reason)),
            Decision::Resume(position) => {
                let parked = checkpoint.as_ref().and_then(checkpoint_writer::held);
                let held = Held {
                    position,
                    ..parked.unwrap_or_else(|| Held::at(position))
                };
                let committed = Committed {
                    snapshot: progress.map(Arc::new),
                    ..Committed::at(held, &self.config.source.tables)
                };
                self.go_on(&found, claimant, checkpoint.as_ref(), committed)
                    .await?
            }
            Decision::Create | Decision::StartOver => self.create(&mut found, claimant).await?,
            Decision::Resync => self.anew(&mut found, claimant).await?,
        };
        Ok(Prepared {
            found,
            claimed,
            registry,
        })
    }

    /// Goes on where the topics stand: what was published meanwhile of other tables, or not, is made good beside the stream.
    async fn go_on(
        &self,
        found: &Found,
        claimant: Claimant,
        checkpoint: Option<&Checkpoint>,
        mut committed: Committed,
    ) -> Result<Claimed, Error> {
        let (config, catalog, status) = (&self.config, &found.catalog, &self.status);
        let before = checkpoint.and_then(|it| it.published.as_ref());
        let globs = checkpoint.map_or(&[][..], |it| it.tables.as_slice());
        let mut begun = act::begin(config, catalog, status, before, globs).await?;
        let progress = committed.snapshot.take().map(Arc::unwrap_or_clone);
        let progress = begun.plan.progress(progress);
        let progress = self.again(found, progress).await?;
        let mut progress = match checkpoint {
            None => self.adopted(found, progress, &mut begun.known).await?,
            Some(_) => progress,
        };
        // A table is in the record before it is in the publication, so that no crash forgets its history.
        committed.published = Some(Arc::new(begun.known.record.clone()));
        committed.snapshot = progress.clone().map(Arc::new);
        let claimant = claimant.claim(&committed).await?;
        self.resync.store(false, Ordering::Relaxed);
        // As they are called by now.
        choice::take_out(config, catalog, begun.left_out()).await?;
        begun.add(config, catalog, status, &mut progress).await?;
        begun.ensure(config, catalog, &found.tables).await?;
        committed.published = Some(self.known(begun.known).await);
        committed.snapshot = progress.map(Arc::new);
        Ok(Claimed {
            claimant,
            begin: Begin::Stream,
            committed,
        })
    }

    /// From here on, this is what is known to be published.
    async fn known(&self, known: known::Known) -> Arc<Record> {
        let record = Arc::new(known.record.clone());
        *self.handle.published.lock().await = known;
        record
    }

    /// Connects to PostgreSQL and checks it.
    async fn postgres(&self) -> Result<Found, Error> {
        let config = &self.config;
        let connect = &config.source.connect;
        let address = (connect.host.clone(), connect.port);
        let place = format!("PostgreSQL at {}:{}", connect.host, connect.port);
        let asked = || async {
            let catalog = Catalog::connect(connect).await?;
            let mut replication = Replication::connect(connect).await?;
            replication.expect_primary().await?;
            let identity = replication.identify().await?;
            Ok::<_, walferry_postgres::Error>((catalog, replication, identity))
        };
        let (catalog, mut replication, identity) = self
            .patiently(Peer::PostgreSql, &place, Some(address), || {
                retry::hedged(asked)
            })
            .await?;
        let survey = startup::survey(config, &catalog).await?;
        left_out::tell(&config.source, &catalog).await?;
        let server = startup::server(&mut replication, &identity).await?;
        self.status.set_source(SourceStatus {
            system_id: Some(server.system_id.clone()),
            timeline: Some(server.timeline),
            server_version: Some(version_text(survey.server_version)),
            slot: config.source.slot.clone(),
            publication: config.source.publication.clone(),
        });
        survey.choice.tell(config, &self.status.findings);
        Ok(Found {
            catalog,
            replication,
            server,
            tables: survey.choice.tables,
            left_out: survey.choice.left_out,
        })
    }

    async fn registry(&self) -> Result<Registry, Error> {
        let registry = Registry::new(self.config.registry.clone())?;
        let address = registry.address();
        self.patiently(Peer::Registry, "registry.url", address, || {
            retry::hedged(|| registry.ping())
        })
        .await?;
        Ok(registry)
    }

    /// Fences older instances and reads the checkpoint.
    async fn kafka(
        &self,
        stopping: &Arc<AtomicBool>,
    ) -> Result<(Publisher, Option<Checkpoint>), Error> {
        let mut kafka = self.config.kafka.clone();
        kafka.queue_bytes_max = self.config.publish.queue_bytes_max();
        if self.config.context_headers {
            kafka.headers = context_headers(&self.config.topic_prefix, &self.instance);
        }
        let (instance, stopping) = (self.instance.clone(), stopping.clone());
        let health = Arc::new(Health::default());
        let opened = {
            let health = health.clone();
            blocking("opening the publisher", move || {
                walferry_kafka::ensure_checkpoint_topic(&kafka)?;
                // To open a publisher is patient in itself.
                Ok(Publisher::open_watched(kafka, instance, stopping, health)?)
            })
        };
        self.while_kafka_says(&health, opened).await
    }

    /// Starts the threads, and turns the ring until the end.
    async fn ring(self, prepared: Prepared, stopping: Arc<AtomicBool>) -> Result<(), Error> {
        let Prepared {
            found,
            claimed,
            registry,
        } = prepared;
        let Claimed {
            claimant: Claimant { publisher, stamp },
            begin,
            committed,
        } = claimed;
        let (held, published) = (committed.held.clone(), committed.published.clone());
        let durable = Arc::new(Durable::begin(committed, self.status.clone()));
        self.status.parking.clear();
        for it in held.parked.iter() {
            self.status.parking.resume(&it.table, &it.since, &it.reason);
        }
        let memory = Memory::new(self.config.publish.encoded_bytes_max());
        let (halt, halted) = watch::channel(false);
        let mut monitor = Monitor::start(
            self.in_force.clone(),
            self.status.clone(),
            registry.clone(),
            publisher.health(),
            memory.clone(),
        );
        let topics = topics::of(&self.config, &found.tables);
        monitor.add(published::watch::watch(
            self.in_force.clone(),
            self.handle.clone(),
        ));
        monitor.add(topics::watch(
            self.in_force.clone(),
            self.status.clone(),
            topics,
        ));
        let (blocks, encoded) = mpsc::sync_channel(QUEUE_BLOCKS_MAX);
        let (control, events) = tokio::sync::mpsc::unbounded_channel();
        self.handle.open(mailbox::Open {
            events: control.clone(),
            config: self.in_force.clone(),
        });
        let publishing = Publishing::new(
            &self.config,
            publisher,
            encoded,
            stamp.clone(),
            durable.clone(),
            self.status.clone(),
            halted.clone(),
        );
        let runtime = tokio::runtime::Handle::current();
        let relations = Relations::new(
            self.config.clone(),
            self.status.clone(),
            registry.clone(),
            runtime.clone(),
            halted.clone(),
            MessageKeys::of(published.as_deref()),
        );
        let encoded_bytes = metrics::counter!("walferry_bytes_total",
            "connector" => self.config.name.clone(), "stage" => "encode");
        let builder = Builder::new(held, memory, runtime.clone(), blocks, encoded_bytes);
        let encoder = Encoder::new(self.config.clone(), self.status.clone(), relations, builder);
        let engine = Engine::new(
            self.in_force.clone(),
            self.status.clone(),
            self.handle.strange.clone(),
            registry,
            runtime.clone(),
            control,
            published,
        );
        let (work, works) = mpsc::channel();
        let encoding = EncodeThread {
            encoder,
            engine,
            snapshots: events,
            status: self.status.clone(),
            runtime,
            halted,
        };
        let ring = Ring {
            encode_ended: ring::spawn("walferry-encode", move || encoding.run(&works))?,
            publish_ended: ring::spawn("walferry-publish", move || publishing.run())?,
            config: self.in_force,
            status: self.status,
            stop: self.stop,
            halt,
            stamp,
            durable,
            stopping,
            work,
            monitor,
        };
        ring.turn(found, begin).await
    }
}

/// Debezium's context headers, in its order. A connector has one task.
fn context_headers(prefix: &str, run: &str) -> Vec<(String, String)> {
    let named = [
        ("connectorLogicalName", prefix),
        ("taskId", "0"),
        ("connectorName", "postgresql"),
        ("runId", run),
    ];
    named
        .map(|(name, value)| (format!("__debezium.context.{name}"), value.to_owned()))
        .into()
}

fn version_text(version: u32) -> String {
    format!("{}.{}", version / 10_000, version % 10_000)
}
