//! Watches the servers beside the ring: who answers, how far behind we are, how much memory is held.
//!
//! Owns the questions that nothing else asks in time: an idle or blocked ring notices a lost server only here.
//! Invariant: a server that stops answering is in `/readyz` within five seconds.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{task::JoinHandle, time};
use tracing::Instrument;
use walferry_event::{Disposition, Lsn};
use walferry_kafka::Health;
use walferry_postgres::{Catalog, StreamHandle};
use walferry_registry::Registry;

use crate::{
    clock::Moment,
    config::{Config, InForce},
    connector::parked_retry,
    encode::block::Memory,
    kept::taken_or_opened,
    status::{Status, latency::server_clock::Comparison, report::Lag, state::Peer},
};

/// How often each question is asked, and how long its answer may take.
const TICK: Duration = Duration::from_millis(500);
const REGISTRY_EVERY: Duration = Duration::from_secs(2);
/// How often a registry that is away is asked.
const REGISTRY_AWAY_EVERY: Duration = Duration::from_millis(500);
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
        config: InForce,
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
            spawn(parked_retry::watch(
                config.clone(),
                status.clone(),
                registry,
            )),
            spawn(watch_lag(config, status, stream.clone())),
        ];
        Monitor { tasks, stream }
    }

    /// One task more.
    pub(crate) fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(spawn(task));
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
    config: InForce,
    status: Arc<Status>,
    kafka: Arc<Health>,
    stream: Watched,
    memory: Memory,
) {
    let name = &config.now().name;
    let connector = || name.clone();
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

/// Asks the registry whether it is there, and whether it still means the same by its ids. One that is back after an outage may
/// be another.
async fn watch_registry(status: Arc<Status>, registry: Arc<Registry>) {
    let mut away = false;
    loop {
        let asked = async {
            registry.ping().await?;
            match away {
                true => Ok(None),
                false => match registry.still_means_the_same().await {
                    // Who may register need not be allowed to read.
                    Err(error) if error.disposition() == Disposition::Halt => Ok(None),
                    answer => answer,
                },
            }
        };
        let answer = match time::timeout(ANSWER, asked).await {
            Ok(Ok(changed)) => {
                if let Some(changed) = changed {
                    tracing::warn!(target: "audit", error = changed, "the registry answers differently");
                }
                Ok(())
            }
            Ok(Err(error)) => Err((error.kind(), walferry_registry::Error::to_string(&error))),
            Err(_) => Err((
                "timeout",
                format!("no answer within {} s", ANSWER.as_secs()),
            )),
        };
        let was_away = std::mem::replace(&mut away, answer.is_err());
        if was_away && !away {
            registry.forget();
        }
        status.set_peer(Peer::Registry, answer);
        time::sleep(match away {
            true => REGISTRY_AWAY_EVERY,
            false => REGISTRY_EVERY,
        })
        .await;
    }
}

/// Asks PostgreSQL how far its log is, and what it keeps for the slot. While nothing streams, as in a snapshot, nobody else
/// notices that the server is away.
async fn watch_lag(config: InForce, status: Arc<Status>, stream: Watched) {
    let mut said = false;
    let name = &config.now().name;
    let connector = || name.clone();
    let source = metrics::gauge!("walferry_source_lag_bytes", "connector" => connector());
    let retained = metrics::gauge!("walferry_slot_retained_bytes", "connector" => connector());
    if let Some(budget) = config.now().source.slot_retained_bytes_max {
        metrics::gauge!("walferry_slot_retained_bytes_max", "connector" => connector())
            .set(budget as f64);
    }
    let mut catalog: Option<Catalog> = None;
    loop {
        let config = config.now();
        let answer = time::timeout(ANSWER, ask_lag(&config, &status, &mut catalog)).await;
        let failed = match &answer {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some((error.kind(), error.to_string())),
            Err(_) => Some((
                "timeout",
                format!("no answer within {} s", ANSWER.as_secs()),
            )),
        };
        match answer {
            Ok(Ok((server_lsn, retained_bytes))) => {
                let held = status.ledger.positions().checkpointed;
                let lag = Lag {
                    source_bytes: Some(server_lsn.0.saturating_sub(held.0)),
                    slot_retained_bytes: retained_bytes,
                    slot_retained_bytes_max: config.source.slot_retained_bytes_max,
                    freshness_ms: None,
                    server_lsn: Some(server_lsn),
                };
                source.set(lag.source_bytes.unwrap_or(0) as f64);
                retained.set(retained_bytes.unwrap_or(0) as f64);
                status.set_lag(lag);
            }
            _ => catalog = None,
        }
        let streams = stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        // Of a stream the session's own loss says that the server is away; here it is only asked anew.
        match failed {
            Some(reason) if !streams && status.is_snapshotting() => {
                said = true;
                status.set_peer(Peer::PostgreSql, Err(reason));
            }
            None if std::mem::take(&mut said) => status.set_peer(Peer::PostgreSql, Ok(())),
            _ => {}
        }
        time::sleep(LAG_EVERY).await;
    }
}

async fn ask_lag(
    config: &Config,
    status: &Status,
    catalog: &mut Option<Catalog>,
) -> Result<(Lsn, Option<u64>), walferry_postgres::Error> {
    let connect = Catalog::connect(&config.source.connect);
    let open = taken_or_opened(catalog, connect).await?;
    let asked = Moment::now();
    let (lsn, server_us) = open.wal_and_clock().await?;
    let compared = Comparison::new(asked, asked.monotonic.elapsed(), server_us);
    status.latency.compare(compared);
    let slot = open.slot(&config.source.slot).await?;
    let synchronous = open.is_synchronous(&config.source.slot).await?;
    if synchronous && !status.synchronous.load(Ordering::Relaxed) {
        tracing::warn!(
            application_name = config.source.connect.application_name,
            "commits on the server wait until Kafka has what they wrote: synchronous_standby_names counts this session as a \
             standby; name the standbys in it, and not \"*\""
        );
    }
    status.synchronous.store(synchronous, Ordering::Relaxed);
    *catalog = Some(open);
    let retained = slot.and_then(|slot| slot.retained_bytes);
    Ok((lsn, retained.and_then(|bytes| u64::try_from(bytes).ok())))
}
