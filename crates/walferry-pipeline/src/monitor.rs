//! Watches the servers beside the ring: who answers, how far behind we are, how much memory is held.
//!
//! Owns the questions that nothing else asks in time: an idle or blocked ring notices a lost server only here.
//! Invariant: a server that stops answering is in `/readyz` within five seconds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time};
use tracing::Instrument;
use walferry_event::Lsn;
use walferry_kafka::Health;
use walferry_postgres::{Catalog, StreamHandle};
use walferry_registry::Registry;

use crate::{
    block::Memory,
    config::Config,
    parking,
    status::{Lag, Peer, Status},
};

/// How often each question is asked, and how long its answer may take.
const TICK: Duration = Duration::from_millis(500);
const REGISTRY_EVERY: Duration = Duration::from_secs(2);
const LAG_EVERY: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(2);
/// A stream on which a probe has been unanswered for this long counts as lost.
const SILENT_MS: u64 = 3_000;

type Watched = Arc<Mutex<Option<Arc<StreamHandle>>>>;

/// The watching tasks of one ring.
pub(crate) struct Monitor {
    tasks: Vec<JoinHandle<()>>,
    stream: Watched,
}

impl Monitor {
    pub(crate) fn start(
        config: Arc<Config>,
        status: Arc<Status>,
        registry: Arc<Registry>,
        kafka: Arc<Health>,
        memory: Memory,
    ) -> Monitor {
        let stream = Watched::default();
        let tasks = vec![
            spawn(watch_ring(
                config.clone(),
                status.clone(),
                kafka,
                stream.clone(),
                memory,
            )),
            spawn(watch_registry(status.clone(), registry.clone())),
            spawn(parking::watch(
                status.clone(),
                registry,
                config.errors.clone(),
            )),
            spawn(watch_lag(config, status)),
        ];
        Monitor { tasks, stream }
    }

    /// The connection to watch, from now on.
    pub(crate) fn watch_stream(&self, handle: Option<Arc<StreamHandle>>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    pub(crate) fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A task whose log names its connector.
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task.in_current_span())
}

async fn watch_ring(
    config: Arc<Config>,
    status: Arc<Status>,
    kafka: Arc<Health>,
    stream: Watched,
    memory: Memory,
) {
    let connector = || config.name.clone();
    let [received, encoded] = ["encode", "publish"].map(
        |stage| metrics::gauge!("walferry_queue_bytes", "connector" => connector(), "stage" => stage),
    );
    let positions = ["received", "published", "checkpointed", "confirmed"].map(|position| {
        metrics::gauge!("walferry_position_lsn", "connector" => connector(), "position" => position)
    });
    let parked = metrics::gauge!("walferry_parked_tables", "connector" => connector());
    let mut silent = false;
    let mut steps = kafka.steps();
    let mut retries = 0;
    loop {
        time::sleep(TICK).await;
        // A publisher that waits patiently for Kafka is not to be killed for it.
        let seen = kafka.steps();
        if std::mem::replace(&mut steps, seen) != seen {
            status.pulse_goes_on("publish");
        }
        let retried = kafka.retries();
        status.count_retries(
            "publish",
            retried - std::mem::replace(&mut retries, retried),
        );
        let answer = kafka.reason().map(|reason| ("connection", reason));
        status.set_peer(Peer::Kafka, answer.map_or(Ok(()), Err));
        let handle = stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let wire_bytes = handle.as_ref().map_or(0, |handle| handle.waiting_bytes());
        let silent_ms = handle.and_then(|handle| handle.silent_ms()).unwrap_or(0);
        if silent_ms >= SILENT_MS {
            silent = true;
            let reason = format!("no answer on the replication connection for {silent_ms} ms");
            status.set_peer(Peer::PostgreSql, Err(("timeout", reason)));
        } else if std::mem::take(&mut silent) {
            status.set_peer(Peer::PostgreSql, Ok(()));
        }
        received.set(wire_bytes as f64);
        encoded.set(memory.used() as f64);
        parked.set(status.parking.seen().len() as f64);
        let seen = status.ledger.positions();
        let values = [
            seen.received,
            seen.published,
            seen.checkpointed,
            seen.confirmed,
        ];
        for (gauge, lsn) in positions.iter().zip(values) {
            gauge.set(lsn.0 as f64);
        }
    }
}

async fn watch_registry(status: Arc<Status>, registry: Arc<Registry>) {
    loop {
        let answer = match time::timeout(ANSWER, registry.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err((error.kind(), error.to_string())),
            Err(_) => Err((
                "timeout",
                format!("no answer within {} s", ANSWER.as_secs()),
            )),
        };
        status.set_peer(Peer::Registry, answer);
        time::sleep(REGISTRY_EVERY).await;
    }
}

async fn watch_lag(config: Arc<Config>, status: Arc<Status>) {
    let connector = || config.name.clone();
    let source = metrics::gauge!("walferry_source_lag_bytes", "connector" => connector());
    let retained = metrics::gauge!("walferry_slot_retained_bytes", "connector" => connector());
    let mut catalog: Option<Catalog> = None;
    loop {
        let answer = time::timeout(ANSWER, ask_lag(&config, &mut catalog)).await;
        match answer {
            Ok(Ok((server_lsn, retained_bytes))) => {
                let held = status.ledger.positions().checkpointed;
                let lag = Lag {
                    source_bytes: Some(server_lsn.0.saturating_sub(held.0)),
                    slot_retained_bytes: retained_bytes,
                    freshness_ms: None,
                    server_lsn: Some(server_lsn),
                };
                source.set(lag.source_bytes.unwrap_or(0) as f64);
                retained.set(retained_bytes.unwrap_or(0) as f64);
                status.set_lag(lag, config.source.slot_retained_bytes_max);
            }
            // The session's own loss says that the server is away; here it is only asked anew.
            _ => catalog = None,
        }
        time::sleep(LAG_EVERY).await;
    }
}

async fn ask_lag(
    config: &Config,
    catalog: &mut Option<Catalog>,
) -> Result<(Lsn, Option<u64>), walferry_postgres::Error> {
    let open = match catalog.take() {
        Some(open) => open,
        None => Catalog::connect(&config.source.connect).await?,
    };
    let lsn = open.current_wal().await?;
    let slot = open.slot(&config.source.slot).await?;
    *catalog = Some(open);
    let retained = slot.and_then(|slot| slot.retained_bytes);
    Ok((lsn, retained.and_then(|bytes| u64::try_from(bytes).ok())))
}
