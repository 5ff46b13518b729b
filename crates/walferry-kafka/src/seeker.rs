//! Reads committed records at chosen places of several topics, as consumers with `read_committed` see them.
//!
//! Owns the client, and what each partition holds. Never: reads a whole topic; a consumer group, a commit of offsets.
//! Invariant: a read ends at what each partition held when the seeker was opened.
//! Start reading at [`Seeker::read`].

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use crate::{Config, Error, background_drop::Leaving, error::Kind, journal::Journal, veil};

const ASK: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// A probe wants one record, and a scan a few hundred.
const FETCH_PARTITION_BYTES: &str = "65536";
const QUEUED_KIB: &str = "4096";
/// How long nothing may come before a broker counts as away.
const SILENCE: Duration = Duration::from_secs(15);

/// A partition, and what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its first offset.
    pub first: i64,
    /// The offset after its last committed record.
    pub end: i64,
}

/// A committed record.
#[derive(Clone, Copy, Debug)]
pub struct SoughtRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// When it was sent, in milliseconds since 1970, by the clock of who sent it.
    pub sent_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Reads at chosen places. Blocks.
pub struct Seeker {
    reader: Leaving<BaseConsumer<Journal>>,
    places: Vec<Place>,
}

impl Seeker {
    /// Looks at the partitions of these topics; one that does not exist has none.
    ///
    /// # Errors
    /// A broker does not answer.
    pub fn open(config: &Config, topics: &[String]) -> Result<Seeker, Error> {
        let reader: BaseConsumer<Journal> = config
            .consumer("read_committed")?
            .set("queued.max.messages.kbytes", QUEUED_KIB)
            .set("max.partition.fetch.bytes", FETCH_PARTITION_BYTES)
            .set("fetch.wait.max.ms", "10")
            .set("enable.partition.eof", "true")
            .create_with_context(Journal::of(config))
            .map_err(|error| veil::property(config, &error))?;
        let reader = Leaving::new(reader);
        // A question for one by name lets some brokers create it.
        let metadata = reader.fetch_metadata(None, ASK).map_err(failed)?;
        let mut places = Vec::new();
        for topic in metadata.topics() {
            if !topics.iter().any(|it| it == topic.name()) {
                continue;
            }
            for partition in topic.partitions() {
                let (name, partition) = (topic.name(), partition.id());
                let ends = reader.fetch_watermarks(name, partition, ASK);
                let (first, end) = ends.map_err(failed)?;
                places.push(Place {
                    topic: name.to_owned(),
                    partition,
                    first,
                    end,
                });
            }
        }
        Ok(Seeker { reader, places })
    }

    /// The partitions.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Gives the committed records of places, each from an offset, until `each` has enough of a place or it ends. A place is named by its
    /// number in [`Seeker::places`].
    ///
    /// # Errors
    /// A broker does not answer, or what `each` says.
    pub fn read<E: From<Error>>(
        &mut self,
        from: &[(usize, i64)],
        mut each: impl FnMut(usize, SoughtRecord<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let reader = &*self.reader;
        let (mut open, mut numbers) = (HashSet::new(), HashMap::new());
        let mut list = TopicPartitionList::new();
        for &(at, offset) in from {
            let place = &self.places[at];
            let offset = offset.max(place.first);
            if offset < place.end {
                open.insert(at);
                numbers.insert((place.topic.as_str(), place.partition), at);
                list.add_partition_offset(&place.topic, place.partition, Offset::Offset(offset))
                    .map_err(failed)?;
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        reader.assign(&list).map_err(failed)?;
        let mut heard = Instant::now();
        while !open.is_empty() {
            let message = match reader.poll(POLL) {
                Some(Ok(message)) => message,
                other => {
                    // The last offsets may be those of markers, which are never handed out.
                    let positions = reader.position().map_err(failed)?;
                    open.retain(|at| {
                        let place = &self.places[*at];
                        let position = positions.find_partition(&place.topic, place.partition);
                        let position = position.map(|it| it.offset());
                        !matches!(position, Some(Offset::Offset(it)) if it >= place.end)
                    });
                    match other {
                        Some(Err(error)) if !matches!(error, KafkaError::PartitionEOF(_)) => {
                            tracing::debug!(%error, "reading at chosen places");
                        }
                        _ => {}
                    }
                    if heard.elapsed() > SILENCE {
                        let text = "no record comes, though there are some: no broker answers";
                        return Err(Error::new(Kind::Unreachable, text).into());
                    }
                    continue;
                }
            };
            heard = Instant::now();
            let number = numbers.get(&(message.topic(), message.partition()));
            let Some(&at) = number.filter(|it| open.contains(*it)) else {
                continue;
            };
            let offset = message.offset();
            let goes_on = offset < self.places[at].end
                && each(
                    at,
                    SoughtRecord {
                        offset,
                        sent_ms: message.timestamp().to_millis(),
                        key: message.key(),
                        value: message.payload(),
                    },
                )?;
            if !goes_on || offset + 1 >= self.places[at].end {
                open.remove(&at);
            }
        }
        Ok(())
    }
}

fn failed(error: KafkaError) -> Error {
    Error::new(Kind::Unreachable, format!("reading topics: {error}"))
}
