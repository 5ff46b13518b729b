//! Reads the newest committed checkpoint: up to the topic's end, or an error, never a guess.
//!
//! Owns the proof that the end was reached: the position of a read_committed reader against the high-water mark that a
//! read_uncommitted one saw before. A timeout is an error and never "no checkpoint".

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use crate::{Checkpoint, Config, Error, config::TRANSACTION_TIMEOUT, error::Kind};

const ASK: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// An open transaction of another instance holds the reader back until the coordinator ends it.
const SLACK: Duration = Duration::from_secs(15);

/// The newest committed checkpoint of the connector. The topic has to exist.
pub fn read_checkpoint(config: &Config, stop: &AtomicBool) -> Result<Option<Checkpoint>, Error> {
    let topic = &config.checkpoint_topic;
    let unreachable = |error: KafkaError| {
        Error::new(
            Kind::Unreachable,
            format!("reading checkpoint topic {topic:?}: {error}"),
        )
    };
    let asker: BaseConsumer = config
        .consumer("read_uncommitted")?
        .create()
        .map_err(unreachable)?;
    let (low, high) = asker.fetch_watermarks(topic, 0, ASK).map_err(unreachable)?;
    if high <= low {
        return Ok(None);
    }
    let reader: BaseConsumer = config
        .consumer("read_committed")?
        .create()
        .map_err(unreachable)?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Offset(low))
        .map_err(unreachable)?;
    reader.assign(&from).map_err(unreachable)?;
    let until = Instant::now() + TRANSACTION_TIMEOUT + SLACK;
    let mut newest = None;
    loop {
        match reader.poll(POLL) {
            Some(Ok(message)) if message.key() == Some(config.connector.as_bytes()) => {
                newest = match message.payload() {
                    Some(value) => Some(parse(topic, message.offset(), value)?),
                    None => None,
                };
            }
            Some(Err(error)) => tracing::debug!(%error, "reading the checkpoint topic"),
            _ => {}
        }
        let at = reader.position().map_err(unreachable)?;
        let position = at.find_partition(topic, 0).map(|p| p.offset());
        if matches!(position, Some(Offset::Offset(offset)) if offset >= high) {
            return Ok(newest);
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Stopped, "asked to stop"));
        }
        if Instant::now() >= until {
            return Err(Error::new(
                Kind::Unreachable,
                format!(
                    "the end of checkpoint topic {topic:?} (offset {high}) was not reached in time"
                ),
            ));
        }
    }
}

fn parse(topic: &str, offset: i64, value: &[u8]) -> Result<Checkpoint, Error> {
    serde_json::from_slice(value).map_err(|error| {
        Error::new(
            Kind::Broken,
            format!("the checkpoint at offset {offset} of topic {topic:?} cannot be read: {error}"),
        )
    })
}
