//! A connector's place on a broker: unique names, records to send, and what a consumer sees of them.
//!
//! Owns: the topics that it named, which it deletes in the end. Never: touches another test's topics.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    Message,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer},
    message::Headers as _,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use walferry_event::{Lsn, Position};
use walferry_kafka::{Checkpoint, Config, Publisher, RecordBlock, RetryLimits};
use walferry_stack::Stack;
use walferry_testkit::topics::{Ends, Reader};

pub(crate) struct Place {
    pub(crate) config: Config,
    topics: Vec<String>,
    /// Where topics are deleted; a proxy in front of the broker may be gone by then.
    brokers: String,
}

/// One record as a consumer with `read_committed` sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Place {
    /// On the broker that all tests share; it must not be harmed.
    pub(crate) fn shared() -> Place {
        Place::on(&Stack::shared().unwrap().kafka_brokers)
    }

    pub(crate) fn on(brokers: &str) -> Place {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let connector = format!("t{}-{serial}", std::process::id());
        let checkpoint_topic = format!("walferry_checkpoint_{connector}");
        Place {
            brokers: brokers.into(),
            topics: vec![checkpoint_topic.clone()],
            config: Config {
                brokers: brokers.into(),
                properties: BTreeMap::new(),
                secrets: BTreeMap::new(),
                connector,
                checkpoint_topic,
                dead_letter_topic: "dead_letters".into(),
                queue_bytes_max: 16 << 20,
                topic_partitions: 1,
                topic_replication: -1,
                topic_config: BTreeMap::new(),
                retries: RetryLimits {
                    retries_max: 20,
                    retry_min_ms: 10,
                    retry_max_ms: 500,
                },
                headers: Vec::new(),
                topics: Default::default(),
                requests: Default::default(),
            },
        }
    }

    /// A name that no other test uses; nothing is created.
    pub(crate) fn name(&mut self, stem: &str) -> String {
        let name = format!("{}.{stem}", self.config.connector);
        self.topics.push(name.clone());
        name
    }

    /// A topic of its own, with settings.
    pub(crate) fn topic(&mut self, stem: &str, settings: &[(&str, &str)]) -> Arc<str> {
        let name = self.name(stem);
        let mut config = self.config.clone();
        config.topic_config = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        walferry_kafka::ensure_topics(&config, &[&name]).unwrap();
        name.into()
    }

    /// A publisher of this place, which has claimed the connector.
    pub(crate) fn publisher(&self, instance: &str) -> Publisher {
        let (mut publisher, found) = self.open(instance);
        let counter = found.map_or(1, |found| found.counter + 1);
        publisher.claim(checkpoint(instance, counter)).unwrap();
        publisher
    }

    pub(crate) fn open(&self, instance: &str) -> (Publisher, Option<Checkpoint>) {
        walferry_kafka::ensure_checkpoint_topic(&self.config).unwrap();
        Publisher::open(self.config.clone(), instance.into(), stop()).unwrap()
    }

    /// A transaction under an id that has written to the checkpoint topic and is open, as a process leaves it that is killed.
    pub(crate) fn opened(&self, transactional_id: &str) -> BaseProducer {
        let topic = self.config.checkpoint_topic.as_str();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("transactional.id", transactional_id)
            .create()
            .unwrap();
        let patience = Duration::from_secs(30);
        producer.init_transactions(patience).unwrap();
        producer.begin_transaction().unwrap();
        let value = serde_json::to_string(&checkpoint("killed", 9)).unwrap();
        let record = BaseRecord::to(topic).key(&self.config.connector);
        producer.send(record.payload(&value)).unwrap();
        producer.flush(patience).unwrap();
        producer
    }

    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        walferry_kafka::read_checkpoint(&self.config, &stop()).unwrap()
    }

    /// Waits until no transaction is open on a topic: a commit is answered before the marks that end it are written.
    fn await_settled(&self, topic: &str) {
        let written: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("isolation.level", "read_uncommitted")
            .create()
            .unwrap();
        let committed = Ends::open(&self.brokers).unwrap();
        let (_, end) = written
            .fetch_watermarks(topic, 0, Duration::from_secs(10))
            .unwrap();
        await_true("the marks are written", Duration::from_secs(30), || {
            committed.of(topic, 0).unwrap().1 >= end
        });
    }

    /// What a consumer reads up to the committed end, as it is now.
    pub(crate) fn read(&self, topic: &str) -> Vec<Seen> {
        let mut seen = Vec::new();
        Reader::open(&self.brokers, &[topic.to_owned()])
            .unwrap()
            .read_to_end(|message| {
                let headers = message.headers().into_iter().flat_map(|all| all.iter());
                seen.push(Seen {
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: headers
                        .map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec()))
                        .collect(),
                });
                Ok(())
            })
            .unwrap();
        seen
    }

    /// What a consumer reads once no transaction is open on the topic.
    pub(crate) fn settled(&self, topic: &str) -> Vec<Seen> {
        self.await_settled(topic);
        self.read(topic)
    }

    /// The values of a topic's records, as numbers that [`numbers`] has written, once no transaction is open on it.
    pub(crate) fn numbers(&self, topic: &str) -> Vec<u32> {
        let number = |seen: Seen| {
            let value = seen.value.unwrap();
            u32::from_be_bytes(value[..4].try_into().unwrap())
        };
        self.settled(topic).into_iter().map(number).collect()
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap()
    }

    pub(crate) fn delete(&self, topics: &[&str]) {
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        let deleted = futures_executor::block_on(self.admin().delete_topics(topics, &options));
        deleted.unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A broker that a test has ended for good takes its topics along.
        let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(2)));
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let _ = futures_executor::block_on(self.admin().delete_topics(&topics, &options));
    }
}

pub(crate) fn stop() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

pub(crate) fn checkpoint(instance: &str, counter: u64) -> Checkpoint {
    Checkpoint {
        version: 1,
        system_id: "7412345678901234567".into(),
        timeline: 1,
        database: "shop".into(),
        slot: "walferry_shop".into(),
        position: Some(Position::at(Lsn(counter))),
        events: None,
        last_commit_lsn: None,
        parked: Vec::new(),
        snapshot: None,
        instance: instance.into(),
        counter,
        written_at: walferry_kafka::now_rfc3339(),
        walferry: "0.1.0".into(),
        tables: Vec::new(),
        published: None,
        topics: Default::default(),
    }
}

/// A block of records whose values begin with these numbers and are `bytes` long, of letters that do not compress.
pub(crate) fn numbers(topic: &Arc<str>, values: Range<u32>, bytes: usize) -> Arc<RecordBlock> {
    let mut block = RecordBlock::new();
    for value in values {
        add(&mut block, topic, value, bytes);
    }
    Arc::new(block)
}

pub(crate) fn add(block: &mut RecordBlock, topic: &Arc<str>, value: u32, bytes: usize) {
    let index = block.topic(topic);
    let arena = block.arena_mut();
    let at = |arena: &Vec<u8>| u32::try_from(arena.len()).unwrap();
    let start = at(arena);
    arena.extend(value.to_be_bytes());
    let mut random = u64::from(value) + 1;
    while at(arena) < start + u32::try_from(bytes.max(4)).unwrap() {
        // Xorshift: the same bytes at each run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        arena.push(random as u8);
    }
    let end = at(arena);
    block.push(index, Some(start..start + 4), Some(start..end), None);
}

/// Waits for something to become true.
pub(crate) fn await_true(what: &str, limit: Duration, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    began.elapsed()
}
