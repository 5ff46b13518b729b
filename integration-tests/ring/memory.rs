//! A transaction larger than the memory, and a broker that is away, in a bounded process.

use std::time::{Duration, Instant};

use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::Walferry;

use crate::place::{Place, READY, own_servers};

const MIB: u64 = 1 << 20;
/// `memory_bytes_max` of these tests.
const MEMORY: u64 = 32 * MIB;
/// What a process may hold beside it.
const BESIDE: u64 = 64 * MIB;

/// How long a resync of 200 000 rows may take on a machine that runs other tests.
const RESYNCED: Duration = Duration::from_secs(180);

fn resident_max(walferry: &Walferry) -> u64 {
    walferry.usage().unwrap().rss_peak_bytes
}

#[test]
fn a_transaction_larger_than_the_memory_passes_through_it() {
    let place = Place::shared("large");
    place.sql("create table t (id int primary key, note text)");
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("publish.memory_bytes_max", &MEMORY.to_string());
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t select i, repeat('n', 200) from generate_series(1, 300000) i");
    place.drain("insert into t values (0)");
    let held = resident_max(&walferry);
    assert!(held <= MEMORY + BESIDE, "{} MiB", held / MIB);
    checker.verdict().unwrap().assert_clean(300_001);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn a_kill_inside_a_large_transaction_goes_on_at_its_ordinal() {
    let place = Place::shared("inside");
    place.sql("create table t (id int primary key, note text)");
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("publish.memory_bytes_max", &(16 * MIB).to_string())
        .set_text("publish.batch_bytes_max", "1 MiB");
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t select i, repeat('n', 200) from generate_series(1, 100000) i");
    // At the second cut the first one is committed, and what comes after it is not the beginning.
    walferry.wait_log_times("larger than a batch", 3, READY);
    walferry.kill9();
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (0)");
    checker.verdict().unwrap().assert_clean(100_001);
}

/// The keys of both sides are more than the process may hold.
#[test]
fn a_resync_sorts_its_keys_on_disk() {
    let place = Place::shared("sorted");
    place.sql(
        "create table t (name text primary key);
         insert into t select lpad(i::text, 200, 'k') from generate_series(1, 200000) i; analyze",
    );
    let mut settings = place.all();
    settings.set("publish.memory_bytes_max", &MEMORY.to_string());
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values ('last')");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql(&format!(
        "select pg_drop_replication_slot('{}')",
        place.slot()
    ));
    place.sql("delete from t where right(name, 1) in ('1', '3', '5', '7')");
    let path = settings.write(&place.folder).unwrap();
    let arguments = ["resync", "-c", path.to_str().unwrap()];
    let mut resync = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
    let (begun, mut held) = (Instant::now(), 0);
    while resync.exited().is_none() {
        held = held.max(resync.usage().map_or(0, |it| it.rss_peak_bytes));
        assert!(begun.elapsed() < RESYNCED, "{}", resync.log_tail());
        // Between two samples, so that the test does not take the processor from what it looks at.
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = resync.log_tail();
    assert!(
        log.contains("public.t: 120001 rows, 80000 deletes"),
        "{log}"
    );
    assert!(held <= MEMORY + BESIDE, "{} MiB", held / MIB);
}

#[test]
fn a_broker_that_is_away_costs_no_memory() {
    let mut stack = own_servers();
    let place = Place::on(&stack.coordinates(), "away").with_mixed_tables();
    let checker = place.mixed_checker();
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("publish.memory_bytes_max", &MEMORY.to_string());
    let mut walferry = place.streaming(&settings);
    stack.kafka.kill9().unwrap();
    walferry.wait_not_ready("kafka", Duration::from_secs(5));
    // More than the memory could hold.
    for part in 0..8 {
        place.sql(&format!(
            "insert into documents (name, writer, body, version)
             select 'd{part} ' || i, 99, repeat('b', 2000), 1 from generate_series(1, 5000) i"
        ));
    }
    let load = MixedLoad::start(&place.url, &MixedOptions::default()).unwrap();
    let enough = load.counts().committed + 200;
    while load.counts().committed < enough {
        std::thread::yield_now();
    }
    load.stop();
    let held = resident_max(&walferry);
    stack.kafka.restart().unwrap();
    walferry.wait_ready(READY);
    place.verdict(&checker).assert_clean(40_000);
    let after = resident_max(&walferry);
    assert!(
        held.max(after) <= MEMORY + BESIDE,
        "{} MiB while it was away, {} MiB after",
        held / MIB,
        after / MIB
    );
}
