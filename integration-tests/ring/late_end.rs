//! KAFKA-17754: an EndTxn that is held back on the way and delivered into a later transaction. With the guard nothing
//! leaks; without it, it does, which shows that the test can see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use walferry_event::{Lsn, Position};
use walferry_kafka::{
    Checkpoint, Config, Publisher, RecordBlock, RetryLimits, ensure_checkpoint_topic, ensure_topics,
};
use walferry_stack::Stack;
use walferry_testkit::proxy::Proxy;
use walferry_testkit::topics::Reader;

fn config(brokers: &str, connector: &str, guard: bool) -> Config {
    Config {
        brokers: brokers.to_owned(),
        properties: BTreeMap::new(),
        secrets: BTreeMap::new(),
        connector: connector.to_owned(),
        checkpoint_topic: format!("checkpoint_{connector}"),
        dead_letter_topic: "dead_letters".into(),
        requests: Default::default(),
        queue_bytes_max: 8 << 20,
        topic_partitions: 1,
        topic_replication: -1,
        topic_config: BTreeMap::new(),
        retries: RetryLimits {
            retries_max: 20,
            retry_min_ms: 50,
            retry_max_ms: 1_000,
        },
        headers: Vec::new(),
        topics: Default::default(),
        guard,
    }
}

fn checkpoint(counter: u64) -> Checkpoint {
    Checkpoint {
        published: None,
        version: 1,
        system_id: "1".into(),
        timeline: 1,
        database: "d".into(),
        slot: "s".into(),
        position: Some(Position::at(Lsn(counter * 256))),
        snapshot: None,
        events: None,
        last_commit_lsn: None,
        parked: Vec::new(),
        instance: "one".into(),
        counter,
        written_at: walferry_kafka::now_rfc3339(),
        walferry: "test".into(),
        tables: Vec::new(),
        topics: Default::default(),
    }
}

fn block(topic: &str, text: &str) -> Arc<RecordBlock> {
    let mut block = RecordBlock::new();
    let topic = block.topic(&Arc::from(topic));
    block.arena_mut().extend_from_slice(text.as_bytes());
    block.push(topic, None, Some(0..text.len() as u32), None);
    Arc::new(block)
}

fn readable(brokers: &str, topic: &str) -> Vec<String> {
    let mut texts = Vec::new();
    Reader::open(brokers, &[topic.to_owned()])
        .unwrap()
        .read_to_end(|message| {
            texts.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
            Ok(())
        })
        .unwrap();
    texts
}

/// Where the topic ends, open transactions included.
fn end(brokers: &str, topic: &str) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("isolation.level", "read_uncommitted")
        .create()
        .unwrap();
    consumer
        .fetch_watermarks(topic, 0, Duration::from_secs(10))
        .unwrap()
        .1
}

/// What is readable while the second batch is open and the end of the first arrives late.
fn leaked(guard: bool) -> bool {
    let brokers = &Stack::shared().unwrap().kafka_brokers;
    let connector = format!("late_end_{guard}_{}", std::process::id());
    let topic = format!("{connector}.t");
    let proxy = Proxy::kafka(brokers).unwrap();
    let config = config(&proxy.address(), &connector, guard);
    ensure_checkpoint_topic(&config).unwrap();
    ensure_topics(&config, &[&topic]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (mut publisher, found) = Publisher::open(config, "one".into(), stop).unwrap();
    assert!(found.is_none());
    publisher.claim(checkpoint(1)).unwrap();

    publisher.append(&block(&topic, "first"), 0..1).unwrap();
    proxy.hold_end_txn(0);
    let report = publisher.commit(checkpoint(2)).unwrap();
    assert!(proxy.wait_held(Duration::from_secs(5)), "{report:?}");
    let written = end(brokers, &topic);
    publisher.append(&block(&topic, "second"), 0..1).unwrap();
    // Only a transaction that the coordinator knows can be ended by what comes late.
    while end(brokers, &topic) == written {
        std::thread::yield_now();
    }
    let _ = proxy.deliver_held().unwrap();
    let leaked = readable(brokers, &topic).contains(&"second".to_owned());
    publisher.discard();
    leaked
}

#[test]
fn a_late_end_of_a_transaction_leaks_nothing_of_the_next_one() {
    assert!(
        !leaked(true),
        "the guard let records of an open transaction out"
    );
}

#[test]
fn without_the_guard_it_would_leak() {
    assert!(
        leaked(false),
        "the proxy's trap does not work, so the test above shows nothing"
    );
}
