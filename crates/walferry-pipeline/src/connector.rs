//! One connector from its start to its end: evidence, decision, claim, snapshot, stream, and again after each loss.
//!
//! Owns the threads of the ring and their order at a start and a stop. Decides by `recovery`, never by itself.
//! Invariant: nothing is created before PostgreSQL, registry and Kafka have all answered, and nothing is streamed before
//! the connector is claimed in Kafka.
//! Start reading at [`run`].

mod create;
mod resync;

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering, mpsc},
    time::Duration,
};

use tokio::sync::watch;
use walferry_event::Lsn;
use walferry_kafka::{Checkpoint, Publisher};
use walferry_postgres::{Catalog, Feedback, Replication};
use walferry_registry::Registry;

pub(crate) use resync::can_be_followed_again;

use crate::{
    block::{Memory, QUEUE_BLOCKS_MAX},
    builder::Builder,
    config::Config,
    course::Held,
    encode::Encoder,
    error::{Error, Passing},
    monitor::Monitor,
    publish::Publishing,
    recovery::{Decision, Server},
    relations::Relations,
    retry::{self, Retry},
    ring::{self, Begin, Ring},
    snapshot, source,
    stamp::{self, Stamp},
    status::{SourceStatus, State, Status},
};

/// How long the servers may take to answer at a start before the process gives up: a start tells the operator what is
/// wrong, a running connector waits.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Divergences in a row (another writer's checkpoint, a lost commit) before the process gives up.
const RESTARTS_MAX: u32 = 5;

/// Runs a connector until it is asked to stop or cannot go on.
pub async fn run(
    config: Config,
    status: Arc<Status>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let budget = config.publish.batch_budget_bytes();
    if budget < config.publish.batch_bytes_max {
        tracing::warn!(
            budget,
            "publish.batch_bytes_max is above a quarter of publish.memory_bytes_max: batches are cut at that"
        );
    }
    let config = Arc::new(config);
    let mut divergences = 0;
    let mut away = Retry::new(&config.errors);
    // What was begun once is in the checkpoint, and goes on from there.
    let resync = Arc::new(AtomicBool::new(config.resync.is_some()));
    let outcome = loop {
        let before = status.ledger.positions().checkpointed;
        let start = Start {
            config: status.config().unwrap_or_else(|| config.clone()),
            status: status.clone(),
            stop: stop.clone(),
            // One for each start: what an earlier ring of this process may still try is another's.
            instance: uuid::Uuid::new_v4().to_string(),
            has_turned: before > Lsn::ZERO,
            resync: resync.clone(),
        };
        let outcome = start.run().await;
        let reached = status.ledger.positions().checkpointed;
        if reached > before {
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
            Err(error) if error.is_away() && reached > Lsn::ZERO => {
                let Some(pause) = away.failed() else {
                    break Err(error.context(format!("gave up after {} tries", away.tries())));
                };
                status.count_error(error.labels());
                status.set_state(State::Retrying, Some(error.to_string()));
                let connect = &config.source.connect;
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
    config: Arc<Config>,
    status: Arc<Status>,
    stop: watch::Receiver<bool>,
    instance: String,
    /// Whether the ring has turned in this process: then servers that are away are waited for.
    has_turned: bool,
    /// Whether a resync is asked for and has not been begun.
    resync: Arc<AtomicBool>,
}

/// What a start has found out.
pub(crate) struct Found {
    catalog: Catalog,
    replication: Replication,
    server: Server,
    tables: Vec<walferry_postgres::TableInfo>,
    /// Chosen and not followed.
    left_out: Vec<source::LeftOut>,
}

impl Start {
    async fn run(mut self) -> Result<(), Error> {
        if !self.has_turned {
            self.status.set_state(State::Starting, None);
        }
        self.config.kafka.check()?;
        let mut found = self.postgres().await?;
        let registry = Arc::new(self.registry().await?);
        let stopping = Arc::new(AtomicBool::new(false));
        let (mut publisher, checkpoint) = self.kafka(stopping.clone()).await?;
        source::flushed_by_now(&mut found.replication, &mut found.server).await?;
        let slot = source::slot(&self.config, &found.catalog).await?;
        let evidence = source::evidence(
            &self.config,
            slot,
            stamp::evidence(checkpoint.as_ref()),
            found.server.clone(),
        );
        let saved = checkpoint.as_ref().and_then(|it| it.snapshot.as_ref());
        let progress = snapshot::Progress::read(saved).map_err(|error| {
            Error::failed(format!(
                "the snapshot's cursor in the checkpoint record cannot be read: {error}"
            ))
        })?;
        let (row, decision) = self.decide(&evidence, progress.as_ref());
        tracing::info!(target: "audit", row, ?decision, "recovery decision");
        let stamp = Arc::new(Stamp::new(
            found.server.clone(),
            &self.config.source,
            &self.instance,
            checkpoint.as_ref().map_or(0, |c| c.counter),
        ));
        let begin = match decision {
            Decision::Refuse(reason) => return Err(Error::refused(reason)),
            Decision::Resume(position) => {
                let parked = checkpoint.as_ref().and_then(stamp::held);
                let held = Held {
                    position,
                    ..parked.unwrap_or_else(|| Held::at(position))
                };
                let added = source::added(&self.config, &found.catalog, &found.tables).await?;
                let before = checkpoint
                    .as_ref()
                    .map_or(&[][..], |it| it.tables.as_slice());
                let again = self.followed_again(&found, before).await?;
                let progress = snapshot::added(progress, &added, &again);
                let progress = self.again(&found, progress).await?;
                // A table is in the record before it is in the publication, so that no crash forgets its history.
                publisher = claim(publisher, stamp.next(Some(&held), progress.as_ref())).await?;
                self.resync.store(false, Ordering::Relaxed);
                source::take_out(&self.config, &found.catalog, &found.left_out).await?;
                source::add_tables(&self.config, &found.catalog, &added).await?;
                source::ensure_publication(&self.config, &found.catalog, &found.tables).await?;
                Begin::Stream(held, progress)
            }
            Decision::Create | Decision::StartOver => {
                let (taken, begin) = self.create(&mut found, publisher, &stamp).await?;
                publisher = taken;
                begin
            }
            Decision::Resync => {
                let (taken, begin) = self.anew(&mut found, publisher, &stamp).await?;
                publisher = taken;
                begin
            }
        };
        self.ring(found, begin, publisher, registry, stamp, stopping)
            .await
    }

    /// Connects to PostgreSQL and checks it, for as long as a start is patient.
    async fn postgres(&mut self) -> Result<Found, Error> {
        let config = self.config.clone();
        let found = self
            .patiently(|| async {
                let catalog = Catalog::connect(&config.source.connect).await?;
                let mut replication = Replication::connect(&config.source.connect).await?;
                replication.expect_primary().await?;
                Ok::<_, walferry_postgres::Error>((catalog, replication))
            })
            .await?;
        let (catalog, mut replication) = found;
        let survey = source::survey(&config, &catalog).await?;
        let identity = replication.identify().await?;
        let server = source::server(&mut replication, &identity).await?;
        self.status.set_source(SourceStatus {
            system_id: Some(server.system_id.clone()),
            timeline: Some(server.timeline),
            server_version: Some(version_text(survey.server_version)),
            slot: config.source.slot.clone(),
            publication: config.source.publication.clone(),
        });
        survey.choice.tell(&config, &self.status.findings);
        Ok(Found {
            catalog,
            replication,
            server,
            tables: survey.choice.tables,
            left_out: survey.choice.left_out,
        })
    }

    async fn registry(&mut self) -> Result<Registry, Error> {
        let registry = Registry::new(self.config.registry.clone())?;
        self.patiently(|| registry.ping()).await?;
        Ok(registry)
    }

    /// Tries again while a start is patient and the error may pass.
    async fn patiently<T, E, F>(&mut self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, E>>,
        E: Passing + Into<Error>,
    {
        let until = tokio::time::Instant::now() + START_PATIENCE;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !error.may_pass() {
                return Err(error.into());
            }
            if tokio::time::Instant::now() >= until {
                return Err(if self.has_turned {
                    Error::away(error)
                } else {
                    error.into()
                });
            }
            retry::pause(Duration::from_millis(250), None, &mut self.stop).await;
            if *self.stop.borrow() {
                return Err(Error::stopped());
            }
        }
    }

    /// Fences older instances and reads the checkpoint.
    async fn kafka(
        &self,
        stopping: Arc<AtomicBool>,
    ) -> Result<(Publisher, Option<Checkpoint>), Error> {
        let mut kafka = self.config.kafka.clone();
        kafka.queue_bytes_max = self.config.publish.queue_bytes_max();
        if self.config.context_headers {
            kafka.headers = context_headers(&self.config.topic_prefix, &self.instance);
        }
        let (instance, has_turned) = (self.instance.clone(), self.has_turned);
        // A stop during the start has to reach the blocking calls too.
        let (flag, mut stop) = (stopping.clone(), self.stop.clone());
        let watcher = tokio::spawn(async move {
            if stop.wait_for(|stop| *stop).await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        let span = tracing::Span::current();
        let opened = tokio::task::spawn_blocking(move || {
            let _named = span.enter();
            // To open a publisher is patient in itself.
            walferry_kafka::ensure_checkpoint_topic(&kafka).map_err(|error| {
                match has_turned && error.may_pass() {
                    true => Error::away(error),
                    false => error.into(),
                }
            })?;
            Ok::<_, Error>(Publisher::open(kafka, instance, stopping)?)
        })
        .await;
        watcher.abort();
        opened.map_err(|error| Error::failed(format!("opening the publisher: {error}")))?
    }

    /// Starts the threads, and turns the ring until the end.
    async fn ring(
        self,
        found: Found,
        begin: Begin,
        publisher: Publisher,
        registry: Arc<Registry>,
        stamp: Arc<Stamp>,
        stopping: Arc<AtomicBool>,
    ) -> Result<(), Error> {
        let held = begin.held();
        stamp.set_durable(held.clone());
        let needed = held.needed();
        self.status.ledger.start(held.position.end_lsn, needed);
        self.status.parking.clear();
        for it in held.parked.iter() {
            self.status.parking.resume(&it.table, &it.since, &it.reason);
        }
        let feedback = Arc::new(Feedback::new(needed));
        let memory = Memory::new(self.config.publish.encoded_bytes_max());
        let (halt, halted) = watch::channel(false);
        let monitor = Monitor::start(
            self.config.clone(),
            self.status.clone(),
            registry.clone(),
            publisher.health(),
            memory.clone(),
        );
        let (blocks, encoded) = mpsc::sync_channel(QUEUE_BLOCKS_MAX);
        let progress = begin.progress().map(Arc::new);
        if let Some(progress) = &progress {
            self.status.set_snapshot(progress.clone());
        }
        let (control, events) = tokio::sync::mpsc::unbounded_channel();
        self.status.set_snapshots(Some(control.clone()));
        let publishing = Publishing::new(
            &self.config,
            publisher,
            encoded,
            progress,
            stamp.clone(),
            self.status.clone(),
            (feedback.clone(), halted.clone()),
        );
        let runtime = tokio::runtime::Handle::current();
        let relations = Relations::new(
            self.config.clone(),
            self.status.clone(),
            registry,
            runtime.clone(),
            halted.clone(),
        );
        let encoded_bytes = metrics::counter!("walferry_bytes_total",
            "connector" => self.config.name.clone(), "stage" => "encode");
        let builder = Builder::new(held, memory, runtime.clone(), blocks, encoded_bytes);
        let mut encoder =
            Encoder::new(self.config.clone(), self.status.clone(), relations, builder);
        encoder.set_engine(snapshot::Engine::new(
            self.config.clone(),
            self.status.clone(),
            runtime.clone(),
            control,
        ));
        let (work, works) = mpsc::channel();
        let ring = Ring {
            encode_ended: ring::spawn("walferry-encode", {
                let status = self.status.clone();
                move || ring::encode(encoder, &works, events, &status, &runtime, &halted)
            })?,
            publish_ended: ring::spawn("walferry-publish", move || publishing.run())?,
            config: self.config,
            status: self.status,
            stop: self.stop,
            halt,
            stamp,
            feedback,
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

async fn claim(mut publisher: Publisher, checkpoint: Checkpoint) -> Result<Publisher, Error> {
    let span = tracing::Span::current();
    let claimed = tokio::task::spawn_blocking(move || {
        let _named = span.enter();
        publisher.claim(checkpoint)?;
        Ok::<_, walferry_kafka::Error>(publisher)
    });
    Ok(claimed
        .await
        .map_err(|error| Error::failed(format!("claiming the connector: {error}")))??)
}

fn version_text(version: u32) -> String {
    format!("{}.{}", version / 10_000, version % 10_000)
}
