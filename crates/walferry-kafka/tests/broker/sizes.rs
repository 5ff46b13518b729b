//! Records that a topic does not take: the one that is too large is found, and only that one.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use walferry_kafka::{OwnedRecord, RecordBlock, Refusal, Verdict};

use crate::place::{Place, add, checkpoint, numbers};

/// Small records with a large one in their midst.
fn mixed(topic: &Arc<str>, large: u32, bytes: usize) -> Arc<RecordBlock> {
    let mut block = RecordBlock::new();
    for value in 0..100 {
        add(
            &mut block,
            topic,
            value,
            if value == large { bytes } else { 100 },
        );
    }
    Arc::new(block)
}

#[test]
fn a_record_above_the_topic_s_limit_ends_publishing_and_is_named() {
    let mut place = Place::shared();
    for (stem, limit, bytes) in [("a", "2000000", 3_000_000), ("b", "50000", 60_000)] {
        let topic = place.topic(stem, &[("max.message.bytes", limit)]);
        let mut publisher = place.publisher("one");
        let began = Instant::now();
        let block = mixed(&topic, 50, bytes);
        let appended = publisher.append(&block, 0..100);
        let error = appended
            .and_then(|()| publisher.commit(checkpoint("one", 99)).map(drop))
            .unwrap_err();
        assert_eq!(error.kind(), "too_large");
        let text = error.to_string();
        let named = text.contains(&format!("{} bytes", bytes + 4)) && text.contains(&*topic);
        assert!(named && text.contains("max.message.bytes"), "{text}");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        publisher.discard();
        assert!(place.settled(&topic).is_empty());
    }
}

#[test]
fn a_dead_letter_takes_the_place_of_a_record_that_is_too_large() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[("max.message.bytes", "50000")]);
    let dead: Arc<str> = place.topic("dead", &[]);
    let mut publisher = place.publisher("one");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut block = Arc::into_inner(mixed(&topic, 50, 60_000)).unwrap();
    let judge = {
        let (asked, dead) = (asked.clone(), dead.clone());
        move |refusal: &Refusal, times| {
            asked.lock().unwrap().push((refusal.bytes, times));
            Verdict::Replace(OwnedRecord {
                topic: dead.clone(),
                key: None,
                value: Some(77_u32.to_be_bytes().to_vec()),
                headers: None,
            })
        }
    };
    block.may_be_refused(50..51, 0, Box::new(judge));
    let began = Instant::now();
    publisher.append(&Arc::new(block), 0..100).unwrap();
    let report = publisher.commit(checkpoint("one", 2)).unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(report.replaced);
    let rest: Vec<u32> = (0..100).filter(|value| *value != 50).collect();
    assert_eq!(place.numbers(&topic), rest);
    assert_eq!(place.numbers(&dead), [77]);
    assert_eq!(*asked.lock().unwrap(), [(60_004, 0)]);
    // The next batch goes the quick way again.
    publisher
        .append(&numbers(&topic, 100..110, 100), 0..10)
        .unwrap();
    assert!(!publisher.commit(checkpoint("one", 3)).unwrap().replaced);
}

#[test]
fn records_that_only_together_exceed_the_limit_are_all_published() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[("max.message.bytes", "20000")]);
    let mut publisher = place.publisher("one");
    let mut block = Arc::into_inner(numbers(&topic, 0..1_000, 1_000)).unwrap();
    for record in 0..1_000 {
        let judge = |refusal: &Refusal, _| panic!("{refusal:?}: they are not too large");
        block.may_be_refused(record..record + 1, 0, Box::new(judge));
    }
    publisher.append(&Arc::new(block), 0..1_000).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert_eq!(place.numbers(&topic), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn records_larger_than_the_queue_are_sent_alone_and_in_order() {
    let mut place = Place::shared();
    place.config.queue_bytes_max = 1 << 20;
    let topic = place.topic("a", &[("max.message.bytes", "20000000")]);
    let mut publisher = place.publisher("one");
    let mut block = RecordBlock::new();
    for value in 0..40 {
        let bytes = if value % 10 == 5 { 9_000_000 } else { 1_000 };
        add(&mut block, &topic, value, bytes);
    }
    let block = Arc::new(block);
    let began = Instant::now();
    publisher.append(&block, 0..40).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(place.numbers(&topic), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_record_without_a_key_for_a_compacted_topic_is_refused_by_name_and_a_judge_decides() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[("cleanup.policy", "compact")]);
    let block = |judge: Option<walferry_kafka::Judge>| {
        let mut block = RecordBlock::new();
        let index = block.topic(&topic);
        for value in 0..5_u8 {
            let at = block.append(&[0, 0, 0, value]);
            let key = (value != 2).then(|| at.clone());
            block.push(index, key, Some(at), None);
        }
        if let Some(judge) = judge {
            block.may_be_refused(2..3, 0, judge);
        }
        Arc::new(block)
    };
    let mut publisher = place.publisher("one");
    let appended = publisher.append(&block(None), 0..5);
    let error = appended
        .and_then(|()| publisher.commit(checkpoint("one", 2)).map(drop))
        .unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(
        refusal.refused,
        walferry_kafka::Refused::Keyless,
        "{refusal:?}"
    );
    assert!(
        error.to_string().contains(&*topic) && error.to_string().contains("cleanup.policy"),
        "{error}"
    );
    publisher.discard();
    let skip: walferry_kafka::Judge = Box::new(|_: &Refusal, _| Verdict::Skip);
    publisher.append(&block(Some(skip)), 0..5).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert_eq!(place.numbers(&topic), [0, 1, 3, 4]);
}

#[test]
fn a_key_stays_in_its_partition_when_its_topic_gets_more_of_them() {
    let mut place = Place::shared();
    place.config.topic_partitions = 2;
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    let mut counter = 2;
    let mut publish = |publisher: &mut walferry_kafka::Publisher| {
        publisher
            .append(&numbers(&topic, 0..40, 100), 0..40)
            .unwrap();
        publisher.commit(checkpoint("one", counter)).unwrap();
        counter += 1;
    };
    publish(&mut publisher);
    let ends = |partition| {
        walferry_testkit::topics::Ends::open(&place.config.brokers)
            .unwrap()
            .of(&topic, partition)
            .unwrap()
            .1
    };
    let before = [ends(0), ends(1)];
    assert!(before[0] > 0 && before[1] > 0, "{before:?}");
    let more = rdkafka::admin::NewPartitions::new(&topic, 5);
    let options = rdkafka::admin::AdminOptions::new();
    let made = futures_executor::block_on(place.admin().create_partitions(&[more], &options));
    made.unwrap().remove(0).unwrap();
    // A producer that begins anew knows of them.
    publisher.discard();
    publish(&mut publisher);
    publisher.discard();
    publish(&mut publisher);
    for partition in 2..5 {
        assert_eq!(ends(partition), 0, "partition {partition}");
    }
    walferry_kafka::TopicLook::new(&place.config)
        .unwrap()
        .look()
        .unwrap();
    let differences = place.config.topics.differences();
    let more = walferry_kafka::Difference::Partitions {
        accepted: 2,
        found: 5,
    };
    assert_eq!(differences.get(&*topic), Some(&more));
    // Deleted and created again, it is another.
    place.delete(&[&topic]);
    crate::place::await_true("it is gone", Duration::from_secs(10), || {
        walferry_kafka::topics_missing(&place.config, &[&topic])
            .unwrap()
            .len()
            == 1
    });
    walferry_kafka::ensure_topics(&place.config, &[&topic]).unwrap();
    let differences = place.config.topics.differences();
    assert_eq!(
        differences.get(&*topic),
        Some(&walferry_kafka::Difference::Replaced)
    );
}
