//! The publisher's state machine: a batch is sent, committed with its checkpoint, and kept until its outcome is known.
//!
//! ```text
//! Fence ─▶ Recover ─▶ Ready ─▶ Open ─▶ Flushing ─▶ Ending ─▶ Ready
//!             ▲         └────────┴─ any doubt ─┴──────┘
//!             └────────────────── Replace ◀────┘
//! ```
//! Owns the batch and what is believed of the checkpoint. After any doubt the producer is replaced and the checkpoint read
//! again: it equals this batch's → done; the one before → the batch is sent again; anything else → diverged.
//! Invariant: never initialised without reading; the counter of the checkpoint only grows.
//! Start reading at [`Publisher::commit`], then `mend`.

use std::{
    collections::HashMap,
    net::TcpStream,
    net::ToSocketAddrs,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Checkpoint, Config, Error, Health, OwnedRecord, RecordBlock, RecordRef,
    config::RetryLimits,
    error::Kind,
    producer::Librdkafka,
    transactions::{Fault, Transactions},
};

/// What becomes of a record that the broker refuses for its size.
#[derive(Debug)]
pub enum Oversize {
    /// Publishing ends with an error that names it.
    Stop,
    /// It is left out.
    Skip,
    /// Another takes its place: a dead letter.
    Replace(OwnedRecord),
}

type OversizeRule = Box<dyn FnMut(RecordRef<'_>, usize) -> Oversize + Send>;

/// How a commit went.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitReport {
    /// Until the last record was acknowledged, in microseconds.
    pub flush_us: u64,
    /// EndTxn alone, in microseconds.
    pub end_txn_us: u64,
    /// Whether the producer had to be replaced on the way.
    pub replaced: bool,
}

/// Publishes batches, each with its checkpoint, exactly once.
pub struct Publisher {
    machine: Machine<Librdkafka>,
}

impl Publisher {
    /// Fences older instances and reads the checkpoint. Blocks; `stop` ends the wait.
    pub fn open(
        config: Config,
        instance: String,
        stop: Arc<AtomicBool>,
    ) -> Result<(Publisher, Option<Checkpoint>), Error> {
        let health = Arc::new(Health::default());
        let client = Librdkafka::new(config.clone(), health.clone(), stop.clone());
        let mut machine = Machine::new(client, &config, instance, stop, health);
        let checkpoint = machine.open()?;
        Ok((Publisher { machine }, checkpoint))
    }

    /// Sets what becomes of a record that the broker refuses for its size; without a rule publishing ends.
    pub fn on_oversize(
        &mut self,
        rule: impl FnMut(RecordRef<'_>, usize) -> Oversize + Send + 'static,
    ) {
        self.machine.oversize = Some(Box::new(rule));
    }

    /// Commits a checkpoint alone: from now on the connector is ours.
    pub fn claim(&mut self, checkpoint: Checkpoint) -> Result<(), Error> {
        self.commit(checkpoint).map(drop)
    }

    /// Sends records of a block, beginning a transaction when none is open. The block is kept until the commit.
    pub fn append(&mut self, block: &Arc<RecordBlock>, records: Range<usize>) -> Result<(), Error> {
        self.machine.append(block, records)
    }

    /// Commits what is open, with the checkpoint as its last record.
    pub fn commit(&mut self, checkpoint: Checkpoint) -> Result<CommitReport, Error> {
        self.machine.commit(checkpoint)
    }

    /// Drops what is open. The next instance's start aborts it in Kafka.
    pub fn discard(&mut self) {
        self.machine.batch.clear();
    }

    /// Whether Kafka answers.
    pub fn health(&self) -> Arc<Health> {
        self.machine.health.clone()
    }
}

/// What the open transaction holds.
#[derive(Default)]
struct Batch {
    open: bool,
    sent: usize,
    parts: Vec<(Arc<RecordBlock>, Range<usize>)>,
    /// Records that the broker refused, by their place in the transaction.
    exceptions: HashMap<usize, Option<OwnedRecord>>,
}

impl Batch {
    fn clear(&mut self) {
        *self = Batch::default();
    }
}

/// The machine over any client.
pub(crate) struct Machine<T> {
    client: T,
    key: String,
    topic: String,
    brokers: String,
    instance: String,
    retries: RetryLimits,
    stop: Arc<AtomicBool>,
    health: Arc<Health>,
    batch: Batch,
    last: Option<Checkpoint>,
    suspect: bool,
    own_fences: Vec<Instant>,
    oversize: Option<OversizeRule>,
}

/// What a doubt turned out to be.
enum Outcome {
    /// The batch in doubt is committed.
    Committed,
    /// The batch was not committed, and has been sent again.
    SentAgain,
}

/// Own fences within the window before it counts as a fault.
const OWN_FENCES_MAX: usize = 3;
const OWN_FENCES_WINDOW: Duration = Duration::from_secs(600);
const STEP: Duration = Duration::from_millis(100);
const PROBE: Duration = Duration::from_millis(500);

impl<T: Transactions> Machine<T> {
    pub(crate) fn new(
        client: T,
        config: &Config,
        instance: String,
        stop: Arc<AtomicBool>,
        health: Arc<Health>,
    ) -> Machine<T> {
        Machine {
            client,
            key: config.connector.clone(),
            topic: config.checkpoint_topic.clone(),
            brokers: config.brokers.clone(),
            instance,
            retries: config.retries,
            stop,
            health,
            batch: Batch::default(),
            last: None,
            suspect: false,
            own_fences: Vec::new(),
            oversize: None,
        }
    }

    /// Fence and Recover.
    pub(crate) fn open(&mut self) -> Result<Option<Checkpoint>, Error> {
        let mut tries = 0;
        loop {
            let outcome = self
                .client
                .replace()
                .and_then(|()| self.client.checkpoint());
            match outcome {
                Ok(found) => {
                    self.last.clone_from(&found);
                    return Ok(found);
                }
                Err(fault) => self.pause(fault, &mut tries)?,
            }
        }
    }

    pub(crate) fn append(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
    ) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.ready()?;
        self.batch.parts.push((block.clone(), records));
        let last = self.batch.parts.len() - 1;
        match self.send_parts(last) {
            Ok(()) => Ok(()),
            Err(fault) => self.mend(fault, None).map(drop),
        }
    }

    pub(crate) fn commit(&mut self, checkpoint: Checkpoint) -> Result<CommitReport, Error> {
        self.ready()?;
        let mut replaced = false;
        let report = loop {
            let fault = match self.try_commit(&checkpoint) {
                Ok(report) => break report,
                Err(fault) => fault,
            };
            replaced = true;
            if let Outcome::Committed = self.mend(fault, Some(&checkpoint))? {
                break CommitReport::default();
            }
        };
        self.batch.clear();
        self.last = Some(checkpoint);
        Ok(CommitReport { replaced, ..report })
    }

    fn try_commit(&mut self, checkpoint: &Checkpoint) -> Result<CommitReport, Fault> {
        self.open_transaction()?;
        let value = serde_json::to_vec(checkpoint)
            .map_err(|error| Fault::Denied(format!("the checkpoint cannot be written: {error}")))?;
        let record = RecordRef {
            topic: &self.topic,
            key: Some(self.key.as_bytes()),
            value: Some(&value),
            headers: None,
        };
        self.client.send(record, usize::MAX)?;
        let timing = self.client.commit()?;
        self.suspect = timing.suspect;
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Ok(CommitReport {
            flush_us: micros(timing.flush),
            end_txn_us: micros(timing.end),
            replaced: false,
        })
    }

    /// The guard: after a suspect commit the producer is replaced before anything is begun, so that a late EndTxn meets a
    /// newer epoch.
    fn ready(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.suspect) {
            tracing::info!(
                "the last commit was slow or saw a disconnect: the producer is replaced"
            );
            self.mend(Fault::Doubt("a late EndTxn may be on its way".into()), None)?;
        }
        Ok(())
    }

    fn open_transaction(&mut self) -> Result<(), Fault> {
        if !self.batch.open {
            self.client.begin()?;
            self.batch.open = true;
        }
        Ok(())
    }

    /// Sends the parts from `first` on.
    fn send_parts(&mut self, first: usize) -> Result<(), Fault> {
        self.open_transaction()?;
        for (block, records) in &self.batch.parts[first..] {
            for index in records.clone() {
                let sequence = self.batch.sent;
                let record = block.record(index);
                match self.batch.exceptions.get(&sequence) {
                    None => self.client.send(record, sequence)?,
                    Some(Some(other)) => self.client.send(other.as_ref(), sequence)?,
                    Some(None) => {}
                }
                self.batch.sent += 1;
            }
        }
        Ok(())
    }

    /// Settles a doubt: a new producer, the checkpoint read again, and the batch sent again if it was not committed.
    fn mend(&mut self, fault: Fault, pending: Option<&Checkpoint>) -> Result<Outcome, Error> {
        let mut fault = fault;
        let mut tries = 0;
        loop {
            self.judge(&fault)?;
            match self.settle(&fault, pending) {
                Ok(outcome) => {
                    self.health.mending(None);
                    return outcome;
                }
                Err(next) => {
                    self.pause(next.clone(), &mut tries)?;
                    fault = next;
                }
            }
        }
    }

    /// Faults that no new producer mends.
    fn judge(&mut self, fault: &Fault) -> Result<(), Error> {
        match fault {
            Fault::Fenced(text) => {
                let now = Instant::now();
                self.own_fences
                    .retain(|at| now.duration_since(*at) < OWN_FENCES_WINDOW);
                self.own_fences.push(now);
                if self.own_fences.len() > OWN_FENCES_MAX {
                    return Err(Error::new(
                        Kind::Unreachable,
                        format!(
                            "fenced {} times within ten minutes although no other instance has claimed the connector: {text}",
                            self.own_fences.len()
                        ),
                    ));
                }
                Ok(())
            }
            Fault::TooLarge { sequence, bytes } => self.except(*sequence, *bytes),
            _ => Ok(()),
        }
    }

    /// One attempt to settle. The outer error is a fault that may pass, the inner one is final.
    fn settle(
        &mut self,
        fault: &Fault,
        pending: Option<&Checkpoint>,
    ) -> Result<Result<Outcome, Error>, Fault> {
        if let Fault::Stopped = fault {
            return Ok(Err(Error::new(Kind::Stopped, "asked to stop")));
        }
        if let Fault::Denied(text) = fault {
            return Ok(Err(Error::new(Kind::Denied, text.clone())));
        }
        // Looked at before anything is initialised: whoever has taken over is not to be fenced by us.
        let found = self.client.checkpoint()?;
        if let Some(error) = self.claimed_by_another(found.as_ref()) {
            return Ok(Err(error));
        }
        self.batch.open = false;
        self.batch.sent = 0;
        self.client.replace()?;
        self.health.count_replaced();
        let found = self.client.checkpoint()?;
        if let Some(error) = self.claimed_by_another(found.as_ref()) {
            return Ok(Err(error));
        }
        let same = |other: Option<&Checkpoint>| match (&found, other) {
            (Some(found), Some(other)) => found.is_same_write(other),
            (None, None) => true,
            _ => false,
        };
        if pending.is_some() && same(pending) {
            return Ok(Ok(Outcome::Committed));
        }
        if !same(self.last.as_ref()) {
            return Ok(Err(Error::new(
                Kind::Diverged,
                format!(
                    "the checkpoint in Kafka is {found:?}, which is neither this batch's nor the one before"
                ),
            )));
        }
        if !self.batch.parts.is_empty() {
            self.send_parts(0)?;
        }
        Ok(Ok(Outcome::SentAgain))
    }

    /// Until our first commit the newest checkpoint is an earlier instance's; from then on it has to be ours.
    fn claimed_by_another(&self, found: Option<&Checkpoint>) -> Option<Error> {
        let found = found?;
        let known = self
            .last
            .as_ref()
            .is_some_and(|last| last.is_same_write(found));
        if known || found.instance == self.instance {
            return None;
        }
        Some(Error::new(
            Kind::Fenced,
            format!(
                "another instance has taken over connector {:?}: the newest checkpoint (counter {}) was written by instance {} \
                 at {}, this is instance {}",
                self.key, found.counter, found.instance, found.written_at, self.instance
            ),
        ))
    }

    /// Applies the rule for a record that is too large.
    fn except(&mut self, sequence: usize, bytes: usize) -> Result<(), Error> {
        let mut at = sequence;
        let place = self.batch.parts.iter().find_map(|(block, records)| {
            if at < records.len() {
                return Some((block.clone(), records.start + at));
            }
            at -= records.len();
            None
        });
        let Some((block, index)) = place else {
            return Err(Error::new(
                Kind::TooLarge,
                format!("the checkpoint record of {bytes} bytes is too large"),
            ));
        };
        let record = block.record(index);
        let rule = match &mut self.oversize {
            Some(rule) if !self.batch.exceptions.contains_key(&sequence) => rule(record, bytes),
            _ => Oversize::Stop,
        };
        match rule {
            Oversize::Stop => {
                return Err(Error::new(
                    Kind::TooLarge,
                    format!(
                        "a record of {bytes} bytes is larger than topic {:?} takes: raise its max.message.bytes, or set \
                         errors = \"dead-letter\" for the table",
                        record.topic
                    ),
                ));
            }
            Oversize::Skip => self.batch.exceptions.insert(sequence, None),
            Oversize::Replace(other) => self.batch.exceptions.insert(sequence, Some(other)),
        };
        Ok(())
    }

    /// Waits before the next attempt, with full jitter; it ends early when a broker's port answers again.
    fn pause(&mut self, fault: Fault, tries: &mut u32) -> Result<(), Error> {
        let text = match fault {
            Fault::Stopped => return Err(Error::new(Kind::Stopped, "asked to stop")),
            Fault::Denied(text) => return Err(Error::new(Kind::Denied, text)),
            Fault::TooLarge { .. } => return Ok(()),
            Fault::Doubt(text) | Fault::Fenced(text) => text,
        };
        self.health.mending(Some(text.clone()));
        self.health.count_retry();
        if *tries >= self.retries.retries_max {
            return Err(Error::new(
                Kind::Unreachable,
                format!(
                    "gave up after {tries} tries to reach Kafka at {:?}: {text}",
                    self.brokers
                ),
            ));
        }
        tracing::warn!(
            error = text,
            tries = *tries,
            "publishing is in doubt; trying again"
        );
        let bound_ms = self
            .retries
            .retry_min_ms
            .saturating_mul(1 << (*tries).min(30))
            .min(self.retries.retry_max_ms);
        *tries += 1;
        let until = Instant::now() + Duration::from_millis(rand::random_range(0..=bound_ms));
        let mut away = false;
        while Instant::now() < until {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Stopped, "asked to stop"));
            }
            let answers = answers(&self.brokers);
            if answers && away {
                return Ok(());
            }
            away |= !answers;
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(STEP.min(left));
        }
        Ok(())
    }
}

/// Whether a broker of the list accepts a connection.
fn answers(brokers: &str) -> bool {
    brokers
        .split(',')
        .filter_map(|broker| broker.trim().to_socket_addrs().ok())
        .flatten()
        .any(|address| TcpStream::connect_timeout(&address, PROBE).is_ok())
}

#[cfg(test)]
mod tests;
