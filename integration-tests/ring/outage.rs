//! Servers that go away and come back: the connector says why it is not ready within five seconds, goes on by itself
//! within ten of the server's return, and loses and doubles nothing.

use std::time::{Duration, Instant};

use walferry_stack::Stack;
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::proxy::{Mode, Proxy};

use crate::place::{Place, READY, own_servers};

/// How soon `/readyz` says why.
const SAID: Duration = Duration::from_secs(5);
/// How soon it goes on after the server's return.
const RESUMED: Duration = Duration::from_secs(10);

/// How soon after a fault of the network the dead connections that it has left are replaced.
const DEAD: Duration = Duration::from_secs(8);

fn begin(place: &Place, settings: &Settings, seed: u64) -> (Walferry, MixedLoad) {
    let walferry = place.streaming(settings);
    let options = MixedOptions {
        seed,
        transactions_per_second: Some(100.0),
        ..MixedOptions::default()
    };
    (walferry, MixedLoad::start(&place.url, &options).unwrap())
}

/// Settings that start at the slot, so that the witness and the topics cover the same changes.
fn streaming_only(place: &Place) -> Settings {
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    settings
}

fn goes_on(walferry: &mut Walferry, back: Instant) {
    walferry.wait_ready(READY);
    let taken = back.elapsed();
    assert!(
        taken < RESUMED,
        "ready {taken:?} after the return\n{}",
        walferry.log_tail()
    );
}

fn kill_each(stack: &mut Stack, walferry: &mut Walferry) {
    stack.kafka.kill9().unwrap();
    walferry.wait_not_ready("kafka", SAID);
    stack.kafka.restart().unwrap();
    goes_on(walferry, Instant::now());

    stack.registry.kill9().unwrap();
    walferry.wait_not_ready("registry", SAID);
    stack.registry.restart().unwrap();
    goes_on(walferry, Instant::now());

    stack.postgres.kill9().unwrap();
    walferry.wait_not_ready("postgresql", SAID);
    stack.postgres.restart().unwrap();
    goes_on(walferry, Instant::now());
}

#[test]
fn each_server_may_be_killed_and_come_back() {
    let mut stack = own_servers();
    let place = Place::on(&stack.coordinates(), "killed").with_mixed_tables();
    let checker = place.mixed_checker();
    let (mut walferry, load) = begin(&place, &streaming_only(&place), 31);
    kill_each(&mut stack, &mut walferry);
    // PostgreSQL's own orderly stop waits for us to have received everything.
    stack.postgres.terminate().unwrap();
    walferry.wait_not_ready("postgresql", SAID);
    stack.postgres.restart().unwrap();
    goes_on(&mut walferry, Instant::now());
    load.stop();
    place.verdict(&checker).assert_clean(100);
    for (metric, labels) in [
        ("retries", &[("stage", "session")][..]),
        ("errors", &[("stage", "postgresql"), ("kind", "connection")]),
        ("errors", &[("stage", "kafka"), ("kind", "connection")]),
        ("errors", &[("stage", "registry"), ("kind", "connection")]),
    ] {
        let name = format!("walferry_{metric}_total");
        let count = walferry.metric(&name, labels).unwrap();
        assert!(count > 0.0, "{name} {labels:?}");
    }
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn a_walsender_that_is_ended_is_replaced() {
    let place = Place::shared("walsender").with_mixed_tables();
    let checker = place.mixed_checker();
    let (mut walferry, load) = begin(&place, &streaming_only(&place), 32);
    for _ in 0..3 {
        let reconnects = walferry
            .log()
            .iter()
            .filter(|line| line.contains("\"streaming\""))
            .count();
        place.sql(&format!(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{}'",
            place.slot()
        ));
        let ended = Instant::now();
        walferry.wait_status("streaming again", READY, |it| it["state"] == "streaming");
        let log = walferry.log();
        assert!(ended.elapsed() < RESUMED, "{}", log.join("\n"));
        let enough = load.counts().committed + 50;
        while load.counts().committed < enough {
            std::thread::yield_now();
        }
        assert!(reconnects <= log.len());
    }
    load.stop();
    place.verdict(&checker).assert_clean(100);
}

pub(crate) fn host(url: &str) -> String {
    let rest = url.split("//").nth(1).unwrap();
    let rest = rest.rsplit('@').next().unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// The stream goes on while no new session is to be had, as when a server is about to end: a table that is described anew
/// cannot be looked up. The stream is given up, because the server's orderly end waits for it.
#[test]
fn a_catalog_that_does_not_answer_gives_the_stream_up() {
    let place = Place::shared("catalog");
    place.sql("create table t (id int primary key)");
    let checker = place.checker(&["public.t"]);
    let proxy = Proxy::start(&host(&place.url)).unwrap();
    let mut settings = streaming_only(&place);
    settings.set_text(
        "source.url",
        &place.url.replace(&host(&place.url), &proxy.address()),
    );
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1)");
    proxy.set(Mode::Refuse);
    place.sql(
        "begin; insert into t values (2); alter table t add column note text;
         select pg_terminate_backend(pid) from pg_stat_activity
         where backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid();
         insert into t values (3, 'c'); commit",
    );
    walferry.wait_not_ready("postgresql", SAID);
    let held = format!(
        "select count(active_pid) from pg_replication_slots where slot_name = '{}'",
        place.slot()
    );
    let said = Instant::now();
    while place.value(&held).as_deref() != Some("0") {
        assert!(said.elapsed() < SAID, "{}", walferry.log_tail());
        std::thread::yield_now();
    }
    proxy.set(Mode::Pass);
    goes_on(&mut walferry, Instant::now());
    place.drain("insert into t values (4, 'd')");
    checker.verdict().unwrap().assert_clean(4);
}

/// Connections that carried nothing for a while, and carry nothing ever after: the fault has ended, and they do not know.
#[test]
fn connections_to_kafka_that_are_dead_without_a_word_are_given_up_within_seconds() {
    let place = Place::shared("dead").with_mixed_tables();
    let checker = place.mixed_checker();
    let kafka = Proxy::kafka(&place.brokers).unwrap();
    let mut settings = streaming_only(&place);
    settings.set_text("kafka.brokers", &kafka.address());
    let (mut walferry, load) = begin(&place, &settings, 34);
    let published = |walferry: &Walferry| {
        let status = walferry.status().unwrap();
        status["positions"]["checkpointed"].to_string()
    };
    for _ in 0..3 {
        kafka.set(Mode::BlackHole);
        walferry.wait_not_ready("kafka", SAID);
        kafka.forget();
        kafka.set(Mode::Pass);
        let (back, before) = (Instant::now(), published(&walferry));
        while published(&walferry) == before {
            assert!(back.elapsed() < DEAD, "{}", walferry.log_tail());
            std::thread::yield_now();
        }
        goes_on(&mut walferry, back);
    }
    load.stop();
    place.verdict(&checker).assert_clean(100);
}

/// A machine without time to spare: the process stands still again and again, for longer than a step of any of its waits, and goes on
/// for an instant. What librdkafka was asked meanwhile is then answered late, and is the answer to nothing else.
#[test]
fn a_process_that_stands_still_again_and_again_commits_what_it_says() {
    let place = Place::shared("still").with_mixed_tables();
    let checker = place.mixed_checker();
    let (mut walferry, load) = begin(&place, &streaming_only(&place), 35);
    for i in 0..40 {
        walferry.sigstop();
        std::thread::sleep(Duration::from_millis(260));
        walferry.sigcont();
        std::thread::sleep(Duration::from_millis(1 + i % 12));
    }
    goes_on(&mut walferry, Instant::now());
    load.stop();
    place.verdict(&checker).assert_clean(100);
    walferry.sigterm();
    assert_eq!(
        walferry.wait_exit(READY),
        Some(0),
        "{}",
        walferry.log_tail()
    );
}

/// A network that carries nothing and ends nothing, on each of the three ways out.
#[test]
fn a_network_cut_without_a_fin_is_noticed_and_survived() {
    let place = Place::shared("cut").with_mixed_tables();
    let checker = place.mixed_checker();
    let postgres = Proxy::start(&host(&place.url)).unwrap();
    let kafka = Proxy::kafka(&place.brokers).unwrap();
    let registry = Proxy::start(&host(&place.registry)).unwrap();
    let mut settings = streaming_only(&place);
    settings
        .set_text(
            "source.url",
            &place.url.replace(&host(&place.url), &postgres.address()),
        )
        .set_text("kafka.brokers", &kafka.address())
        .set_text(
            "registry.url",
            &place
                .registry
                .replace(&host(&place.registry), &registry.address()),
        );
    let (mut walferry, load) = begin(&place, &settings, 33);
    for (proxy, name) in [
        (&postgres, "postgresql"),
        (&kafka, "kafka"),
        (&registry, "registry"),
    ] {
        proxy.set(Mode::BlackHole);
        walferry.wait_not_ready(name, SAID);
        // What hung stays dead: the connections of before are gone without a word.
        proxy.cut();
        proxy.set(Mode::Pass);
        goes_on(&mut walferry, Instant::now());
    }
    load.stop();
    place.verdict(&checker).assert_clean(100);
}
