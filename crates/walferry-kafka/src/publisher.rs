//! The publisher as its users see it: open, claim, append, commit.
//!
//! Owns the state machine over librdkafka, and the watch that asks whether Kafka answers. Blocks its caller: it belongs
//! on a thread of its own.
//! Start reading at [`Publisher::open`], then the machine behind it.

mod batch;
#[cfg(test)]
mod late_end;
mod machine;
mod report;

use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{Checkpoint, Config, Error, Health, RecordBlock, producer::Librdkafka, watch::Watch};
use machine::Machine;
pub use report::CommitReport;

/// Publishes batches, each with its checkpoint, exactly once.
pub struct Publisher {
    machine: Machine<Librdkafka>,
    _watch: Watch,
}

impl Publisher {
    /// Fences older instances and reads the checkpoint. Blocks; `stop` ends the wait.
    pub fn open(
        config: Config,
        instance: String,
        stop: Arc<AtomicBool>,
    ) -> Result<(Publisher, Option<Checkpoint>), Error> {
        Publisher::open_watched(config, instance, stop, Arc::default())
    }

    /// As [`Publisher::open`]; whether Kafka answers is told from the beginning.
    pub fn open_watched(
        config: Config,
        instance: String,
        stop: Arc<AtomicBool>,
        health: Arc<Health>,
    ) -> Result<(Publisher, Option<Checkpoint>), Error> {
        let watch = Watch::start(&config, health.clone())?;
        let client = Librdkafka::new(config.clone(), stop.clone(), health.clone());
        let mut machine = Machine::new(client, &config, instance, stop, health);
        let checkpoint = machine.open()?;
        let publisher = Publisher {
            machine,
            _watch: watch,
        };
        Ok((publisher, checkpoint))
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

    /// Drops what is open, and aborts it in Kafka if Kafka answers within two seconds.
    pub fn discard(&mut self) {
        self.machine.discard();
    }

    /// Whether Kafka answers, asked anew all the time until the publisher is dropped.
    pub fn health(&self) -> Arc<Health> {
        self.machine.health()
    }
}
