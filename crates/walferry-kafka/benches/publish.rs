//! What publishing costs on a real broker: records a second and processor seconds per million, and a small commit's time.
//!
//! Never: judges. The bare producer, with the same settings and nothing of ours around it, tells how much of the cost is
//! librdkafka's. The broker runs on the same machine and takes its share of it, so rates are lower bounds; processor
//! seconds are those of this process alone. Run it with `cargo bench -p walferry-kafka [-- WORD…]`, where each word
//! selects the cases whose names hold it.
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be had ends the measurement"
)]

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    config::ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};
use walferry_kafka::{Checkpoint, Config, Publisher, RecordBlock, RetryLimits};
use walferry_stack::{KafkaOptions, KafkaServer};
use walferry_testkit::process::Usage;

const RECORDS: usize = 2_000_000;
const VALUE_BYTES: usize = 200;
const BLOCK_BYTES: usize = 256 << 10;
const BATCH_BYTES: usize = 16 << 20;
const ROUNDS: u32 = 3;
const SMALL_COMMITS: u64 = 500;
const SMALL_RECORDS: usize = 10;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let server = KafkaServer::start(KafkaOptions::new()).unwrap();
    let blocks = blocks();
    let mut out = io::stdout();
    for round in 0..ROUNDS {
        for (compression, partitions) in [("none", 1), ("lz4", 1), ("lz4", 8)] {
            let runs: [(&str, Run); 2] = [("publisher", publisher), ("bare", bare)];
            for (who, run) in runs {
                let name = format!("{who} {compression} {partitions}");
                if !wanted(&name) {
                    continue;
                }
                let case = Case::new(&server, &name, round, compression, partitions);
                let before = usage();
                let began = Instant::now();
                run(&case, &blocks);
                let seconds = began.elapsed().as_secs_f64();
                let cpu = usage().cpu_seconds - before.cpu_seconds;
                let millions = RECORDS as f64 / 1e6;
                writeln!(
                    out,
                    "{name:<20} {:>6.0} k records/s  {:.2} CPU-s per million",
                    millions * 1e3 / seconds,
                    cpu / millions
                )?;
            }
        }
    }
    if wanted("small") {
        small(&server, &mut out)?;
    }
    Ok(())
}

type Run = fn(&Case, &[Vec<Pair>]);
/// Key and value.
type Pair = (Vec<u8>, Vec<u8>);

struct Case {
    config: Config,
    topic: Arc<str>,
}

impl Case {
    fn new(
        server: &KafkaServer,
        name: &str,
        round: u32,
        compression: &str,
        partitions: i32,
    ) -> Case {
        let connector = format!("{}-{round}", name.replace(' ', "-"));
        let topic: Arc<str> = format!("{connector}.records").into();
        let config = Config {
            brokers: server.brokers(),
            properties: [("compression.type".into(), compression.into())].into(),
            secrets: Default::default(),
            checkpoint_topic: format!("{connector}.checkpoint"),
            connector,
            dead_letter_topic: "dead_letters".into(),
            queue_bytes_max: 16 << 20,
            topic_partitions: partitions,
            topic_replication: -1,
            // What has been measured may go at once, so that the disk does not fill.
            topic_config: [("retention.bytes".into(), "1".into())].into(),
            retries: RetryLimits {
                retries_max: 5,
                retry_min_ms: 100,
                retry_max_ms: 1_000,
            },
            headers: Vec::new(),
            topics: Default::default(),
            requests: Default::default(),
        };
        walferry_kafka::ensure_checkpoint_topic(&config).unwrap();
        walferry_kafka::ensure_topics(&config, &[&topic]).unwrap();
        Case { config, topic }
    }
}

/// Ours: blocks go to the publisher, batches of 16 MiB are committed.
fn publisher(case: &Case, blocks: &[Vec<Record>]) {
    let blocks: Vec<Arc<RecordBlock>> = blocks
        .iter()
        .map(|records| Arc::new(block(&case.topic, records)))
        .collect();
    let mut publisher = open(&case.config);
    let (mut sent, mut counter) = (0, 1);
    'all: loop {
        let mut bytes = 0;
        for block in &blocks {
            publisher.append(block, 0..block.len()).unwrap();
            sent += block.len();
            bytes += block.bytes();
            if sent >= RECORDS || bytes >= BATCH_BYTES {
                counter += 1;
                publisher.commit(checkpoint(counter)).unwrap();
                bytes = 0;
            }
            if sent >= RECORDS {
                break 'all;
            }
        }
    }
}

/// librdkafka through its Rust crate, as thin as can be: send, wait until all is acknowledged, commit.
fn bare(case: &Case, blocks: &[Vec<Record>]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &case.config.brokers)
        .set("transactional.id", &case.config.connector)
        .set(
            "compression.type",
            &case.config.properties["compression.type"],
        )
        .set("delivery.report.only.error", "true")
        .set("queue.buffering.max.messages", "50000")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(10)).unwrap();
    let (mut sent, mut bytes) = (0, 0);
    producer.begin_transaction().unwrap();
    for (key, value) in blocks.iter().cycle().flatten() {
        let record = || BaseRecord::to(&case.topic).key(key).payload(value);
        while let Err((error, _)) = producer.send(record()) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full);
            std::thread::sleep(Duration::from_millis(2));
        }
        sent += 1;
        bytes += value.len() + key.len();
        if bytes >= BATCH_BYTES || sent >= RECORDS {
            while producer.in_flight_count() > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            producer
                .commit_transaction(Duration::from_secs(10))
                .unwrap();
            if sent >= RECORDS {
                return;
            }
            producer.begin_transaction().unwrap();
            bytes = 0;
        }
    }
}

/// Commits of a few records each, as under low load.
fn small(server: &KafkaServer, out: &mut impl Write) -> io::Result<()> {
    let case = Case::new(server, "small", 0, "lz4", 1);
    let records: Vec<Record> = (0..SMALL_RECORDS).map(record).collect();
    let block = Arc::new(block(&case.topic, &records));
    let mut publisher = open(&case.config);
    let (mut whole, mut flush, mut end) = (Vec::new(), Vec::new(), Vec::new());
    for counter in 2..SMALL_COMMITS + 2 {
        let began = Instant::now();
        publisher.append(&block, 0..block.len()).unwrap();
        let report = publisher.commit(checkpoint(counter)).unwrap();
        whole.push(began.elapsed().as_secs_f64() * 1e3);
        flush.push(report.flush_us as f64 / 1e3);
        end.push(report.end_txn_us as f64 / 1e3);
    }
    for (name, mut times) in [
        ("append and commit", whole),
        ("flush", flush),
        ("EndTxn", end),
    ] {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let (half, most) = (at(0.5), at(0.99));
        writeln!(out, "small {name:<20} p50 {half:.1} ms  p99 {most:.1} ms")?;
    }
    writeln!(
        out,
        "small producers replaced   {}",
        publisher.health().replaced()
    )
}

fn open(config: &Config) -> Publisher {
    let (mut publisher, _) =
        Publisher::open(config.clone(), "bench".into(), Arc::default()).unwrap();
    publisher.claim(checkpoint(1)).unwrap();
    publisher
}

fn checkpoint(counter: u64) -> Checkpoint {
    Checkpoint {
        version: 1,
        system_id: "7412345678901234567".into(),
        timeline: 1,
        database: "shop".into(),
        slot: "walferry_shop".into(),
        position: None,
        events: None,
        last_commit_lsn: None,
        parked: Vec::new(),
        snapshot: None,
        instance: "bench".into(),
        counter,
        written_at: walferry_kafka::now_rfc3339(),
        walferry: "0.1.0".into(),
        tables: Vec::new(),
        published: None,
        topics: Default::default(),
    }
}

fn usage() -> Usage {
    Usage::of(std::process::id()).unwrap()
}

type Record = (Vec<u8>, Vec<u8>);

/// One batch, in blocks.
fn blocks() -> Vec<Vec<Record>> {
    let in_block = BLOCK_BYTES / VALUE_BYTES;
    (0..BATCH_BYTES / BLOCK_BYTES)
        .map(|block| {
            (0..in_block)
                .map(|at| record(block * in_block + at))
                .collect()
        })
        .collect()
}

/// An encoded change in its look to a compressor: what is the same in each record of a table, and what is not.
fn record(number: usize) -> Record {
    let mut random = number as u64 + 1;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut value = b"\0\0\0\0\x07".to_vec();
    while value.len() < 110 {
        value.extend(format!("{:016x}", next()).bytes());
    }
    let rest = b"\x0a0.1.0\x14postgresql\x08shop\0\x0cpublic\x0corders\x02\x0a[null]";
    value.extend(rest.iter().cycle().take(VALUE_BYTES - value.len() - 8));
    value.extend(next().to_le_bytes());
    (number.to_be_bytes().to_vec(), value)
}

fn block(topic: &Arc<str>, records: &[Record]) -> RecordBlock {
    let mut block = RecordBlock::new();
    let index = block.topic(topic);
    for (key, value) in records {
        let start = block.bytes() as u32;
        let middle = start + key.len() as u32;
        block.arena_mut().extend(key);
        block.arena_mut().extend(value);
        let end = block.bytes() as u32;
        block.push(index, Some(start..middle), Some(middle..end), None);
    }
    block
}
