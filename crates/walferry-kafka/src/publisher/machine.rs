//! The publisher's state machine: a batch is sent, committed with its checkpoint, and kept until its outcome is known.
//!
//! ```text
//! Fence ─▶ Recover ─▶ Ready ─▶ Open ─▶ Flushing ─▶ Ending ─▶ Ready
//!             ▲         └────────┴─ any doubt ─┴──────┘
//!             └────────────────── Replace ◀────┘
//! ```
//! Owns the batch and what is believed of the checkpoint. After any doubt the producer is replaced and the checkpoint read
//! again: it equals this batch's → done; the one before → the batch is sent again; anything else → diverged.
//! Invariant: never initialised without reading; the counter of the checkpoint only grows; doubts about one batch are
//! bounded in number.
//! Start reading at [`Machine::commit`], then `mend`.

use std::{
    net::{TcpStream, ToSocketAddrs},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{batch::Batch, report::CommitReport};
use crate::{
    Checkpoint, Config, Error, Health, RecordBlock, RecordRef, Refused,
    checkpoint::published_key,
    config::RetryLimits,
    error::Kind,
    transactions::{End, Fault, Grouping, Transactions},
};

/// The machine over any client.
pub(super) struct Machine<T> {
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
    /// Why the producer is to be replaced before anything else is begun.
    renew: Option<&'static str>,
    own_fences: Vec<Instant>,
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
/// A topic that is still unknown when the batch has been sent again is not merely late.
const NO_TOPIC_MAX: u32 = 1;
/// How long a start may take from its fence to its claim.
const CLAIM: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 2_000 });
const STEP: Duration = Duration::from_millis(100);
/// The longest pause between two tries while a server is away: its return is to be noticed within seconds.
const AWAY_PAUSE_MS: u64 = 1_000;
const PROBE: Duration = Duration::from_millis(500);

impl<T: Transactions> Machine<T> {
    pub(super) fn new(
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
            batch: Batch::new(),
            last: None,
            renew: None,
            own_fences: Vec::new(),
        }
    }

    pub(super) fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Fence and Recover.
    pub(super) fn open(&mut self) -> Result<Option<Checkpoint>, Error> {
        let mut tries = 0;
        loop {
            let outcome = self
                .client
                .replace(Grouping::Full)
                .and_then(|()| self.client.checkpoint(End::Written));
            match outcome {
                Ok(found) => {
                    self.health.mended();
                    self.last.clone_from(&found);
                    return Ok(found);
                }
                Err(fault) => {
                    self.judge(&fault, tries)?;
                    self.health.count_retry();
                    tries += 1;
                    // A start tells what it waits for; who started it decides whether to try again.
                    self.pause(&fault, tries, false)?;
                }
            }
        }
    }

    pub(super) fn append(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
    ) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.ready()?;
        self.batch.push(block, records);
        match self.send() {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.health.count_retry();
                self.mend(fault, None, &mut 0).map(drop)
            }
        }
    }

    pub(super) fn commit(&mut self, checkpoint: Checkpoint) -> Result<CommitReport, Error> {
        self.health.commit_begins();
        let outcome = self.commit_whatever_it_takes(checkpoint);
        self.health.commit_ends();
        outcome
    }

    fn commit_whatever_it_takes(&mut self, checkpoint: Checkpoint) -> Result<CommitReport, Error> {
        self.ready()?;
        let mut tries = 0;
        let mut replaced = false;
        let report = loop {
            let fault = match self.try_commit(&checkpoint) {
                Ok(report) => break report,
                Err(fault) => fault,
            };
            replaced = true;
            self.health.count_retry();
            if let Outcome::Committed = self.mend(fault, Some(&checkpoint), &mut tries)? {
                break CommitReport::default();
            }
        };
        let records = self.batch.records();
        if self.batch.grouping == Grouping::Single {
            self.renew = Some("the batch had to be sent record by record");
        }
        self.batch = Batch::new();
        self.last = Some(checkpoint);
        self.health.mended();
        Ok(CommitReport {
            records,
            replaced,
            ..report
        })
    }

    /// Drops what is open.
    pub(super) fn discard(&mut self) {
        if self.batch.open {
            self.client.abort();
            self.renew = Some("the transaction before was given up");
        }
        self.health.mended();
        self.batch = Batch::new();
    }

    fn try_commit(&mut self, checkpoint: &Checkpoint) -> Result<CommitReport, Fault> {
        self.health.step();
        self.open_transaction()?;
        if let Some(published) = &checkpoint.published {
            let key = published_key(&self.key);
            self.note(&key, published)?;
        }
        let key = self.key.clone();
        self.note(&key, checkpoint)?;
        let timing = self.client.commit()?;
        if timing.suspect {
            self.renew = Some("the last commit was slow or saw a disconnect");
        }
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Ok(CommitReport {
            flush_us: micros(timing.flush),
            end_txn_us: micros(timing.end),
            ..CommitReport::default()
        })
    }

    /// Sends a record of the checkpoint topic in the open transaction.
    fn note(&mut self, key: &str, value: &impl serde::Serialize) -> Result<(), Fault> {
        let value = serde_json::to_vec(value).map_err(|error| {
            Fault::Final(
                Kind::Broken,
                format!("the checkpoint cannot be written: {error}"),
            )
        })?;
        let record = RecordRef {
            topic: &self.topic,
            key: Some(key.as_bytes()),
            value: Some(&value),
            headers: None,
        };
        self.client.send_one(&record, usize::MAX)
    }

    /// The guard: after a suspect commit the producer is replaced before anything is begun, so that a late EndTxn meets a
    /// newer epoch.
    fn ready(&mut self) -> Result<(), Error> {
        if let Some(reason) = self.renew.take() {
            tracing::info!("{reason}: the producer is replaced");
            self.mend(Fault::Doubt(reason.into()), None, &mut 0)?;
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

    /// Sends what the batch holds and the client has not got yet.
    fn send(&mut self) -> Result<(), Fault> {
        self.open_transaction()?;
        self.batch.send(&mut self.client)
    }

    /// Settles a doubt: a new producer, the checkpoint read again, and the batch sent again if it was not committed.
    /// `tries` counts the doubts about one batch: the first is settled at once, every later one after a pause.
    fn mend(
        &mut self,
        fault: Fault,
        pending: Option<&Checkpoint>,
        tries: &mut u32,
    ) -> Result<Outcome, Error> {
        let mut fault = fault;
        loop {
            self.judge(&fault, *tries)?;
            // Each record that is refused is taken care of once, so these end by themselves.
            if !matches!(fault, Fault::Refused { .. }) {
                if *tries > 0 {
                    self.pause(&fault, *tries, true)?;
                }
                *tries += 1;
            }
            let fenced = matches!(fault, Fault::Fenced(_));
            match self.settle(pending, fenced) {
                // Until the batch is committed it is not known whether that has helped.
                Ok(outcome) => return outcome,
                Err(next) => {
                    self.health.count_retry();
                    fault = next;
                }
            }
        }
    }

    /// Ends with faults that no new producer mends, and prepares for the others.
    fn judge(&mut self, fault: &Fault, tries: u32) -> Result<(), Error> {
        match fault {
            Fault::Doubt(_) | Fault::Away(_) => Ok(()),
            Fault::Stopped => Err(stopped()),
            Fault::Final(kind, text) => Err(Error::new(*kind, text.clone())),
            Fault::NoTopic(topic) if tries >= NO_TOPIC_MAX => Err(Error::no_topic(topic)),
            Fault::NoTopic(_) => Ok(()),
            Fault::Fenced(text) => self.count_fence(text),
            Fault::Refused {
                sequence,
                refusal,
                alone,
            } => {
                if refusal.refused == Refused::Topic {
                    return Err(Error::refused(refusal.clone()));
                }
                if *alone {
                    return self.batch.except(*sequence, refusal);
                }
                if self.batch.grouping == Grouping::Full {
                    tracing::warn!(
                        reason = refusal.reason,
                        "a broker refused a group of records: the batch is sent record by record, so that only the one that \
                         is meant is left out; where it is the group's size, raise the topic's max.message.bytes above \
                         kafka.properties.\"batch.size\""
                    );
                    self.batch.grouping = Grouping::Single;
                }
                Ok(())
            }
        }
    }

    fn count_fence(&mut self, text: &str) -> Result<(), Error> {
        let now = Instant::now();
        self.own_fences
            .retain(|at| now.duration_since(*at) < OWN_FENCES_WINDOW);
        self.own_fences.push(now);
        if self.own_fences.len() <= OWN_FENCES_MAX {
            return Ok(());
        }
        // Another instance is better evidence, if it has claimed the connector meanwhile.
        if let Ok(found) = self.client.checkpoint(End::Stable)
            && let Some(error) = self.claimed_by_another(found.as_ref())
        {
            return Err(error);
        }
        Err(Error::new(
            Kind::Unreachable,
            format!(
                "fenced {} times within ten minutes although no other instance has claimed the connector: {text}",
                self.own_fences.len()
            ),
        ))
    }

    /// One attempt to settle. The outer error is a fault that may pass, the inner one is final.
    fn settle(
        &mut self,
        pending: Option<&Checkpoint>,
        fenced: bool,
    ) -> Result<Result<Outcome, Error>, Fault> {
        if let Some(error) = self.taken_over(fenced)? {
            return Ok(Err(error));
        }
        self.health.step();
        self.batch.rewind();
        self.client.replace(self.batch.grouping)?;
        self.health.step();
        self.health.count_replaced();
        let found = self.client.checkpoint(End::Written)?;
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
            let whose = match &found {
                Some(found) => format!(
                    "that of instance {} with counter {}, written at {}",
                    found.instance, found.counter, found.written_at
                ),
                None => "gone".to_owned(),
            };
            return Ok(Err(Error::new(
                Kind::Diverged,
                format!(
                    "the checkpoint in Kafka is {whose}: it is neither this batch's nor the one before"
                ),
            )));
        }
        if !self.batch.is_empty() {
            self.send()?;
        }
        Ok(Ok(Outcome::SentAgain))
    }

    /// Looked at before anything is initialised: whoever has taken over is not to be fenced by us. Nor is whoever is about to: a
    /// start fences first and claims a little later, and what has fenced us may have been one.
    fn taken_over(&mut self, fenced: bool) -> Result<Option<Error>, Fault> {
        let until = Instant::now() + CLAIM;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Fault::Stopped);
            }
            self.health.step();
            let found = self.client.checkpoint(End::Stable)?;
            let error = self.claimed_by_another(found.as_ref());
            if error.is_some() || !fenced || Instant::now() >= until {
                return Ok(error);
            }
            std::thread::sleep(STEP);
        }
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

    /// Waits before the next attempt, with full jitter; it ends early when Kafka answers again. What is away is tried without an
    /// end, and often enough to be back soon after the cluster; what is not understood, `retries_max` times.
    fn pause(&mut self, fault: &Fault, tries: u32, endless: bool) -> Result<(), Error> {
        let text = match fault {
            Fault::Away(text)
            | Fault::Doubt(text)
            | Fault::Fenced(text)
            | Fault::Final(_, text) => text.clone(),
            Fault::NoTopic(topic) => format!("topic {topic:?} does not exist"),
            Fault::Stopped | Fault::Refused { .. } => return Ok(()),
        };
        self.health.mending(text.clone());
        let away = matches!(fault, Fault::Away(_));
        if tries > self.retries.retries_max && !(away && endless) {
            // Who opens waits for a cluster that is away by itself; what is not understood is not tried for ever.
            let kind = if away {
                Kind::Unreachable
            } else {
                Kind::Broken
            };
            return Err(Error::new(
                kind,
                format!(
                    "gave up after {} tries to publish to Kafka at {:?}: {text}",
                    self.retries.retries_max, self.brokers
                ),
            ));
        }
        // Told less and less often: readiness says all the time since when and why.
        if tries.is_power_of_two() {
            tracing::warn!(error = text, tries, "publishing is in doubt; trying again");
        }
        let bound_ms = self
            .retries
            .retry_min_ms
            .saturating_mul(1 << (tries - 1).min(30))
            .min(self.retries.retry_max_ms);
        let bound_ms = if away {
            bound_ms.min(AWAY_PAUSE_MS)
        } else {
            bound_ms
        };
        let until = Instant::now() + Duration::from_millis(rand::random_range(0..=bound_ms));
        let mut was_away = false;
        while Instant::now() < until {
            if self.stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            self.health.step();
            let answers = self.health.answers() && answers(&self.brokers);
            if answers && was_away {
                return Ok(());
            }
            was_away |= !answers;
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(STEP.min(left));
        }
        Ok(())
    }
}

fn stopped() -> Error {
    Error::new(Kind::Stopped, "asked to stop")
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
