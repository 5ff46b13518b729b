//! The seven calls that separate the state machine from the client, so that another client can take librdkafka's place
//! and tests can drive the machine with a fake.

use std::{ops::Range, sync::Arc, time::Duration};

use crate::{Checkpoint, RecordBlock, RecordRef, Refusal, error::Kind};

/// What a client of Kafka's transactions can do.
pub(crate) trait Transactions {
    /// Begins a transaction.
    fn begin(&mut self) -> Result<(), Fault>;
    /// Sends records of a block in the open transaction, in their order. `sequence` is that of the first: it counts the
    /// transaction's records from 0. After a fault nothing is known of the others.
    fn send(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
        sequence: usize,
    ) -> Result<(), Fault>;
    /// Sends a record that stands in no block.
    fn send_one(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault>;
    /// Flushes and commits.
    fn commit(&mut self) -> Result<Timing, Fault>;
    /// Aborts the open transaction if that can be had quickly, so that it does not hold up the topics' readers until
    /// the coordinator's clock ends it, and drops the producer.
    fn abort(&mut self);
    /// Drops the producer and makes a new one: fences every older instance and ends its open transaction.
    fn replace(&mut self, grouping: Grouping) -> Result<(), Fault>;
    /// The newest committed checkpoint.
    fn checkpoint(&mut self, end: End) -> Result<Option<Checkpoint>, Fault>;
}

/// How many records a producer may put into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// As many as fit.
    Full,
    /// One. A broker refuses a whole group for its size; alone, a record is refused for its own.
    Single,
}

/// Up to where the checkpoint topic is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Up to the first open transaction, which may be our own. Enough to see that another has taken over, because he
    /// has ended ours before.
    Stable,
    /// Up to the last record that is there. Whatever is still open is waited for.
    Written,
}

/// How long the two phases of a commit took, and whether the guard asks for a new producer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timing {
    /// Until the last record was acknowledged.
    pub(crate) flush: Duration,
    /// EndTxn alone.
    pub(crate) end: Duration,
    /// The commit was slow or saw a disconnect: a second EndTxn may still be on its way (KAFKA-17754).
    pub(crate) suspect: bool,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Asked to stop while waiting.
    Stopped,
    /// A server is away or busy: the outcome is unknown, and the same passes later.
    Away(String),
    /// The outcome is unknown, or the producer unusable.
    Doubt(String),
    /// Our producer was fenced, by another instance or by the coordinator's clock.
    Fenced(String),
    /// The broker will not take this record of the transaction, or its topic, however often it is sent.
    Refused {
        sequence: usize,
        refusal: Refusal,
        /// It was alone in its request, so that no other can be the one that is meant.
        alone: bool,
    },
    /// A topic does not exist.
    NoTopic(String),
    /// Trying again cannot help.
    Final(Kind, String),
}

impl Fault {
    /// The sort of error that it is, and its words, where nothing is tried again.
    pub(crate) fn told(self) -> (Kind, String) {
        match self {
            Fault::Final(kind, text) => (kind, text),
            Fault::Away(text) => (Kind::Unreachable, text),
            Fault::Doubt(text) => (Kind::Doubt, text),
            Fault::Fenced(text) => (Kind::Fenced, text),
            Fault::NoTopic(topic) => (Kind::NoTopic, format!("topic {topic:?} does not exist")),
            Fault::Refused { refusal, .. } => (Kind::of_refusal(&refusal), refusal.reason),
            Fault::Stopped => (Kind::Stopped, "asked to stop".into()),
        }
    }
}
