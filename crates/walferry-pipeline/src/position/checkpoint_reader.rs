//! The checkpoint as it is committed by now, for a start and for whoever looks from beside.
//!
//! Owns the one question. Never: writes; claims the connector.

use std::sync::atomic::AtomicBool;

use walferry_kafka::Checkpoint;

use crate::{blocking::blocking, config::Config, error::Error};

/// The connector's checkpoint record as it is committed by now; none when the topic or the record does not exist.
pub async fn checkpoint(config: &Config) -> Result<Option<Checkpoint>, Error> {
    config.kafka.check()?;
    let kafka = config.kafka.clone();
    let read = blocking("reading the checkpoint", move || {
        let go = AtomicBool::new(false);
        Ok(walferry_kafka::look_at_checkpoint(&kafka, &go)?)
    });
    read.await
}
