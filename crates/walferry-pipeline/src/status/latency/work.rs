//! What the encode thread has spent its time on.
//!
//! Owns: [`Work`]. Never: counts idle time.

use std::{
    ops::{AddAssign, Sub},
    time::Duration,
};

/// Time of the encode thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Waiting for PostgreSQL's catalog.
    pub(crate) catalog: Duration,
    /// Waiting for the registry.
    pub(crate) registry: Duration,
    /// Waiting for Kafka: for a topic, or until the publisher takes a block.
    pub(crate) kafka: Duration,
    /// Everything else.
    pub(crate) encode: Duration,
}

impl Work {
    /// All of it.
    pub(crate) fn sum(&self) -> Duration {
        self.catalog + self.registry + self.kafka + self.encode
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.catalog += other.catalog;
        self.registry += other.registry;
        self.kafka += other.kafka;
        self.encode += other.encode;
    }
}

impl Sub for Work {
    type Output = Work;

    fn sub(self, other: Work) -> Work {
        Work {
            catalog: self.catalog.saturating_sub(other.catalog),
            registry: self.registry.saturating_sub(other.registry),
            kafka: self.kafka.saturating_sub(other.kafka),
            encode: self.encode.saturating_sub(other.encode),
        }
    }
}
