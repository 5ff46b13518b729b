//! The publisher's life on a broker that does its work: open, claim, append, commit, fence, discard.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::producer::Producer as _;
use walferry_kafka::{Noted, RecordBlock};

use crate::place::{Place, checkpoint, numbers, stop};

#[test]
fn a_batch_is_readable_with_its_checkpoint_and_not_before() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[]);
    let (mut publisher, found) = place.open("one");
    assert_eq!(found, None);
    publisher.claim(checkpoint("one", 1)).unwrap();
    assert_eq!(place.checkpoint().unwrap().counter, 1);

    let block = numbers(&topic, 0..1_000, 200);
    publisher.append(&block, 0..400).unwrap();
    publisher.append(&block, 400..1_000).unwrap();
    assert!(place.read(&topic).is_empty());
    let report = publisher.commit(checkpoint("one", 2)).unwrap();
    assert!(!report.replaced);
    assert!(report.end_txn_us > 0 && report.flush_us > 0, "{report:?}");
    assert_eq!(place.numbers(&topic), (0..1_000).collect::<Vec<_>>());
    let written = place.checkpoint().unwrap();
    assert_eq!((written.counter, written.instance.as_str()), (2, "one"));
    assert_eq!(publisher.health().reason(), None);
    assert_eq!(publisher.health().replaced(), 0);
}

#[test]
fn a_block_is_kept_for_librdkafka_until_its_transaction_has_ended() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    let block = numbers(&topic, 0..1_000, 200);
    publisher.append(&block, 0..1_000).unwrap();
    // Ours, the batch's, and librdkafka's, which reads the values there.
    assert_eq!(Arc::strong_count(&block), 3);
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert_eq!(Arc::strong_count(&block), 1);
    publisher.append(&block, 0..1_000).unwrap();
    publisher.discard();
    assert_eq!(Arc::strong_count(&block), 1);
}

#[test]
fn a_reopened_connector_reads_its_last_checkpoint_quickly() {
    let place = Place::shared();
    let mut publisher = place.publisher("one");
    for counter in 2..=20 {
        publisher.commit(checkpoint("one", counter)).unwrap();
    }
    drop(publisher);
    let began = Instant::now();
    let (_publisher, found) = place.open("two");
    let took = began.elapsed();
    assert_eq!(found, Some(place.checkpoint().unwrap()));
    assert_eq!(found.unwrap().counter, 20);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn keys_tombstones_empty_values_and_headers_arrive_as_they_are() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    let mut block = RecordBlock::new();
    let index = block.topic(&topic);
    block.arena_mut().extend(b"keyvalue");
    let header = |value: &[u8]| Some([("h".into(), value.to_vec())].into());
    block.push(index, Some(0..3), Some(3..8), header(b"x"));
    block.push(index, Some(0..3), None, None);
    block.push(index, None, Some(3..8), None);
    block.push(index, Some(0..0), Some(8..8), header(b""));
    publisher.append(&Arc::new(block), 0..4).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    let seen: Vec<_> = place
        .settled(&topic)
        .into_iter()
        .map(|seen| (seen.key, seen.value, seen.headers))
        .collect();
    let (key, value) = (Some(b"key".to_vec()), Some(b"value".to_vec()));
    assert_eq!(
        seen,
        [
            (
                key.clone(),
                value.clone(),
                vec![("h".to_owned(), b"x".to_vec())]
            ),
            (key, None, vec![]),
            (None, value, vec![]),
            (Some(vec![]), Some(vec![]), vec![("h".to_owned(), vec![])]),
        ]
    );
}

#[test]
fn a_second_instance_fences_the_first_which_then_touches_nothing() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[]);
    let mut first = place.publisher("first");
    first.append(&numbers(&topic, 0..10, 100), 0..10).unwrap();
    let mut second = place.publisher("second");
    let began = Instant::now();
    let error = first.commit(checkpoint("first", 2)).unwrap_err();
    assert!(error.is_fenced(), "{error}");
    assert!(error.to_string().contains("instance second"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    first.discard();
    drop(first);
    second.append(&numbers(&topic, 10..20, 100), 0..10).unwrap();
    let report = second.commit(checkpoint("second", 3)).unwrap();
    assert!(!report.replaced, "the newer instance was fenced");
    assert_eq!(place.numbers(&topic), (10..20).collect::<Vec<_>>());
}

/// A start fences first and claims a little later. Whichever call of the older one meets the fence, it must not fence back.
#[test]
fn who_is_fenced_gives_the_newer_one_time_to_claim_however_it_learns_of_it() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[]);
    let mut first = place.publisher("first");
    first.append(&numbers(&topic, 0..10, 100), 0..10).unwrap();
    first.commit(checkpoint("first", 2)).unwrap();
    let (mut second, found) = place.open("second");
    assert_eq!(found.unwrap().counter, 2);
    let error = thread::scope(|scope| {
        let older = scope.spawn(|| {
            // Without a pause: the client learns of the fence while it is given records.
            let record = numbers(&topic, 10..11, 100);
            std::iter::repeat_with(|| first.append(&record, 0..1)).find_map(Result::err)
        });
        thread::sleep(Duration::from_millis(800));
        second.claim(checkpoint("second", 3)).unwrap();
        older.join().unwrap().unwrap()
    });
    assert!(error.is_fenced(), "{error}");
    assert_eq!(place.checkpoint().unwrap().instance, "second");
}

#[test]
fn what_is_discarded_is_never_readable_and_holds_nobody_up() {
    let mut place = Place::shared();
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    publisher
        .append(&numbers(&topic, 0..5_000, 200), 0..5_000)
        .unwrap();
    let began = Instant::now();
    publisher.discard();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    publisher.append(&numbers(&topic, 7..8, 200), 0..1).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert_eq!(place.numbers(&topic), [7]);
    // A discard before the end leaves no open transaction behind, so the next start need not wait for one.
    publisher.append(&numbers(&topic, 8..9, 200), 0..1).unwrap();
    publisher.discard();
    drop(publisher);
    assert_eq!(place.checkpoint().unwrap().counter, 2);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_look_at_the_checkpoint_does_not_wait_for_a_transaction_that_a_killed_process_left_open() {
    let place = Place::shared();
    drop(place.publisher("one"));
    let killed = place.opened(&format!("{}.killed", place.config.connector));
    let began = Instant::now();
    let seen = walferry_kafka::look_at_checkpoint(&place.config, &stop()).unwrap();
    assert_eq!(seen.unwrap().instance, "one");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    killed.abort_transaction(Duration::from_secs(10)).unwrap();
}

#[test]
fn whoever_writes_beside_a_connector_waits_for_no_transaction_of_a_killed_one_before_it() {
    let place = Place::shared();
    drop(place.publisher("one"));
    let _killed = place.opened(&format!("walferry-{}.replay", place.config.connector));
    let began = Instant::now();
    let (_noted, note) = Noted::open(&place.config, "replay").unwrap();
    let took = began.elapsed();
    assert_eq!(note, None);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn the_queue_s_bound_is_far_below_a_batch_and_nothing_is_lost_for_it() {
    let mut place = Place::shared();
    place.config.queue_bytes_max = 1 << 20;
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    for part in 0..10 {
        let block = numbers(&topic, part * 5_000..(part + 1) * 5_000, 200);
        publisher.append(&block, 0..5_000).unwrap();
    }
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert_eq!(place.numbers(&topic), (0..50_000).collect::<Vec<_>>());
}

#[test]
fn records_of_many_partitions_do_not_wait_until_they_fill_batches() {
    let mut place = Place::shared();
    place.config.topic_partitions = 64;
    let topic = place.topic("many", &[]);
    let mut publisher = place.publisher("one");
    // Six times what librdkafka's queue holds: each time it would linger for a second.
    let count = 180_000;
    let block = numbers(&topic, 0..count, 20);
    let began = Instant::now();
    publisher.append(&block, 0..count as usize).unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    let mut found = place.numbers(&topic);
    found.sort_unstable();
    assert_eq!(found, (0..count).collect::<Vec<_>>());
}
