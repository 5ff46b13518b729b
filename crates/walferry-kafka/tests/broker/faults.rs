//! Brokers that die, freeze, lose a topic, or end a transaction too late. Each test has a broker of its own.

use std::{thread, time::Duration};

use walferry_stack::{KafkaOptions, KafkaServer};
use walferry_testkit::proxy::Proxy;

use crate::place::{Place, await_true, checkpoint, numbers};

/// Within this the publisher has to say that nobody answers; readiness is built on it.
const NOTICED: Duration = Duration::from_secs(5);

#[test]
fn a_broker_that_is_killed_while_a_batch_is_sent_or_committed_gets_each_record_once() {
    let mut server = KafkaServer::start(KafkaOptions::new()).unwrap();
    let mut place = Place::on(&server.brokers());
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    let health = publisher.health();
    for round in 0..3_u32 {
        let first = round * 40_000;
        let whole = numbers(&topic, first..first + 40_000, 200);
        let counter = u64::from(round) + 2;
        let (begun, has_begun) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let work = scope.spawn(|| {
                publisher.append(&whole, 0..20_000).unwrap();
                if round != 1 {
                    begun.send(()).unwrap();
                }
                publisher.append(&whole, 20_000..40_000).unwrap();
                if round == 1 {
                    begun.send(()).unwrap();
                }
                publisher.commit(checkpoint("one", counter)).unwrap()
            });
            has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
            server.kill9().unwrap();
            let noticed = || health.reason().is_some() || work.is_finished();
            await_true("the broker's end is noticed", NOTICED, noticed);
            server.restart().unwrap();
            work.join().unwrap();
        });
        let expected: Vec<u32> = (0..first + 40_000).collect();
        assert!(
            place.numbers(&topic) == expected,
            "round {round}: lost, doubled or in disorder"
        );
        assert_eq!(place.checkpoint().unwrap().counter, counter);
        await_true("the broker is back", NOTICED, || health.reason().is_none());
    }
}

#[test]
fn a_broker_that_is_away_is_noticed_in_time_by_an_idle_publisher_and_one_that_commits() {
    let mut server = KafkaServer::start(KafkaOptions::new()).unwrap();
    let mut place = Place::on(&server.brokers());
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    let health = publisher.health();
    let good = || health.reason().is_none();
    await_true("the broker answers", NOTICED, good);
    // Idle: killed, then frozen with its connections open.
    server.kill9().unwrap();
    await_true("a kill is noticed", NOTICED, || !good());
    let reason = health.reason().unwrap();
    assert!(reason.contains(&server.brokers()), "{reason}");
    server.restart().unwrap();
    await_true("the restart is noticed", NOTICED, good);
    server.freeze();
    await_true("a freeze is noticed", NOTICED, || !good());
    server.thaw();
    await_true("the thaw is noticed", NOTICED, good);
    // In the middle of a commit.
    publisher
        .append(&numbers(&topic, 0..10, 100), 0..10)
        .unwrap();
    server.freeze();
    thread::scope(|scope| {
        let work = scope.spawn(|| publisher.commit(checkpoint("one", 2)).unwrap());
        await_true("a freeze is noticed", NOTICED, || !good());
        assert!(!work.is_finished());
        server.thaw();
        work.join().unwrap();
    });
    await_true("the thaw is noticed", NOTICED, good);
    assert_eq!(place.numbers(&topic), (0..10).collect::<Vec<_>>());
    drop(publisher);
    await_true("the watch ends", NOTICED, || {
        std::sync::Arc::strong_count(&health) == 1
    });
}

#[test]
fn a_stop_ends_an_open_that_waits_and_a_commit_that_hangs() {
    let mut server = KafkaServer::start(KafkaOptions::new()).unwrap();
    let place = Place::on(&server.brokers());
    walferry_kafka::ensure_checkpoint_topic(&place.config).unwrap();
    let stop = crate::place::stop();
    let open = |stop| walferry_kafka::Publisher::open(place.config.clone(), "one".into(), stop);
    let (mut publisher, _) = open(stop.clone()).unwrap();
    publisher.claim(checkpoint("one", 1)).unwrap();
    server.kill9().unwrap();
    let halt = std::sync::Arc::clone(&stop);
    thread::scope(|scope| {
        let committing = scope.spawn(|| publisher.commit(checkpoint("one", 2)).unwrap_err());
        let opening = scope.spawn(|| open(stop.clone()).err().unwrap());
        assert!(!committing.is_finished() && !opening.is_finished());
        halt.store(true, std::sync::atomic::Ordering::SeqCst);
        let ended = || committing.is_finished() && opening.is_finished();
        await_true("both end", Duration::from_secs(5), ended);
        assert!(committing.join().unwrap().is_stopped());
        assert!(opening.join().unwrap().is_stopped());
    });
}

#[test]
fn a_topic_that_is_deleted_while_it_is_written_to_is_named() {
    let options = KafkaOptions::new().setting("auto.create.topics.enable", "false");
    let server = KafkaServer::start(options).unwrap();
    let mut place = Place::on(&server.brokers());
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    publisher
        .append(&numbers(&topic, 0..10, 100), 0..10)
        .unwrap();
    publisher.commit(checkpoint("one", 2)).unwrap();
    place.delete(&[&topic]);
    let appended = publisher.append(&numbers(&topic, 10..20, 100), 0..10);
    let error = appended
        .and_then(|()| publisher.commit(checkpoint("one", 3)).map(drop))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&*topic) && text.contains("does not exist"),
        "{text}"
    );
    assert_eq!(error.disposition(), walferry_event::Disposition::Halt);
    assert_eq!(place.checkpoint().unwrap().counter, 2);
}

#[test]
fn an_end_of_transaction_that_is_late_ends_no_later_one() {
    let server = KafkaServer::start(KafkaOptions::new()).unwrap();
    let proxy = Proxy::kafka(&server.brokers()).unwrap();
    let mut place = Place::on(&server.brokers());
    place.config.brokers = proxy.address();
    let topic = place.topic("a", &[]);
    let mut publisher = place.publisher("one");
    publisher.append(&numbers(&topic, 0..1, 100), 0..1).unwrap();
    proxy.hold_end_txn(0);
    publisher.commit(checkpoint("one", 2)).unwrap();
    assert!(proxy.wait_held(Duration::from_secs(1)));
    publisher.append(&numbers(&topic, 1..2, 100), 0..1).unwrap();
    let code = proxy.deliver_held().unwrap();
    assert_ne!(code, 0, "the late end was taken for the open transaction's");
    assert_eq!(place.read(&topic).len(), 1);
    publisher.commit(checkpoint("one", 3)).unwrap();
    assert_eq!(place.numbers(&topic), [0, 1]);
    assert!(publisher.health().replaced() > 0);
}
