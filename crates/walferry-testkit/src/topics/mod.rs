//! Topics as a consumer with `read_committed` sees them.
//!
//! Owns: [`Reader`] (all records up to the committed end), [`Ends`] (where that end is, without reading), [`Decoder`]
//! (Confluent framing and Avro, by the registry's schemas). Never: a consumer group, a commit of offsets.
//! Invariant: a reader that returns has read up to the last stable offset of each partition that it saw at its start.

mod decoder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub use decoder::Decoder;

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(15);
/// How long the marks of transactions that are committed may be under way to their partitions.
const MARKS: Duration = Duration::from_secs(10);
/// How long a reader may go without a record before it gives up.
const SILENCE: Duration = Duration::from_secs(30);

/// The topic of a table: the prefix and the table's name, with letters that Kafka refuses replaced.
pub fn topic_name(prefix: &str, table: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name = format!("{prefix}.{table}");
    name.chars()
        .map(|letter| if allowed(letter) { letter } else { '_' })
        .collect()
}

fn consumer(brokers: &str) -> Result<BaseConsumer> {
    consumer_that_reads(brokers, "read_committed")
}

fn consumer_that_reads(brokers: &str, isolation: &str) -> Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "walferry-testkit")
        .set("enable.auto.commit", "false")
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "500")
        .set("allow.auto.create.topics", "false")
        .create()
        .context("cannot create a consumer")
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), ASK)
        .with_context(|| format!("no metadata of topic {topic}"))?;
    let found = metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic && found.error().is_none());
    Ok(found.map_or(Vec::new(), |topic| {
        topic
            .partitions()
            .iter()
            .map(|partition| partition.id())
            .collect()
    }))
}

/// The committed ends of topics, asked for without reading a record.
pub struct Ends {
    consumer: BaseConsumer,
}

impl Ends {
    /// Connects.
    pub fn open(brokers: &str) -> Result<Ends> {
        Ok(Ends {
            consumer: consumer(brokers)?,
        })
    }

    /// First and last stable offset of a partition. The end counts transaction marks too.
    pub fn of(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.consumer
            .fetch_watermarks(topic, partition, ASK)
            .with_context(|| format!("no offsets of {topic} partition {partition}"))
    }

    /// How many partitions a topic has; 0 when there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<i32> {
        Ok(partitions(&self.consumer, topic)?.len() as i32)
    }

    /// The sum of the committed ends of all partitions of a topic; 0 when there is no such topic.
    pub fn total(&self, topic: &str) -> Result<i64> {
        let mut total = 0;
        for partition in partitions(&self.consumer, topic)? {
            total += self.of(topic, partition)?.1;
        }
        Ok(total)
    }

    /// Names of the topics whose name begins with `prefix`.
    pub fn topics(&self, prefix: &str) -> Result<Vec<String>> {
        let metadata = self
            .consumer
            .fetch_metadata(None, ASK)
            .context("no metadata")?;
        let named = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        Ok(named.filter(|name| name.starts_with(prefix)).collect())
    }
}

/// First and last stable offset of a partition. The commit of a transaction is acknowledged before its mark is in each
/// partition, so what is there now is waited for; what stays open is a transaction that goes on.
fn committed(
    consumer: &BaseConsumer,
    uncommitted: &BaseConsumer,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64)> {
    let ask = |consumer: &BaseConsumer| {
        let offsets = consumer.fetch_watermarks(topic, partition, ASK);
        offsets.with_context(|| format!("no offsets of {topic} partition {partition}"))
    };
    let (_, written) = ask(uncommitted)?;
    let begun = Instant::now();
    loop {
        let (first, end) = ask(consumer)?;
        if end >= written || begun.elapsed() > MARKS {
            return Ok((first, end));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Assigned {
    topic: Arc<str>,
    partition: i32,
    end: i64,
    position: i64,
}

/// Reads topics from a place to their committed end, or follows them.
pub struct Reader {
    consumer: BaseConsumer,
    assigned: Vec<Assigned>,
}

impl Reader {
    /// Reads from the first record. A topic that does not exist has none.
    pub fn open(brokers: &str, topics: &[String]) -> Result<Reader> {
        Reader::assign(brokers, topics, false)
    }

    /// Reads what comes from now on.
    pub fn open_at_end(brokers: &str, topics: &[String]) -> Result<Reader> {
        Reader::assign(brokers, topics, true)
    }

    /// Reads one partition from an offset on, or from the first record after it.
    pub fn open_at(brokers: &str, topic: &str, partition: i32, offset: i64) -> Result<Reader> {
        let consumer = consumer(brokers)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        consumer
            .assign(&list)
            .context("cannot assign a partition")?;
        Ok(Reader {
            consumer,
            assigned: Vec::new(),
        })
    }

    fn assign(brokers: &str, topics: &[String], at_end: bool) -> Result<Reader> {
        let consumer = consumer(brokers)?;
        let uncommitted = consumer_that_reads(brokers, "read_uncommitted")?;
        let (mut assigned, mut list) = (Vec::new(), TopicPartitionList::new());
        for topic in topics {
            for partition in partitions(&consumer, topic)? {
                let (first, end) = committed(&consumer, &uncommitted, topic, partition)?;
                let position = if at_end { end } else { first };
                list.add_partition_offset(topic, partition, Offset::Offset(position))?;
                assigned.push(Assigned {
                    topic: Arc::from(topic.as_str()),
                    partition,
                    end,
                    position,
                });
            }
        }
        consumer.assign(&list).context("cannot assign partitions")?;
        Ok(Reader { consumer, assigned })
    }

    /// Shows each record up to the committed ends as they were at the start.
    pub fn read_to_end(
        &mut self,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
    ) -> Result<u64> {
        let (mut count, mut heard, mut far) = (0, Instant::now(), false);
        while far || !self.at_end()? {
            far = false;
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    count += 1;
                    heard = Instant::now();
                    each(&message)?;
                    far = is_far(&self.assigned, &message);
                }
                Some(Err(error)) if heard.elapsed() > SILENCE => {
                    return Err(error).context("cannot read");
                }
                _ => {}
            }
            if heard.elapsed() > SILENCE {
                let behind = self
                    .assigned
                    .iter()
                    .find(|place| place.position < place.end);
                if let Some(place) = behind {
                    bail!(
                        "no record for {} s: {} partition {} stands at {} of {}",
                        SILENCE.as_secs(),
                        place.topic,
                        place.partition,
                        place.position,
                        place.end
                    );
                }
            }
        }
        Ok(count)
    }

    /// The next record, if one comes within `wait`.
    pub fn next(&self, wait: Duration) -> Result<Option<BorrowedMessage<'_>>> {
        self.consumer.poll(wait).transpose().context("cannot read")
    }

    /// Whether all partitions stand at their ends. Positions count transaction marks, which are never shown.
    fn at_end(&mut self) -> Result<bool> {
        if self
            .assigned
            .iter()
            .all(|place| place.position >= place.end)
        {
            return Ok(true);
        }
        let positions = self.consumer.position().context("no positions")?;
        for place in &mut self.assigned {
            let found = positions
                .find_partition(&place.topic, place.partition)
                .map(|found| found.offset());
            if let Some(Offset::Offset(offset)) = found {
                place.position = place.position.max(offset);
            }
        }
        Ok(self
            .assigned
            .iter()
            .all(|place| place.position >= place.end))
    }
}

/// Behind its partition's last record stand the marks of transactions, seldom more than this many.
const MARKS_MAX: i64 = 16;

/// Whether a record is so far from its partition's end that the end need not be asked for: to ask costs more than to read.
fn is_far(assigned: &[Assigned], message: &BorrowedMessage<'_>) -> bool {
    let place = assigned
        .iter()
        .find(|place| place.partition == message.partition() && *place.topic == *message.topic());
    place.is_some_and(|place| message.offset() + MARKS_MAX < place.end)
}

/// The first field of a framed Avro key, if that is an int or a long: cheaper than a whole decoding when many keys are
/// looked at. After the frame's five bytes comes a zigzag number, seven bits a byte, the lowest first.
pub fn key_long(message: &BorrowedMessage<'_>) -> Option<i64> {
    zigzag(message.key()?.get(5..)?)
}

fn zigzag(bytes: &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_numbers_are_read() {
        assert_eq!(zigzag(&[10]), Some(5));
        assert_eq!(zigzag(&[1]), Some(-1));
        assert_eq!(zigzag(&[0x80, 0x04, 9]), Some(256));
        assert_eq!(zigzag(&[0x80]), None);
    }

    #[test]
    fn topic_names_keep_to_what_kafka_allows() {
        assert_eq!(topic_name("shop", "public.orders"), "shop.public.orders");
        assert_eq!(topic_name("shop", "public.My t"), "shop.public.My_t");
    }
}
