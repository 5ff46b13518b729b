//! A start that takes the connector over in Kafka: the publisher, and what writes its checkpoints.
//!
//! Owns the claim. Never: decides what is claimed.
//! Invariant: what the ring begins with is what was claimed, and what was added to the record since is in its first checkpoint.

use std::sync::Arc;

use walferry_kafka::{Checkpoint, Publisher};

use crate::{
    blocking::blocking,
    connector::ring::Begin,
    error::Error,
    position::{checkpoint_writer::CheckpointWriter, committed::Committed},
};

/// Who claims the connector.
pub(super) struct Claimant {
    pub(super) publisher: Publisher,
    pub(super) stamp: Arc<CheckpointWriter>,
}

/// Who has, and with what the ring begins.
pub(super) struct Claimed {
    pub(super) claimant: Claimant,
    pub(super) begin: Begin,
    pub(super) committed: Committed,
}

impl Claimant {
    /// Says that the topics are about to be begun.
    pub(super) async fn intend(self, followed: &[String]) -> Result<Claimant, Error> {
        let intent = self.stamp.intent(followed);
        self.commit(intent).await
    }

    /// Says that the topics hold this: from now on the connector is ours.
    pub(super) async fn claim(self, committed: &Committed) -> Result<Claimant, Error> {
        let checkpoint = self.stamp.next(committed);
        self.commit(checkpoint).await
    }

    async fn commit(self, checkpoint: Checkpoint) -> Result<Claimant, Error> {
        let Claimant {
            mut publisher,
            stamp,
        } = self;
        let publisher = blocking("claiming the connector", move || {
            publisher.claim(checkpoint)?;
            Ok(publisher)
        });
        Ok(Claimant {
            publisher: publisher.await?,
            stamp,
        })
    }
}
