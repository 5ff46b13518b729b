//! Snapshots: interrupted, resumed, beside the stream, asked for; each row once, whatever happens.

use std::time::Duration;

use walferry_testkit::checker::{Checker, Report, Start, parse_lsn};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, Walferry};

use crate::place::{Place, READY};

/// A snapshot may take long on a machine that runs other tests.
const TAKEN: Duration = Duration::from_secs(180);

/// Rows from before the start in the tables of the mixed load: integer, composite and text keys, TOAST.
fn fill(place: &Place, rows: u32) {
    place.sql(&format!(
        "insert into orders (id, writer, amount, note)
           select 1000000 + i, 99, i * 0.01, repeat('x', i % 50) from generate_series(1, {rows}) i;
         insert into items (order_id, line, writer, sku, price)
           select 1000000 + i / 3, i % 3, 99, 'sku ' || i, i * 0.5 from generate_series(1, {rows}) i;
         insert into documents (name, writer, body, version)
           select 'Old ' || chr(65 + i % 26) || ' ' || i, 99, repeat('y', 3000), 1 from generate_series(1, {rows} / 10) i;
         analyze"
    ));
}

/// Changes rows that a snapshot has to read: other values, other keys, TOAST left out, gone and back again.
fn meddle(place: &Place, round: u32) {
    place.sql(&format!(
        "update orders set amount = amount + 1 where writer = 99 and id % 97 = {round};
         update orders set id = id + 10000000 where writer = 99 and id % 89 = {round};
         delete from orders where writer = 99 and id % 83 = {round};
         update items set line = line + 10 where writer = 99 and order_id % 79 = {round};
         delete from items where writer = 99 and order_id % 73 = {round};
         update documents set version = version + 1 where writer = 99 and length(name) % 7 = {round} % 7;
         update documents set body = repeat('z', 2500) where writer = 99 and hashtext(name) % 11 = {round};
         insert into documents (name, writer, body, version) values ('New {round}', 99, repeat('n', 3000), 1)"
    ));
}

fn small_chunks(place: &Place) -> Settings {
    let mut settings = place.all();
    settings
        .set("snapshot.chunk_rows", "700")
        .set("publish.memory_bytes_max", &(16 << 20).to_string())
        .set_text("publish.batch_bytes_max", "64 KiB");
    settings
}

fn consistent_point(walferry: &mut Walferry) -> u64 {
    let line = walferry.wait_log("slot created", READY);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    parse_lsn(line["lsn"].as_str().unwrap()).unwrap()
}

fn done(status: &serde_json::Value) -> bool {
    let tables = status["snapshot"].as_array();
    status["state"] == "streaming"
        && tables.is_none_or(|tables| tables.iter().all(|table| table["state"] == "done"))
}

fn rows(walferry: &Walferry) -> u64 {
    let status = walferry.status().unwrap_or_default();
    let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
    tables.iter().filter_map(|it| it["rows"].as_u64()).sum()
}

fn clean(place: &Place, checker: &Checker, rows_min: u64) -> Report {
    let report = place.verdict(checker);
    assert!(report.is_clean(), "{report}");
    assert!(report.snapshot_rows >= rows_min, "{report}");
    report
}

/// Kills at several moments of a snapshot under load, and goes on until it is complete.
fn killed(name: &str, beside: bool, kills: u32) {
    let place = Place::shared(name).with_mixed_tables();
    let mut checker = place.mixed_checker();
    fill(&place, 30_000);
    let mut settings = small_chunks(&place);
    settings.set("snapshot.while_streaming", &beside.to_string());
    let options = MixedOptions {
        seed: u64::from(kills),
        transactions_per_second: Some(60.0),
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &options).unwrap();
    let mut walferry = place.start(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    for round in 0..kills {
        walferry.wait_ready(READY);
        meddle(&place, round);
        // Some more rows than before are committed: the kill hits the middle of what follows.
        let enough = rows(&walferry) + 1_500 + u64::from(round) * 300;
        walferry.wait_status("more rows", TAKEN, |status| {
            let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
            let rows: u64 = tables.iter().filter_map(|it| it["rows"].as_u64()).sum();
            rows >= enough || done(status)
        });
        walferry.kill9();
        walferry = place.start(&settings);
    }
    walferry.wait_ready(READY);
    meddle(&place, kills);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    load.stop();
    clean(&place, &checker, 40_000);
}

#[test]
fn kills_in_a_consistent_snapshot_repeat_and_lose_nothing() {
    killed("snap_kill", false, 6);
}

#[test]
fn kills_in_a_snapshot_beside_the_stream_repeat_and_lose_nothing() {
    killed("snap_beside", true, 6);
}
