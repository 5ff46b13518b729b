//! The five calls that separate the state machine from the client, so that another client can take librdkafka's place
//! and tests can drive the machine with a fake.

use std::time::Duration;

use crate::{Checkpoint, RecordRef};

/// What a client of Kafka's transactions can do.
pub(crate) trait Transactions {
    /// Begins a transaction.
    fn begin(&mut self) -> Result<(), Fault>;
    /// Sends one record of the open transaction. `sequence` counts the transaction's records from 0.
    fn send(&mut self, record: RecordRef<'_>, sequence: usize) -> Result<(), Fault>;
    /// Flushes and commits.
    fn commit(&mut self) -> Result<Timing, Fault>;
    /// Drops the producer and makes a new one: fences every older instance and ends its open transaction.
    fn replace(&mut self) -> Result<(), Fault>;
    /// The newest committed checkpoint, read up to the topic's end.
    fn checkpoint(&mut self) -> Result<Option<Checkpoint>, Fault>;
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
    /// The outcome is unknown, or the producer unusable.
    Doubt(String),
    /// Our producer was fenced, by another instance or by the coordinator's clock.
    Fenced(String),
    /// The broker refused this record of the transaction for its size.
    TooLarge { sequence: usize, bytes: usize },
    /// We are not allowed to; trying again cannot help.
    Denied(String),
}
