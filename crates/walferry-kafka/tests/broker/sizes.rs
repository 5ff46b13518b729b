//! Records that a topic does not take: the one that is too large is found, and only that one.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use walferry_kafka::{Oversize, OwnedRecord, RecordBlock};

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
        move |bytes, times| {
            asked.lock().unwrap().push((bytes, times));
            Oversize::Replace(OwnedRecord {
                topic: dead.clone(),
                key: None,
                value: Some(77_u32.to_be_bytes().to_vec()),
                headers: None,
            })
        }
    };
    block.may_be_too_large(50..51, 0, Box::new(judge));
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
        let judge = |bytes, _| panic!("{bytes} bytes are not too large");
        block.may_be_too_large(record..record + 1, 0, Box::new(judge));
    }
    publisher.append(&Arc::new(block), 0..1_000).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert_eq!(place.numbers(&topic), (0..1_000).collect::<Vec<_>>());
}
