//! What a start looks at before it touches anything, and the decision that it makes of it.
//!
//! Owns the order: slot, then checkpoint, then the end of the server's log, so that a healthy instance that goes on meanwhile never
//! looks like a gap. Nothing here fences, creates, drops or publishes; a start that is to be refused ends here, and the healthy
//! connector of the same name never hears of it.
//! Start reading at `Start::look`.

use std::sync::{Arc, atomic::AtomicBool};
use walferry_event::Code;

use walferry_kafka::Checkpoint;

use crate::{
    blocking::blocking,
    config::SnapshotMode,
    connector::{
        Start,
        startup::{self, Found},
    },
    error::Error,
    position::{
        checkpoint_writer,
        recovery::{self, Decision},
        snapshot_progress,
    },
    status::state::Peer,
    tables::publication,
};

impl Start {
    /// Asks PostgreSQL and Kafka, decides, and refuses what is to be refused.
    pub(super) async fn look(&self, stopping: &Arc<AtomicBool>) -> Result<Found, Error> {
        let mut found = self.postgres().await?;
        let slot = startup::slot(&self.config, &found.catalog).await?;
        let checkpoint = self.checkpoint(stopping).await?;
        startup::flushed_by_now(&mut found.replication, &mut found.server).await?;
        let (row, decision, progress) = self.decision(&found, slot, checkpoint.as_ref())?;
        tracing::debug!(row, "what to do is decided, and nothing is fenced yet");
        self.vet(&found, decision, progress).await?;
        Ok(found)
    }

    /// The newest checkpoint, read without fencing whoever writes it.
    async fn checkpoint(&self, stopping: &Arc<AtomicBool>) -> Result<Option<Checkpoint>, Error> {
        let (config, brokers) = (&self.config, &self.config.kafka.brokers);
        let first = brokers.split(',').next();
        let address = first.and_then(|it| it.trim().rsplit_once(':'));
        let address = address.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let place = format!("kafka.brokers = {brokers:?}");
        self.patiently(Peer::Kafka, &place, address, || {
            let (kafka, stopping) = (config.kafka.clone(), stopping.clone());
            let was_away = self.status.is_waiting(Peer::Kafka.stage());
            blocking("reading the checkpoint", move || {
                if was_away {
                    // A short question tells sooner that it is back than a long one that was begun before.
                    walferry_kafka::ping(&kafka)?;
                }
                Ok(walferry_kafka::look_at_checkpoint(&kafka, &stopping)?)
            })
        })
        .await
    }

    /// The decision once older instances are fenced: nothing moves any more.
    pub(super) async fn judge(
        &self,
        found: &mut Found,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(&'static str, Decision, Option<snapshot_progress::Progress>), Error> {
        startup::flushed_by_now(&mut found.replication, &mut found.server).await?;
        let slot = startup::slot(&self.config, &found.catalog).await?;
        self.decision(found, slot, checkpoint)
    }

    fn decision(
        &self,
        found: &Found,
        slot: recovery::Slot,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(&'static str, Decision, Option<snapshot_progress::Progress>), Error> {
        let evidence = startup::evidence(
            &self.config,
            slot,
            checkpoint_writer::evidence(checkpoint),
            found.server.clone(),
        );
        let saved = checkpoint.and_then(|it| it.snapshot.as_ref());
        let progress = snapshot_progress::Progress::read(saved).map_err(|error| {
            Error::failed(
                Code::CheckpointUnreadable,
                format!("the snapshot's cursor in the checkpoint record cannot be read: {error}"),
            )
        })?;
        let (row, decision) = self.decide(&evidence, progress.as_ref());
        Ok((row, decision, progress))
    }

    /// Refuses what would be refused later, when others have been fenced already.
    async fn vet(
        &self,
        found: &Found,
        decision: Decision,
        progress: Option<snapshot_progress::Progress>,
    ) -> Result<(), Error> {
        let config = &self.config;
        match decision {
            Decision::Refuse(reason) => return Err(Error::decided(reason)),
            Decision::Resume(_) => {
                self.again(found, progress).await?;
                // A table that the publication does not hold is added, or left out.
                return publication::vet_publication(config, &found.catalog, &[]).await;
            }
            Decision::Create | Decision::StartOver => {
                if config.snapshot.mode != SnapshotMode::Never {
                    startup::can_be_read(&self.config, &found.tables)?;
                }
                startup::may_create_slot(config, &found.catalog).await?;
            }
            Decision::Resync => self.can_resync(found).await?,
        }
        publication::vet_publication(config, &found.catalog, &found.tables).await
    }
}
