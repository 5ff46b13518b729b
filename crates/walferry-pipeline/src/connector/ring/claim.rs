//! Whether the connector is still ours: asked of Kafka before a reconnect takes the slot from whoever holds it.
//!
//! Owns the question. Without changes to publish nothing else tells an older process that a newer one has taken over:
//! its producer is fenced only when it publishes. Never writes.
//! Start reading at `ask`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time};

use crate::{
    blocking::blocking,
    config::Config,
    error::{Error, Passing},
    retry,
    status::{Status, state::Peer},
};

/// Whose the connector is, when it is not certainly another's.
pub(super) enum Claim {
    /// The newest checkpoint is ours.
    Ours,
    /// Kafka does not say, for this reason.
    Unknown(String),
}

/// How long the question may take while Kafka is known to be away: the slot is to be followed all the same.
const AWAY: Duration = Duration::from_secs(1);

/// Reads the newest checkpoint. One of another instance means that it has taken over, which is an error.
pub(super) async fn ask(
    config: &Config,
    status: &Status,
    instance: &str,
    stop: &watch::Receiver<bool>,
) -> Result<Claim, Error> {
    let given_up = Arc::new(AtomicBool::new(false));
    let asked = blocking("reading the checkpoint", {
        let (kafka, given_up) = (config.kafka.clone(), given_up.clone());
        move || Ok(walferry_kafka::read_checkpoint(&kafka, &given_up))
    });
    let mut stop = stop.clone();
    let away = status.is_away(Peer::Kafka);
    let answer = tokio::select! {
        answer = asked => answer?,
        () = retry::asked(&mut stop) => {
            given_up.store(true, Ordering::Relaxed);
            return Err(Error::stopped());
        }
        () = time::sleep(AWAY), if away => {
            given_up.store(true, Ordering::Relaxed);
            return Ok(Claim::Unknown("Kafka does not answer".into()));
        }
    };
    match answer {
        Ok(Some(found)) if found.instance != instance => Err(Error::fenced(format!(
            "another instance has taken over connector {:?}: the newest checkpoint (counter {}) was written by instance {} \
             at {}, this is instance {instance}",
            config.name, found.counter, found.instance, found.written_at
        ))),
        Ok(_) => Ok(Claim::Ours),
        Err(error) if error.may_pass() => Ok(Claim::Unknown(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
