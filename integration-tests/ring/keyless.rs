//! Snapshots of tables without a key: what tells their rows from the stream's is the transaction that wrote them.

use std::time::Instant;

use walferry_testkit::checker::{Checker, Session, Start};
use walferry_testkit::process::Settings;

use crate::place::{Place, READY};
use crate::snapshots::{TAKEN, consistent_point, done, rows, said, small_chunks};

#[test]
fn rows_without_a_key_are_read_once() {
    let place = Place::shared("snap_keyless");
    place.sql(
        "create table log (at int not null, note text not null);
         create table bag (at int not null, note text not null);
         alter table bag replica identity full;
         create table none (at int not null)",
    );
    let mut checker = place.checker(&["public.log", "public.bag", "public.none"]);
    place.sql(
        "insert into log select i, 'l' || i from generate_series(1, 40000) i;
         insert into bag select i, 'b' || i from generate_series(1, 40000) i; analyze",
    );
    let mut settings = small_chunks(&place);
    settings.without_identity(&["public.log", "public.none"]);
    let mut walferry = place.start(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    for round in 0..3 {
        walferry.wait_ready(READY);
        place.sql(&format!(
            "insert into log select 100000 + {round} * 1000 + i, 'n' || i from generate_series(1, 100) i;
             update bag set note = note || '!' where at % 61 = {round};
             delete from bag where at % 59 = {round}"
        ));
        let enough = rows(&walferry) + 4_000;
        walferry.wait_status("more rows", TAKEN, |status| {
            let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
            let rows: u64 = tables.iter().filter_map(|it| it["rows"].as_u64()).sum();
            rows >= enough || done(status)
        });
        walferry.kill9();
        walferry = place.start(&settings);
    }
    walferry.wait_ready(READY);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into log values (0, 'last')");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(report.snapshot_rows > 70_000, "{report}");
    // What was deleted before it was read is in no record as a row.
    let path = settings.write(&place.folder).unwrap();
    let audit = place.ends(&settings, &["audit", "-c", &path.to_string_lossy()]);
    assert_eq!(audit.0, Some(0), "{}", audit.1);
}

/// A table with rows from before the start, of which no snapshot was taken.
fn unread(name: &str) -> (Place, Checker, Settings) {
    let place = Place::shared(name);
    place.sql("create table log (at int not null, note text not null)");
    let checker = place.checker(&["public.log"]);
    place.sql("insert into log select i, 'l' || i from generate_series(1, 3000) i; analyze");
    let mut settings = small_chunks(&place);
    settings
        .set_text("snapshot.mode", "never")
        .set_text("admin.token", "open")
        .without_identity(&["public.log"]);
    (place, checker, settings)
}

#[test]
fn rows_that_come_before_the_first_chunk_of_a_snapshot_that_was_asked_for_are_the_streams() {
    let (place, mut checker, mut settings) = unread("keyless_asked");
    // No chunk is read to its end.
    settings.set("snapshot.rows_per_second_max", "10");
    let mut walferry = place.start(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    let path = settings.write(&place.folder).unwrap();
    let (code, _, error) = said(path.to_str().unwrap(), &["start", "public.log"]);
    assert_eq!(code, Some(0), "{error}");
    for round in 1..=3 {
        place.drain(&format!(
            "insert into log select {round} * 10000 + i, 'n' || i from generate_series(1, 50) i"
        ));
        assert_eq!(rows(&walferry), 0, "a chunk was read");
        walferry.kill9();
        if round == 3 {
            settings.set("snapshot.rows_per_second_max", "100000");
        }
        walferry = place.streaming(&settings);
    }
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into log values (0, 'last')");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.snapshot_rows, 3000, "{report}");
}

#[test]
fn of_equal_rows_without_a_key_the_one_that_is_left_is_read() {
    let place = Place::shared("keyless_equal");
    place.sql(
        "create table bag (at int not null, note text not null); alter table bag replica identity full",
    );
    let mut checker = place.checker(&["public.bag"]);
    // Two equal rows, one in the first chunk and one in the last.
    place.sql(
        "insert into bag values (7, 'twice');
         insert into bag select i, 'b' || i from generate_series(100, 2100) i;
         insert into bag values (7, 'twice'); analyze",
    );
    let mut settings = small_chunks(&place);
    settings
        .set_text("snapshot.mode", "never")
        .set_text("admin.token", "open")
        .set("snapshot.rows_per_second_max", "500");
    let mut walferry = place.start(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    let path = settings.write(&place.folder).unwrap();
    let (code, _, error) = said(path.to_str().unwrap(), &["start", "public.bag"]);
    assert_eq!(code, Some(0), "{error}");
    let begun = Instant::now();
    let reads = "select count(*) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid() and query like 'COPY%bag%'";
    while place.value(reads).as_deref() == Some("0") {
        assert!(begun.elapsed() < READY, "no chunk is read");
    }
    place.drain("delete from bag where ctid = (select max(ctid) from bag where at = 7)");
    assert_eq!(rows(&walferry), 0, "the chunk was there too soon");
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into bag values (0, 'last')");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.snapshot_rows, 2002, "{report}");
}

#[test]
fn a_snapshot_without_a_key_waits_for_running_transactions_and_says_so() {
    let (place, mut checker, settings) = unread("keyless_running");
    let mut walferry = place.start(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    let path = settings.write(&place.folder).unwrap();
    let ask = || said(path.to_str().unwrap(), &["start", "public.log"]);
    let mut session = Session::connect(&place.url).unwrap();
    session
        .execute("begin; savepoint s; insert into log values (7, 'rolled back')")
        .unwrap();
    let (code, _, error) = ask();
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("has to end first"), "{error}");
    session.execute("rollback").unwrap();
    let (code, _, error) = ask();
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("the snapshot is complete", TAKEN, |it| {
        it["snapshot"][0].is_object() && done(it)
    });
    place.drain("insert into log values (0, 'last')");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
}
