//! The publisher thread: blocks of records become Kafka transactions, each with its checkpoint.
//!
//! Owns the open batch and the memory of what is not committed yet. Never encodes, never talks to PostgreSQL; it tells
//! the session what may be confirmed, and only after the checkpoint that covers it is committed.
//! Invariant: at every commit the checkpoint is the position of the last record that was handed to Kafka.
//! Start reading at `Publishing::run`.

pub(crate) mod batch;
pub(crate) mod durable;
mod passages;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Histogram};
use tokio::sync::{OwnedSemaphorePermit, watch};
use walferry_kafka::Publisher;

use crate::{
    clock::Moment,
    config::Config,
    encode::block::{EncodedBlock, Mark},
    error::Error,
    position::{checkpoint_writer::CheckpointWriter, committed::Committed, table_positions::Held},
    publish::{
        batch::Batch,
        durable::Durable,
        passages::{End, Passages},
    },
    status::Status,
};

/// What the publisher thread works with.
pub(crate) struct Publishing {
    publisher: Publisher,
    input: Receiver<EncodedBlock>,
    batch: Batch,
    /// What is in the open batch.
    open: Open,
    /// What is committed when the open batch is.
    reached: Committed,
    idle: Idle,
    stamp: Arc<CheckpointWriter>,
    durable: Arc<Durable>,
    status: Arc<Status>,
    /// Whether the ring ends.
    halted: watch::Receiver<bool>,
    /// Topics that are no table's: without one of them nothing can go on.
    side_topics: Vec<String>,
    meters: Meters,
}

/// What the open batch keeps until it is committed.
#[derive(Default)]
struct Open {
    /// The memory of its blocks.
    permits: Vec<OwnedSemaphorePermit>,
    commit_times_us: Vec<i64>,
    passages: Passages,
}

/// The position that a stream without anything for us has come to: it is committed from time to time.
struct Idle {
    held: Option<Held>,
    /// The server waits for it to be confirmed.
    urgent: bool,
    checkpointed_at: Instant,
    heartbeat: Duration,
}

struct Meters {
    freshness: Histogram,
    commit: Histogram,
    batch_bytes: Histogram,
    transactions: Counter,
    bytes: Counter,
    records: HashMap<Arc<str>, Counter>,
    connector: String,
}

impl Meters {
    fn new(connector: &str) -> Meters {
        let name = || connector.to_owned();
        Meters {
            freshness: metrics::histogram!("walferry_freshness_seconds", "connector" => name()),
            commit: metrics::histogram!("walferry_kafka_commit_seconds", "connector" => name()),
            batch_bytes: metrics::histogram!("walferry_batch_bytes", "connector" => name()),
            transactions: metrics::counter!("walferry_transactions_total", "connector" => name()),
            bytes: metrics::counter!("walferry_bytes_total", "connector" => name(), "stage" => "publish"),
            records: HashMap::new(),
            connector: name(),
        }
    }

    /// Records were committed.
    fn count_records(&mut self, counts: Vec<(Arc<str>, u64)>) {
        for (topic, count) in counts {
            let counter = self.records.entry(topic).or_insert_with_key(|topic| {
                metrics::counter!("walferry_records_total",
                    "connector" => self.connector.clone(), "topic" => topic.to_string())
            });
            counter.increment(count);
        }
    }
}

/// How often the thread shows that it is alive, and the longest that one of its steps may take.
const PULSE: Duration = Duration::from_millis(500);
const STUCK: Duration = Duration::from_secs(180);

impl Publishing {
    pub(crate) fn new(
        config: &Config,
        publisher: Publisher,
        input: Receiver<EncodedBlock>,
        stamp: Arc<CheckpointWriter>,
        durable: Arc<Durable>,
        status: Arc<Status>,
        halted: watch::Receiver<bool>,
    ) -> Publishing {
        Publishing {
            publisher,
            input,
            batch: Batch::new(
                config.publish.batch_budget_bytes(),
                Duration::from_millis(config.publish.commit_interval_ms),
            ),
            open: Open::default(),
            reached: durable.now(),
            idle: Idle {
                held: None,
                urgent: false,
                checkpointed_at: Instant::now(),
                heartbeat: Duration::from_millis(config.source.heartbeat_ms),
            },
            stamp,
            durable,
            status,
            halted,
            side_topics: vec![
                config.kafka.checkpoint_topic.clone(),
                config.errors.dead_letter_topic.clone(),
                config.transaction_topic(),
                config.message_topic(),
            ],
            meters: Meters::new(&config.name),
        }
    }

    /// Publishes until the encoder closes its end; then commits what is left.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let outcome = self.publish_all();
        self.status.pulse_ends("publish");
        if outcome.is_err() {
            self.publisher.discard();
        }
        outcome
    }

    fn publish_all(&mut self) -> Result<(), Error> {
        let mut pause = false;
        loop {
            self.status.pulse("publish", STUCK);
            self.hold_while_paused()?;
            let next = match self.input.try_recv() {
                Ok(block) => Some(block),
                Err(TryRecvError::Disconnected) => return self.finish(),
                Err(TryRecvError::Empty) => {
                    if pause && self.batch.complete() {
                        self.commit()?;
                    }
                    match self.wait() {
                        Ok(next) => next,
                        Err(Closed) => return self.finish(),
                    }
                }
            };
            match next {
                Some(block) => {
                    pause = block.pause;
                    self.take(block)?;
                    // On a busy server positions alone come without a pause, and have to be kept nevertheless.
                    if self.idle.urgent || self.idle.held.is_some() {
                        self.commit_if_due()?;
                    }
                }
                None => self.commit_if_due()?,
            }
        }
    }

    /// The next block, or nothing when the batch or a heartbeat may be due.
    fn wait(&mut self) -> Result<Option<EncodedBlock>, Closed> {
        let until = self
            .batch
            .deadline()
            .map_or(PULSE, |at| at.saturating_duration_since(Instant::now()))
            .min(PULSE);
        match self.input.recv_timeout(until) {
            Ok(block) => Ok(Some(block)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    fn take(&mut self, mut block: EncodedBlock) -> Result<(), Error> {
        self.open.permits.extend(block.permit.take());
        let mut sending = Instant::now();
        self.open.passages.begins(block.passage, sending);
        let mut records_done = 0;
        let mut bytes_done = 0;
        for mark in &block.marks {
            let appended = self
                .publisher
                .append(&block.records, records_done..mark.records_end);
            appended.map_err(|error| self.failed(error))?;
            let bytes = mark.bytes_end - bytes_done;
            (records_done, bytes_done) = (mark.records_end, mark.bytes_end);
            if self.marked(mark, bytes) || self.status.pausing.is_wanted() {
                self.open.passages.sent(sending.elapsed());
                if self.batch.due(Instant::now()) {
                    self.commit()?;
                }
                self.hold_while_paused()?;
                sending = Instant::now();
            }
        }
        self.open.passages.sent(sending.elapsed());
        if let Some(idle) = block.idle {
            self.status.ledger.publish(idle.position.end_lsn);
            self.idle.held = Some(idle);
        }
        self.idle.urgent |= block.urgent;
        Ok(())
    }

    /// Waits while an operator holds publishing, at the end of a PostgreSQL transaction and with nothing open.
    fn hold_while_paused(&mut self) -> Result<(), Error> {
        if !self.status.pausing.is_wanted() {
            return Ok(());
        }
        let whole = match self.batch.cut() {
            Some(cut) => cut.whole,
            None => self.durable.held().position.ordinal.is_none(),
        };
        if !whole {
            return Ok(());
        }
        self.commit()?;
        let status = &self.status;
        tracing::info!(lsn = %status.ledger.positions().checkpointed, "publishing is held");
        let alive = || {
            status.show_state();
            // The encoder may wait for memory, which comes back when publishing goes on.
            status.pulse_goes_on("publish");
            status.pulse_goes_on("encode");
        };
        let resumed = status.pausing.hold(alive, || *self.halted.borrow());
        status.show_state();
        match resumed {
            true => Ok(()),
            // What waits is not published; it comes again at the next start.
            false => Err(Error::stopped()),
        }
    }

    /// Whether the batch ends at this mark.
    fn marked(&mut self, mark: &Mark, bytes: u64) -> bool {
        let at = mark.held.position;
        self.status.ledger.publish(at.end_lsn);
        if let Some(times) = mark.times {
            self.open.commit_times_us.push(times.commit_us);
            self.open.passages.add(times);
        }
        self.reached.held = mark.held.clone();
        // What was idle before is older than this mark.
        self.idle.held = None;
        if let Some(progress) = &mark.snapshot {
            self.reached.carry(progress.clone());
        }
        if self.reached.snapshot.is_some() && !self.open.commit_times_us.is_empty() {
            self.batch.share();
        }
        let due = self.batch.add(bytes, mark.cut(), Instant::now());
        if due && !mark.whole {
            tracing::info!(lsn = %at.commit_lsn, xid = mark.xid,
                ordinal = at.ordinal, "a transaction larger than a batch is cut");
        }
        due
    }

    fn commit_if_due(&mut self) -> Result<(), Error> {
        if self.batch.due(Instant::now()) {
            return self.commit();
        }
        let heartbeat_due = self.idle.checkpointed_at.elapsed() >= self.idle.heartbeat;
        if !(heartbeat_due || self.idle.urgent) || self.batch.cut().is_some() {
            return Ok(());
        }
        self.idle.urgent = false;
        self.checkpoint_idle()
    }

    fn checkpoint_idle(&mut self) -> Result<(), Error> {
        match self.idle.held.take() {
            Some(idle) if idle != self.durable.held() => {
                self.reached.held = idle;
                self.checkpoint().map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Commits the open batch at its last mark.
    fn commit(&mut self) -> Result<(), Error> {
        if self.batch.cut().is_none() {
            return Ok(());
        }
        let begun = Instant::now();
        let flush = self.checkpoint()?;
        self.meters.batch_bytes.record(self.batch.bytes() as f64);
        self.batch.clear();
        self.open.permits.clear();
        let readable = Moment::now();
        let ahead_us = self.status.latency.server_ahead_us();
        let end = End {
            begun,
            flush,
            readable: readable.monotonic,
            ahead_us,
        };
        self.open.passages.settle(&end, &self.status.latency);
        self.meters
            .transactions
            .increment(self.open.commit_times_us.len() as u64);
        for commit_us in self.open.commit_times_us.drain(..) {
            let age_us = (readable.us + ahead_us - commit_us).max(0);
            self.meters.freshness.record(age_us as f64 / 1e6);
            self.status.latency.set_freshness_ms(age_us / 1000);
        }
        Ok(())
    }

    /// Commits a checkpoint with whatever is open, and lets PostgreSQL forget what it covers. How long it took until the last record was
    /// acknowledged.
    fn checkpoint(&mut self) -> Result<Duration, Error> {
        let started = Instant::now();
        let checkpoint = self.stamp.next(&self.reached);
        let committed = self.publisher.commit(checkpoint);
        let report = committed.map_err(|error| self.failed(error))?;
        self.meters.count_records(report.records);
        self.meters.bytes.increment(self.batch.bytes());
        self.meters.commit.record(started.elapsed().as_secs_f64());
        self.idle.checkpointed_at = Instant::now();
        self.durable.apply(self.reached.clone());
        // It is told once that a snapshot is finished.
        self.reached.snapshot.take_if(|it| it.finished());
        Ok(Duration::from_micros(report.flush_us))
    }

    /// What Kafka does not take for a table's topic is its table's matter: the ring begins again at the checkpoint, and the
    /// encoder knows of it then. So does it for a topic that is gone, which is created anew.
    fn failed(&self, error: walferry_kafka::Error) -> Error {
        let is_a_table_s = |topic: &str| !self.side_topics.iter().any(|it| it == topic);
        if let Some(refusal) = error.refusal().filter(|it| is_a_table_s(&it.topic)) {
            self.status.refusals.note(refusal);
            return Error::diverged(format!("{}: its table's policy decides", refusal.reason));
        }
        if error.missing_topic().is_some_and(is_a_table_s) {
            return Error::diverged(error.to_string());
        }
        error.into()
    }

    /// The encoder has ended: what it left is committed, and then an idle position that is later still.
    fn finish(&mut self) -> Result<(), Error> {
        self.commit()?;
        self.checkpoint_idle()
    }
}

/// The encoder has closed its end.
struct Closed;
