//! KAFKA-17754: an EndTxn that is held back on the way and delivered into a later transaction. With the guard nothing
//! leaks; without it, it does, which shows that the test can see it.
//!
//! Owns `Unguarded`, the client without the guard. It exists here alone: nothing that is shipped can be told to do without.

use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
};
use walferry_event::{Lsn, Position};
use walferry_stack::Stack;
use walferry_testkit::{proxy::Proxy, topics::Reader};

use super::machine::Machine;
use crate::{
    Checkpoint, Config, RecordBlock, RecordRef, RetryLimits,
    config::example,
    ensure_checkpoint_topic, ensure_topics,
    producer::Librdkafka,
    transactions::{End, Fault, Grouping, Timing, Transactions},
};

/// The client, to which no commit is suspect.
struct Unguarded(Librdkafka);

impl Transactions for Unguarded {
    fn begin(&mut self) -> Result<(), Fault> {
        self.0.begin()
    }

    fn send(
        &mut self,
        block: &Arc<RecordBlock>,
        records: Range<usize>,
        sequence: usize,
    ) -> Result<(), Fault> {
        self.0.send(block, records, sequence)
    }

    fn send_one(&mut self, record: &RecordRef<'_>, sequence: usize) -> Result<(), Fault> {
        self.0.send_one(record, sequence)
    }

    fn commit(&mut self) -> Result<Timing, Fault> {
        Ok(Timing {
            suspect: false,
            ..self.0.commit()?
        })
    }

    fn abort(&mut self) {
        self.0.abort();
    }

    fn replace(&mut self, grouping: Grouping) -> Result<(), Fault> {
        self.0.replace(grouping)
    }

    fn checkpoint(&mut self, end: End) -> Result<Option<Checkpoint>, Fault> {
        self.0.checkpoint(end)
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
        written_at: crate::now_rfc3339(),
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
    let consumer: BaseConsumer = rdkafka::config::ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("isolation.level", "read_uncommitted")
        .create()
        .unwrap();
    consumer
        .fetch_watermarks(topic, 0, Duration::from_secs(10))
        .unwrap()
        .1
}

/// Whether records of the second batch can be read while it is open and the end of the first arrives late.
fn leaked<T: Transactions>(name: &str, client: impl FnOnce(Librdkafka) -> T) -> bool {
    let brokers = &Stack::shared().unwrap().kafka_brokers;
    let connector = format!("late_end_{name}_{}", std::process::id());
    let topic = format!("{connector}.t");
    let proxy = Proxy::kafka(brokers).unwrap();
    let config = Config {
        brokers: proxy.address(),
        checkpoint_topic: format!("checkpoint_{connector}"),
        connector,
        retries: RetryLimits {
            retries_max: 20,
            retry_min_ms: 50,
            retry_max_ms: 1_000,
        },
        ..example()
    };
    ensure_checkpoint_topic(&config).unwrap();
    ensure_topics(&config, &[&topic]).unwrap();
    let (stop, health) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let librdkafka = Librdkafka::new(config.clone(), stop.clone(), Arc::clone(&health));
    let mut machine = Machine::new(client(librdkafka), &config, "one".into(), stop, health);
    assert!(machine.open().unwrap().is_none());
    machine.commit(checkpoint(1)).unwrap();

    machine.append(&block(&topic, "first"), 0..1).unwrap();
    proxy.hold_end_txn(0);
    let report = machine.commit(checkpoint(2)).unwrap();
    assert!(proxy.wait_held(Duration::from_secs(5)), "{report:?}");
    let written = end(brokers, &topic);
    machine.append(&block(&topic, "second"), 0..1).unwrap();
    // Only a transaction that the coordinator knows can be ended by what comes late.
    while end(brokers, &topic) == written {
        std::thread::yield_now();
    }
    let _ = proxy.deliver_held().unwrap();
    let leaked = readable(brokers, &topic).contains(&"second".to_owned());
    machine.discard();
    leaked
}

#[test]
fn a_late_end_of_a_transaction_leaks_nothing_of_the_next_one() {
    assert!(
        !leaked("guarded", |client| client),
        "the guard let records of an open transaction out"
    );
}

#[test]
fn without_the_guard_it_would_leak() {
    assert!(
        leaked("unguarded", Unguarded),
        "the proxy's trap does not work, so the test above shows nothing"
    );
}
