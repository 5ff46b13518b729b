//! A forecast from a temporary slot: what it counts is what a connector publishes of the same load, and nothing stays.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value as Json;
use walferry_testkit::process::binary;

use crate::place::{Place, READY};

/// What `estimate` leaves behind if it is not careful.
const LEFT: &str = "select (select count(*) from pg_replication_slots where temporary and database = current_database())
    + (select count(*) from pg_publication where pubname like 'walferry_estimate%')";

/// The server ends a session, and its slot, a moment after its peer has gone.
fn nothing_is_left(place: &Place) {
    let begun = Instant::now();
    while place.value(LEFT).as_deref() != Some("0") {
        assert!(begun.elapsed() < READY, "something stays");
    }
}

/// Starts to measure, and waits until the slot is there.
fn measuring(arguments: &[&str]) -> Child {
    let mut child = Command::new(binary().unwrap())
        .arg("estimate")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(said.contains("measuring for"), "{said}");
    child
}

/// What it says on standard output when it has ended well.
fn report(mut child: Child) -> String {
    let mut text = String::new();
    let mut out = child.stdout.take().unwrap();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    text
}

fn figure(report: &Json, name: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    let one = figures.iter().find(|it| it["name"] == name);
    let one = one.unwrap_or_else(|| panic!("no {name} in {report:#}"));
    assert!(!one["unit"].as_str().unwrap().is_empty() && !one["how"].as_str().unwrap().is_empty());
    one["value"].as_f64().unwrap()
}

/// Counts are exact; bytes are those of a connector beside it within 1 %; the estimated time of the snapshot is above none.
#[test]
fn an_estimate_counts_what_a_connector_publishes() {
    let place = Place::shared("forecast");
    // Statistics are those that this test has made, however long it takes.
    place.sql(
        "create table t (id int primary key, note text, price numeric(9, 2), at timestamptz default now())
             with (autovacuum_enabled = false);
         create table many (id bigint primary key, note text) with (autovacuum_enabled = false);
         insert into many select i, repeat('x', 100) from generate_series(1, 20000) i",
    );
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let path = settings.write(&place.folder).unwrap();
    let mut walferry = place.streaming(&settings);
    let child = measuring(&["-c", path.to_str().unwrap(), "--json"]);
    let bytes = |walferry: &walferry_testkit::process::Walferry| {
        walferry
            .metric("walferry_bytes_total", &[("stage", "publish")])
            .unwrap_or_default()
    };
    let before = bytes(&walferry);
    for batch in 0..10 {
        place.sql(&format!(
            "insert into t select i, 'note ' || i, i * 1.25 from generate_series({batch} * 100, {batch} * 100 + 99) i"
        ));
    }
    place.sql("update t set note = repeat('é', 50) where id < 500");
    place.sql("delete from t where id >= 950; update t set id = id + 10000 where id < 10");
    // A transaction that is rolled back, and one of another table, which is followed as well.
    place.sql("begin; insert into many values (-1); rollback");
    place.drain("insert into many values (0, 'last')");
    // What has been counted is confirmed to the temporary slot as well.
    let end = place.value("select pg_current_wal_insert_lsn()").unwrap();
    let seen = format!(
        "select bool_and(confirmed_flush_lsn >= '{end}' or not temporary) from pg_replication_slots where database = current_database()"
    );
    let published = bytes(&walferry) - before;
    let begun = Instant::now();
    while place.value(&seen).as_deref() != Some("t") {
        assert!(begun.elapsed() < READY, "it does not count on");
    }
    place.sql("analyze t, many");
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let report: Json = serde_json::from_str(&report(child)).unwrap();
    nothing_is_left(&place);

    let t = &report["tables"]["public.t"];
    assert_eq!(t["changes"], 1000 + 500 + 50 + 10, "{report:#}");
    // A delete has a tombstone, and a change of key is a delete, a tombstone and a create.
    assert_eq!(t["records"], 1000 + 500 + 2 * 50 + 3 * 10);
    assert_eq!(report["tables"]["public.many"]["changes"], 1);
    assert_eq!(figure(&report, "changes"), 1561.0);
    assert_eq!(figure(&report, "transactions"), 13.0);
    let largest = &report["transactions"][0];
    assert_eq!(
        (&largest["changes"], &largest["tables"][0]),
        (&500.into(), &"public.t".into())
    );
    let estimated = figure(&report, "avro_rate") * figure(&report, "measured");
    let off = (estimated - published).abs() / published;
    assert!(off < 0.01, "{estimated} estimated, {published} published");
    assert!(figure(&report, "wal_rate") > 0.0);
    let rows = figure(&report, "snapshot_rows");
    assert_eq!(rows, 20_001.0 + 950.0);
    let (least, most) = (
        figure(&report, "snapshot_time_min"),
        figure(&report, "snapshot_time_max"),
    );
    assert!(
        least > 0.0 && (most - 2.0 * least).abs() < 0.01,
        "{least} {most}"
    );
    let keys: Vec<&str> = report["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "kafka.topics.partitions",
            "publish.memory_bytes_max",
            "source.slot_retained_bytes_max"
        ]
    );
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn an_estimate_without_a_file_leaves_nothing_and_says_what_is_left_out() {
    let place = Place::shared("forecast_url");
    place.sql(
        "create table t (id int primary key); create table keyless (a int);
         create table whole (a int); alter table whole replica identity full;
         insert into whole select generate_series(1, 100)",
    );
    let text = report(measuring(&["--source", &place.url, "--seconds", "1"]));
    for part in [
        "FIGURE",
        "change_rate          0.0 rows/s",
        "nothing was changed in the time",
        "table public.keyless is left out of all figures",
        "table public.whole has no key",
        "public.whole: about 100 rows; 8.0 KiB; no key",
        "kafka.topics.partitions = 1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    nothing_is_left(&place);
    // The application still may write what was left out.
    place.sql("insert into keyless values (1); update keyless set a = 2");
}
