//! librdkafka behind the seven calls: one transactional producer after the other.
//!
//! Owns what is sent and not acknowledged, and the waits for Kafka. Invariant: a producer that has seen an error is dropped
//! by the state machine, never used again.

mod calls;
mod faults;
mod live;
mod spoilt;

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer},
};

use crate::{
    Checkpoint, Config, Health, RecordBlock, RecordRef, Refusal, Refused,
    answers::{Meaning, meaning},
    config::{QUEUE_MESSAGES_MAX, RETRY_BACKOFF_MS},
    error::Kind,
    events::Events,
    native,
    reader::read_until,
    sizes::Sizes,
    transactions::{End, Fault, Grouping, Timing, Transactions},
    veil::Veil,
    waits::{Outstanding, Patience, Wait},
};

use calls::Failed;
use faults::{denied, error_fault, fault, first_cause, no_producer, unended};
use live::Live;
use spoilt::spoilt;

/// The seven calls on librdkafka.
pub(crate) struct Librdkafka {
    config: Config,
    sizes: Sizes,
    stop: Arc<AtomicBool>,
    health: Arc<Health>,
    patience: Patience,
    live: Option<Live>,
    outstanding: Outstanding,
    /// Topics of transactions that may not have ended.
    unended: BTreeSet<Box<str>>,
    committed_at: Option<Instant>,
    pause: Duration,
    sent_bytes: usize,
    sent_records: usize,
}

const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Full batches are sent by now, and what is left in the queue waits to be asked for.
const SETTLED: Duration = Duration::from_millis(10);
/// Records that librdkafka gets at once.
const RUN_RECORDS_MAX: usize = 256;
/// Between a commit and the next first record: spares the 20 ms that a too early AddPartitions costs.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// A flush of a batch below this many bytes that takes longer than this has met CONCURRENT_TRANSACTIONS.
const SMALL_BATCH_BYTES: usize = 64 * 1024;
const SLOW_FLUSH: Duration = Duration::from_millis(15);
/// How long an abort may take. Without an answer the next start or the coordinator's clock ends the transaction.
const ABORT: Duration = Duration::from_secs(2);
/// The first wait for the coordinator's answer.
const NUDGE: Duration = Duration::from_millis(20);
/// One step of a wait, after which the stop is looked at.
const STEP: Duration = Duration::from_millis(250);

impl Librdkafka {
    pub(crate) fn new(config: Config, stop: Arc<AtomicBool>, health: Arc<Health>) -> Librdkafka {
        Librdkafka {
            sizes: config.sizes(),
            config,
            stop,
            health,
            patience: Patience::default(),
            live: None,
            outstanding: Outstanding::default(),
            unended: BTreeSet::new(),
            committed_at: None,
            pause: PAUSE_MIN,
            sent_bytes: 0,
            sent_records: 0,
        }
    }

    fn live(&self) -> Result<&Live, Fault> {
        self.live.as_ref().ok_or_else(no_producer)
    }

    /// A wait that begins now, for what librdkafka holds.
    fn wait(&self, what: &'static str) -> Wait {
        let (stop, health) = (self.stop.clone(), self.health.clone());
        Wait::begin(what, stop, health, self.patience, self.outstanding.bytes())
    }

    /// The failure that a callback has reported.
    fn failure(&self) -> Result<(), Fault> {
        self.live()?.producer.context().fault().map_or(Ok(()), Err)
    }

    /// The transaction has failed as a whole: what one of its records has told explains that better.
    fn spoilt(&self, error: &native::TransactionError) -> Fault {
        let Some(live) = &self.live else {
            return no_producer();
        };
        live.let_events_pass();
        let failure = live.producer.context().fault();
        failure.unwrap_or_else(|| spoilt(live, &self.config, error))
    }

    /// Waits until librdkafka's queue holds `records` and `bytes` at most. Woken for each record it would cost twice the
    /// processor time, so it is looked at now and then. Records of so many partitions that none fills a batch are sent by a
    /// flush.
    fn settle(&mut self, records: usize, bytes: usize, flush: bool) -> Result<(), Fault> {
        let mut wait = self.wait("records wait for room");
        loop {
            let producer = &self.live()?.producer;
            let left = usize::try_from(producer.in_flight_count()).unwrap_or(0);
            if self.outstanding.left(left) {
                wait.moves();
            }
            if left <= records && self.outstanding.bytes() <= bytes {
                return Ok(());
            }
            self.failure()?;
            wait.look(&mut self.patience)?;
            if wait.still() < SETTLED {
                std::thread::sleep(FULL_PAUSE);
            } else if flush {
                native::flush(&self.live()?.producer, SETTLED);
            } else {
                return Ok(());
            }
        }
    }

    /// Waits for room for records of so many bytes; what is larger than the queue is sent when it is empty.
    fn admit(&mut self, records: usize, bytes: usize) -> Result<(), Fault> {
        let queue = usize::try_from(self.sizes.queue).unwrap_or(usize::MAX);
        let held = self.outstanding.bytes();
        if held > 0 && held + bytes > queue {
            let room = queue.saturating_sub(bytes).min(queue / 2);
            self.settle(usize::MAX, room, true)?;
        }
        self.outstanding.add(records, bytes);
        Ok(())
    }

    /// Sends records without headers to one topic.
    fn send_run(
        &mut self,
        block: &Arc<RecordBlock>,
        mut run: Range<usize>,
        mut sequence: usize,
    ) -> Result<(), Fault> {
        loop {
            let name = block.record(run.start).topic;
            let partitions = self.config.topics.partitions(name);
            let live = self.live.as_mut().ok_or_else(no_producer)?;
            let topic = live.topic(name, partitions)?;
            let Err((taken, code)) = native::produce(topic, block, run.clone(), sequence) else {
                return Ok(());
            };
            run.start += taken;
            sequence += taken;
            let error = KafkaError::MessageProduction(code);
            self.not_taken(&error, &block.record(run.start), sequence)?;
        }
    }

    /// Waits for room when the queue is full; anything else is a fault. An empty queue takes every record (`Sizes`).
    fn not_taken(
        &mut self,
        error: &KafkaError,
        record: &RecordRef<'_>,
        sequence: usize,
    ) -> Result<(), Fault> {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        if code == Code::QueueFull {
            let held = self
                .live()?
                .producer
                .in_flight_count()
                .min(QUEUE_MESSAGES_MAX);
            let half = usize::try_from(held / 2).unwrap_or(0);
            return self.settle(half, usize::MAX, true);
        }
        let bytes = record.value_len();
        match Refusal::of(code, record.topic, record.key.is_none(), bytes) {
            Some(refusal) => Err(Fault::Refused {
                sequence,
                refusal: match refusal.refused {
                    Refused::Size => Refusal::above_producer(record.topic, bytes, &self.sizes),
                    _ => refusal,
                },
                alone: true,
            }),
            // The transaction takes nothing any more, and so cannot be committed: the call only says why.
            None if code == Code::State => {
                match native::commit(&self.live()?.producer, Duration::ZERO) {
                    Ok(()) => Err(fault(error, record.topic)),
                    Err(error) => Err(self.spoilt(&error)),
                }
            }
            None => {
                self.failure()?;
                Err(fault(error, record.topic))
            }
        }
    }

    /// Waits until every record is acknowledged. librdkafka sends what makes no full batch only when it is flushed, and its
    /// thread spins as long as a flush lasts: full batches are waited for before.
    fn flush(&mut self) -> Result<(), Fault> {
        let batch = usize::try_from(self.sizes.batch).unwrap_or(usize::MAX);
        if self.sent_bytes >= batch {
            let records = self.sent_records.saturating_mul(batch) / self.sent_bytes;
            self.settle(records, usize::MAX, false)?;
        }
        let mut wait = self.wait("records are not acknowledged");
        while !native::flush(&self.live()?.producer, STEP) {
            let left = self.live()?.producer.in_flight_count();
            if self.outstanding.left(usize::try_from(left).unwrap_or(0)) {
                wait.moves();
            }
            self.failure()?;
            wait.look(&mut self.patience)?;
        }
        self.outstanding = Outstanding::default();
        self.failure()
    }

    /// Ends the transaction. A retriable error asks for the same call again.
    fn end(&mut self) -> Result<(), Fault> {
        let wait = self.wait("the end of a transaction");
        let live = self.live.as_mut().ok_or_else(no_producer)?;
        live.calls.commit();
        loop {
            match live.calls.answer(STEP) {
                Some(Ok(())) => return Ok(()),
                Some(Err(failed)) if failed.is_retriable() => {
                    // An answer that comes at once is not asked for in a circle.
                    std::thread::sleep(FULL_PAUSE);
                    live.calls.commit();
                }
                Some(Err(Failed::Commit(error))) if error.fenced => {
                    return Err(Fault::Fenced(error.text));
                }
                Some(Err(Failed::Commit(error))) => return Err(self.spoilt(&error)),
                Some(Err(_)) => return Err(no_producer()),
                None => {}
            }
            wait.look(&mut self.patience)?;
        }
    }

    /// Registers the producer with the coordinator.
    fn init(&mut self) -> Result<(), Fault> {
        let mut wait = self.wait("the transaction coordinator");
        let live = self.live.as_mut().ok_or_else(no_producer)?;
        live.calls.init();
        let topic = self.config.checkpoint_topic.as_str();
        let mut nudge = NUDGE;
        loop {
            let asked = Instant::now();
            match live.calls.answer(nudge) {
                Some(Ok(())) => return Ok(()),
                Some(Err(failed)) if failed.is_retriable() => live.calls.init(),
                Some(Err(Failed::Init(error))) => {
                    let KafkaError::Transaction(described) = &error else {
                        return Err(fault(&error, ""));
                    };
                    let code = described.code();
                    return Err(match meaning(code) {
                        Meaning::Connector => {
                            let text = denied(&self.config, &error.to_string(), code);
                            Fault::Final(Kind::Denied, text)
                        }
                        _ => fault(&error, ""),
                    });
                }
                Some(Err(_)) => return Err(no_producer()),
                None => {}
            }
            // The coordinator answers; what it cannot end, only the topics' brokers can tell.
            if live.producer.context().meets_unended() {
                wait.moves();
                wait.tells(|| unended(&self.unended));
            }
            wait.look(&mut self.patience)?;
            // Without a connection librdkafka looks for the coordinator again after 500 ms (`rd_kafka_txn_coord_query`), or when
            // the cluster tells of itself. That it does not is the call's error to tell.
            let _ = live.producer.client().fetch_metadata(Some(topic), STEP);
            std::thread::sleep(NUDGE.saturating_sub(asked.elapsed()));
            nudge = (nudge * 2).min(STEP);
        }
    }

    fn adapt(&mut self, flush: Duration) {
        self.pause = if self.sent_bytes < SMALL_BATCH_BYTES && flush >= SLOW_FLUSH {
            (self.pause * 2).min(PAUSE_MAX)
        } else {
            self.pause.mul_f64(0.98).max(PAUSE_MIN)
        };
        (self.sent_bytes, self.sent_records) = (0, 0);
    }

    fn whole(&self, fault: Fault) -> Fault {
        match &self.live {
            Some(live) => first_cause(&live.producer, fault),
            None => fault,
        }
    }

    fn send_records(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
        sequence: usize,
    ) -> Result<(), Fault> {
        let mut sequence = sequence;
        for run in block.runs(records, RUN_RECORDS_MAX) {
            let first = block.record(run.start);
            if first.headers.is_none() && self.config.headers.is_empty() {
                let bytes = run.clone().map(|it| block.record(it).value_len()).sum();
                self.admit(run.len(), bytes)?;
                self.sent_records += run.len();
                self.sent_bytes += bytes;
                self.send_run(block, run.clone(), sequence)?;
            } else {
                for (index, place) in run.clone().zip(sequence..) {
                    self.send_record(&block.record(index), place)?;
                }
            }
            sequence += run.len();
        }
        Ok(())
    }

    fn send_record(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault> {
        self.admit(1, record.value_len())?;
        self.sent_records += 1;
        self.sent_bytes += record.value_len();
        // The topic has its partitioner before it is named.
        let partitions = self.config.topics.partitions(record.topic);
        let live = self.live.as_mut().ok_or_else(no_producer)?;
        live.topic(record.topic, partitions)?;
        loop {
            let mut outgoing = BaseRecord::with_opaque_to(record.topic, sequence);
            outgoing.key = record.key;
            outgoing.payload = record.value;
            outgoing.headers = headers(record.headers, &self.config.headers);
            match self.live()?.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((error, _)) => self.not_taken(&error, record, sequence)?,
            }
        }
    }

    fn flush_and_end(&mut self) -> Result<Timing, Fault> {
        let started = Instant::now();
        self.flush()?;
        let flushed = Instant::now();
        self.end()?;
        self.patience.rewarded();
        let now = Instant::now();
        self.committed_at = Some(now);
        let timing = Timing {
            flush: flushed - started,
            end: now - flushed,
            suspect: now - flushed > Duration::from_millis(RETRY_BACKOFF_MS * 7 / 10)
                || self.live()?.producer.context().has_lost_one(),
        };
        self.adapt(timing.flush);
        Ok(timing)
    }
}

impl Transactions for Librdkafka {
    fn begin(&mut self) -> Result<(), Fault> {
        if let Some(committed_at) = self.committed_at {
            std::thread::sleep(self.pause.saturating_sub(committed_at.elapsed()));
        }
        let live = self.live()?;
        live.producer.context().watch_connections();
        let begun = live.producer.begin_transaction();
        begun.map_err(|error| self.whole(fault(&error, "")))
    }

    fn send(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
        sequence: usize,
    ) -> Result<(), Fault> {
        let sent = self.send_records(block, records, sequence);
        sent.map_err(|fault| self.whole(fault))
    }

    fn send_one(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault> {
        let sent = self.send_record(record, sequence);
        sent.map_err(|fault| self.whole(fault))
    }

    fn commit(&mut self) -> Result<Timing, Fault> {
        let committed = self.flush_and_end();
        committed.map_err(|fault| self.whole(fault))
    }

    fn abort(&mut self) {
        let Some(live) = &self.live else { return };
        if let Err(error) = live.producer.abort_transaction(ABORT) {
            tracing::debug!(%error, "the open transaction was left to the coordinator");
        }
        self.live = None;
    }

    fn replace(&mut self, grouping: Grouping) -> Result<(), Fault> {
        // Until the new producer has its epoch, the transaction of the one before may not have ended.
        let sent = self.live.iter().flat_map(|live| live.topics.keys());
        self.unended.extend(sent.cloned());
        self.live = None;
        self.outstanding = Outstanding::default();
        let mut settings = self
            .config
            .producer()
            .map_err(|error| error_fault(&error))?;
        let mut alone_bytes_min = usize::try_from(self.sizes.batch).unwrap_or(usize::MAX);
        if grouping == Grouping::Single {
            settings.set("batch.num.messages", "1");
            alone_bytes_min = 0;
        }
        let events = Events::new(alone_bytes_min, Veil::of(&self.config));
        self.live = Some(Live::new(&self.config, &settings, events)?);
        self.init()?;
        self.unended.clear();
        Ok(())
    }

    fn checkpoint(&mut self, end: End) -> Result<Option<Checkpoint>, Fault> {
        read_until(end, &self.config, &self.stop).map_err(|error| error_fault(&error))
    }
}

/// A record's own headers, then those of all records; none when there are neither.
fn headers(
    own: Option<&[(Box<str>, Vec<u8>)]>,
    common: &[(String, String)],
) -> Option<OwnedHeaders> {
    let own = own.unwrap_or_default();
    let count = own.len() + common.len();
    let own = own.iter().map(|(name, value)| (&**name, value.as_slice()));
    let common = common
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let add = |all: OwnedHeaders, (key, value)| {
        all.insert(Header {
            key,
            value: Some(value),
        })
    };
    (count > 0).then(|| {
        own.chain(common)
            .fold(OwnedHeaders::new_with_capacity(count), add)
    })
}
