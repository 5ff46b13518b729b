//! Reads a whole topic as consumers with `read_committed` see it.
//!
//! Owns the proof that the end was reached: each partition's position against the end that it had at the start. That end is
//! of what is written, not of what is stable: the marks of a transaction whose commit is known may still be on their way
//! to some of its partitions. Never: a consumer group, a commit of offsets; a record that is not committed.
//! Start reading at [`read_topic`].

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use crate::{Config, Error, error::Kind, journal::Journal, veil};

const ASK: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// What librdkafka reads ahead, and asks for at a time; a larger record passes all the same.
const QUEUED_KIB: &str = "8192";
const FETCH_BYTES: &str = "4194304";
/// What it asks of one partition, as it is sent: compressed, it may unfold to many times as much, all at once.
const FETCH_PARTITION_BYTES: &str = "131072";
/// How long a partition may give nothing before its end.
const SILENCE: Duration = Duration::from_secs(75);

/// A committed record.
#[derive(Clone, Copy, Debug)]
pub struct TopicRecord<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What a partition held when the reading began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEnds {
    /// The partition.
    pub partition: i32,
    /// Its first offset; above 0 when its beginning was removed.
    pub first: i64,
    /// The offset after its last record.
    pub end: i64,
}

/// Gives each committed record of a topic to `each`, up to the end that the partitions have now. A transaction that is
/// open is waited for. Blocks.
///
/// # Errors
/// The topic does not exist, a broker does not answer, it was asked to stop, or what `each` says.
pub fn read_topic<E: From<Error>>(
    config: &Config,
    topic: &str,
    stop: &AtomicBool,
    mut each: impl FnMut(TopicRecord<'_>) -> Result<(), E>,
) -> Result<Vec<PartitionEnds>, E> {
    let failed = |error: KafkaError| {
        Error::new(
            Kind::Unreachable,
            format!("reading topic {topic:?}: {error}"),
        )
    };
    let reader: BaseConsumer<Journal> = config
        .consumer("read_committed")?
        // A connector may read a topic while it runs, and its memory has a bound.
        .set("queued.max.messages.kbytes", QUEUED_KIB)
        .set("fetch.max.bytes", FETCH_BYTES)
        .set("max.partition.fetch.bytes", FETCH_PARTITION_BYTES)
        .create_with_context(Journal::of(config))
        .map_err(|error| veil::property(config, &error))?;
    let ends = ends(config, topic)?;
    let mut from = TopicPartitionList::new();
    for it in &ends {
        from.add_partition_offset(topic, it.partition, Offset::Offset(it.first))
            .map_err(failed)?;
    }
    reader.assign(&from).map_err(failed)?;
    let mut heard = Instant::now();
    while !reached(&reader, topic, &ends).map_err(failed)? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Stopped, "asked to stop").into());
        }
        // Positions are asked for only when there is nothing to read at once.
        while let Some(polled) = reader.poll(POLL) {
            let message = match polled {
                Ok(message) => message,
                Err(error) => {
                    tracing::debug!(%error, topic, "reading a topic");
                    break;
                }
            };
            heard = Instant::now();
            let end = ends.iter().find(|it| it.partition == message.partition());
            if end.is_some_and(|it| message.offset() < it.end) {
                each(TopicRecord {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key(),
                    value: message.payload(),
                })?;
            }
            if end.is_none_or(|it| message.offset() + 1 >= it.end) {
                break;
            }
        }
        if heard.elapsed() > SILENCE {
            let text = format!("the end of topic {topic:?} was not reached in time");
            return Err(Error::new(Kind::Unreachable, text).into());
        }
    }
    Ok(ends)
}

fn ends(config: &Config, topic: &str) -> Result<Vec<PartitionEnds>, Error> {
    let failed = |error: KafkaError| {
        Error::new(
            Kind::Unreachable,
            format!("asking for the ends of topic {topic:?}: {error}"),
        )
    };
    let reader: BaseConsumer<Journal> = config
        .consumer("read_uncommitted")?
        .remove("group.id")
        .create_with_context(Journal::of(config))
        .map_err(|error| veil::property(config, &error))?;
    let metadata = reader.fetch_metadata(Some(topic), ASK).map_err(failed)?;
    let found = metadata.topics().iter().find(|it| it.name() == topic);
    let Some(found) = found.filter(|it| it.error().is_none() && !it.partitions().is_empty()) else {
        return Err(Error::new(
            Kind::NoTopic,
            format!("topic {topic:?} does not exist"),
        ));
    };
    let partitions = found.partitions().iter().map(|it| it.id());
    partitions
        .map(|partition| {
            let (first, end) = reader
                .fetch_watermarks(topic, partition, ASK)
                .map_err(failed)?;
            Ok(PartitionEnds {
                partition,
                first,
                end,
            })
        })
        .collect()
}

/// Whether every partition has been read to its end; its last offsets may be of markers, which are never handed out.
fn reached(
    reader: &BaseConsumer<Journal>,
    topic: &str,
    ends: &[PartitionEnds],
) -> Result<bool, KafkaError> {
    let at = reader.position()?;
    Ok(ends.iter().all(|it| {
        let position = at.find_partition(topic, it.partition).map(|p| p.offset());
        it.first >= it.end || matches!(position, Some(Offset::Offset(offset)) if offset >= it.end)
    }))
}
