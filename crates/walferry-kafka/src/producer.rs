//! librdkafka behind the seven calls: one transactional producer, and a thread that polls it.
//!
//! Owns the producer, its poll thread and what their events said. Invariant: a producer that has seen an error is dropped
//! by the state machine, never used again.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    Checkpoint, Config, Error, RecordBlock, RecordRef,
    config::{QUEUE_MESSAGES_MAX, RETRY_BACKOFF_MS, TRANSACTION_TIMEOUT},
    error::Kind,
    events::Events,
    native,
    reader::read_until,
    transactions::{End, Fault, Grouping, Timing, Transactions},
    veil::{self, Veil},
};

/// A producer, the topics that it has sent to, and the thread that polls it.
struct Live {
    producer: Arc<BaseProducer<Events>>,
    topics: HashMap<Box<str>, native::Topic>,
    polling: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
}

impl Live {
    fn topic(&mut self, name: &str) -> Result<&native::Topic, Fault> {
        if !self.topics.contains_key(name) {
            let topic = native::Topic::new(&self.producer, name);
            let topic = topic.map_err(|error| fault(&KafkaError::MessageProduction(error)))?;
            self.topics.insert(name.into(), topic);
        }
        Ok(&self.topics[name])
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.polling.store(false, Ordering::SeqCst);
        if let Some(poller) = self.poller.take()
            && poller.join().is_err()
        {
            tracing::error!("the poll thread panicked");
        }
    }
}

/// The seven calls on librdkafka.
pub(crate) struct Librdkafka {
    config: Config,
    stop: Arc<AtomicBool>,
    live: Option<Live>,
    committed_at: Option<Instant>,
    pause: Duration,
    sent_bytes: usize,
    sent_records: usize,
}

const POLL: Duration = Duration::from_millis(10);
/// Events that are taken at each poll; a failed batch is one event.
const EVENTS: usize = 16;
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
    pub(crate) fn new(config: Config, stop: Arc<AtomicBool>) -> Librdkafka {
        Librdkafka {
            config,
            stop,
            live: None,
            committed_at: None,
            pause: PAUSE_MIN,
            sent_bytes: 0,
            sent_records: 0,
        }
    }

    fn live(&self) -> Result<&Live, Fault> {
        self.live.as_ref().ok_or_else(no_producer)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The first failure that a callback has reported.
    fn failure(&self) -> Result<(), Fault> {
        self.live()?.producer.context().fault().map_or(Ok(()), Err)
    }

    /// Waits until librdkafka's queue is half empty: waking it for each record costs twice the processor time. Records of so many
    /// partitions that none fills a batch are sent by a flush.
    fn wait_for_room(&self) -> Result<(), Fault> {
        let producer = &self.live()?.producer;
        let half = producer.in_flight_count().min(QUEUE_MESSAGES_MAX) / 2;
        loop {
            if self.settle(half)? <= half {
                return Ok(());
            }
            native::flush(producer, SETTLED);
        }
    }

    /// Waits until librdkafka's queue has no more than `enough` records, or no more of them are acknowledged.
    fn settle(&self, enough: i32) -> Result<i32, Fault> {
        let producer = &self.live()?.producer;
        let (mut left, mut fell) = (producer.in_flight_count(), Instant::now());
        while left > enough && fell.elapsed() < SETTLED {
            self.failure()?;
            if self.stopped() {
                return Err(Fault::Stopped);
            }
            std::thread::sleep(FULL_PAUSE);
            let now = producer.in_flight_count();
            if now < left {
                (left, fell) = (now, Instant::now());
            }
        }
        Ok(left)
    }

    /// Sends records without headers to one topic.
    fn send_run(
        &mut self,
        block: &Arc<RecordBlock>,
        mut run: Range<usize>,
        mut sequence: usize,
    ) -> Result<(), Fault> {
        loop {
            let live = self.live.as_mut().ok_or_else(no_producer)?;
            let topic = live.topic(block.record(run.start).topic)?;
            let Err((taken, code)) = native::produce(topic, block, run.clone(), sequence) else {
                return Ok(());
            };
            run.start += taken;
            sequence += taken;
            let error = KafkaError::MessageProduction(code);
            self.not_taken(&error, &block.record(run.start), sequence)?;
        }
    }

    /// Waits for room when the queue is full; anything else is a fault.
    fn not_taken(
        &self,
        error: &KafkaError,
        record: &RecordRef<'_>,
        sequence: usize,
    ) -> Result<(), Fault> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => self.wait_for_room(),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Err(Fault::TooLarge {
                sequence,
                bytes: record.value_len(),
                alone: true,
            }),
            _ => {
                self.failure()?;
                Err(match fault(error) {
                    Fault::NoTopic(_) => Fault::NoTopic(record.topic.to_owned()),
                    other => other,
                })
            }
        }
    }

    /// Waits until every record is acknowledged. librdkafka sends what makes no full batch only when it is flushed, and its
    /// thread spins as long as a flush lasts: full batches are waited for before.
    fn flush(&self) -> Result<(), Fault> {
        let batch = self.config.batch_bytes();
        if self.sent_bytes >= batch {
            let records = self.sent_records.saturating_mul(batch) / self.sent_bytes;
            self.settle(i32::try_from(records).unwrap_or(i32::MAX))?;
        }
        let until = Instant::now() + TRANSACTION_TIMEOUT;
        let producer = &self.live()?.producer;
        while !native::flush(producer, STEP) {
            self.failure()?;
            if self.stopped() {
                return Err(Fault::Stopped);
            }
            if Instant::now() >= until {
                return Err(Fault::Doubt("records were not acknowledged in time".into()));
            }
        }
        self.failure()
    }

    /// Ends the transaction. A retriable error asks for the same call again.
    fn end(&self) -> Result<(), Fault> {
        let until = Instant::now() + TRANSACTION_TIMEOUT;
        loop {
            match native::commit(&self.live()?.producer, STEP) {
                Ok(()) => return Ok(()),
                Err(error) if error.retriable && !error.fatal && Instant::now() < until => {}
                Err(error) if error.fenced => return Err(Fault::Fenced(error.text)),
                Err(error) => return Err(Fault::Doubt(error.text)),
            }
            if self.stopped() {
                return Err(Fault::Stopped);
            }
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
}

impl Transactions for Librdkafka {
    fn begin(&mut self) -> Result<(), Fault> {
        if let Some(committed_at) = self.committed_at {
            std::thread::sleep(self.pause.saturating_sub(committed_at.elapsed()));
        }
        let live = self.live()?;
        live.producer.context().watch_connections();
        live.producer
            .begin_transaction()
            .map_err(|error| fault(&error))
    }

    fn send(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
        sequence: usize,
    ) -> Result<(), Fault> {
        let mut sequence = sequence;
        for run in block.runs(records, RUN_RECORDS_MAX) {
            let first = block.record(run.start);
            if first.headers.is_none() && self.config.headers.is_empty() {
                self.sent_records += run.len();
                let bytes = run.clone().map(|it| block.record(it).value_len());
                self.sent_bytes += bytes.sum::<usize>();
                self.send_run(block, run.clone(), sequence)?;
            } else {
                for (index, place) in run.clone().zip(sequence..) {
                    self.send_one(&block.record(index), place)?;
                }
            }
            sequence += run.len();
        }
        Ok(())
    }

    fn send_one(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault> {
        self.sent_records += 1;
        self.sent_bytes += record.value_len();
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

    fn commit(&mut self) -> Result<Timing, Fault> {
        let started = Instant::now();
        self.flush()?;
        let flushed = Instant::now();
        self.end()?;
        let now = Instant::now();
        self.committed_at = Some(now);
        let timing = Timing {
            flush: flushed - started,
            end: now - flushed,
            suspect: self.config.guard
                && (now - flushed > Duration::from_millis(RETRY_BACKOFF_MS * 7 / 10)
                    || self.live()?.producer.context().has_lost_one()),
        };
        self.adapt(timing.flush);
        Ok(timing)
    }

    fn abort(&mut self) {
        let Some(live) = &self.live else { return };
        if let Err(error) = live.producer.abort_transaction(ABORT) {
            tracing::debug!(%error, "the open transaction was left to the coordinator");
        }
        self.live = None;
    }

    fn replace(&mut self, grouping: Grouping) -> Result<(), Fault> {
        self.live = None;
        let mut settings = self
            .config
            .producer()
            .map_err(|error| error_fault(&error))?;
        let mut alone_bytes_min = self.config.batch_bytes();
        if grouping == Grouping::Single {
            settings.set("batch.num.messages", "1");
            alone_bytes_min = 0;
        }
        let events = Events::new(alone_bytes_min, Veil::of(&self.config));
        let producer: BaseProducer<Events> = settings
            .create_with_context(events)
            .map_err(|error| error_fault(&veil::property(&self.config, &error)))?;
        let producer = Arc::new(producer);
        let polling = Arc::new(AtomicBool::new(true));
        let poller = std::thread::Builder::new()
            .name("walferry-poll".into())
            .spawn({
                let (producer, polling) = (producer.clone(), polling.clone());
                let span = tracing::Span::current();
                move || {
                    let _named = span.enter();
                    // The crate's poll spins through the last millisecond of its timeout, so the wait is ours.
                    while polling.load(Ordering::SeqCst) {
                        (0..EVENTS).for_each(|_| producer.poll(Duration::ZERO));
                        std::thread::sleep(POLL);
                    }
                }
            });
        let poller =
            poller.map_err(|error| Fault::Doubt(format!("starting the poll thread: {error}")))?;
        let live = self.live.insert(Live {
            producer,
            topics: HashMap::new(),
            polling,
            poller: Some(poller),
        });
        let until = Instant::now() + TRANSACTION_TIMEOUT;
        // The call goes on in the background when it times out; only the same call may follow.
        let topic = self.config.checkpoint_topic.as_str();
        let mut patience = NUDGE;
        while let Err(error) = live.producer.init_transactions(patience) {
            let KafkaError::Transaction(described) = &error else {
                return Err(fault(&error));
            };
            if !described.is_retriable() {
                return Err(fault(&error));
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Fault::Stopped);
            }
            if Instant::now() >= until {
                return Err(Fault::Doubt(error.to_string()));
            }
            // Without a connection librdkafka looks for the coordinator again after 500 ms (`rd_kafka_txn_coord_query`), or when
            // the cluster tells of itself. That it does not is the call's error to tell.
            let _ = live.producer.client().fetch_metadata(Some(topic), STEP);
            patience = (patience * 2).min(STEP);
        }
        Ok(())
    }

    fn checkpoint(&mut self, end: End) -> Result<Option<Checkpoint>, Fault> {
        read_until(end, &self.config, &self.stop).map_err(|error| error_fault(&error))
    }
}

fn no_producer() -> Fault {
    Fault::Doubt("there is no producer".into())
}

fn error_fault(error: &Error) -> Fault {
    if error.is_stopped() {
        Fault::Stopped
    } else if error.disposition() == walferry_event::Disposition::Halt {
        Fault::Final(error.sort(), error.to_string())
    } else {
        Fault::Doubt(error.to_string())
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

fn fault(error: &KafkaError) -> Fault {
    use RDKafkaErrorCode as Code;
    let code = match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    };
    match code {
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
            Fault::Fenced(error.to_string())
        }
        Some(
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed,
        ) => Fault::Final(Kind::Denied, error.to_string()),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => Fault::NoTopic(String::new()),
        _ => Fault::Doubt(error.to_string()),
    }
}
