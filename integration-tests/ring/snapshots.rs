//! Snapshots: interrupted, resumed, beside the stream, asked for; each row once, whatever happens.

use std::time::Duration;

use walferry_testkit::checker::{Checker, Record, Report, Row, Start, Value, parse_lsn};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, Walferry, binary};

use crate::place::{Place, READY};

/// A snapshot may take long on a machine that runs other tests.
pub(crate) const TAKEN: Duration = Duration::from_secs(180);

/// Rows from before the start in the tables of the mixed load: integer, composite and text keys, TOAST.
pub(crate) fn fill(place: &Place, rows: u32) {
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

/// Changes rows that a snapshot has to read: other values, other keys, TOAST left out, gone and back again. A round may come twice.
pub(crate) fn meddle(place: &Place, round: u32) {
    place.sql(&format!(
        "update orders set amount = amount + 1 where writer = 99 and id % 97 = {round};
         update orders set id = id + 10000000 where writer = 99 and id % 89 = {round};
         delete from orders where writer = 99 and id % 83 = {round};
         update items set line = line + 10 where writer = 99 and order_id % 79 = {round};
         delete from items where writer = 99 and order_id % 73 = {round};
         update documents set version = version + 1 where writer = 99 and length(name) % 7 = {round} % 7;
         update documents set body = repeat('z', 2500) where writer = 99 and hashtext(name) % 11 = {round};
         insert into documents (name, writer, body, version) values ('New {round}', 99, repeat('n', 3000), 1)
           on conflict do nothing"
    ));
}

pub(crate) fn small_chunks(place: &Place) -> Settings {
    let mut settings = place.all();
    settings
        .set("snapshot.chunk_rows", "700")
        .set("publish.memory_bytes_max", &(16 << 20).to_string())
        .set_text("publish.batch_bytes_max", "64 KiB");
    settings
}

pub(crate) fn consistent_point(walferry: &mut Walferry) -> u64 {
    let line = walferry.wait_log("slot created", READY);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    parse_lsn(line["lsn"].as_str().unwrap()).unwrap()
}

pub(crate) fn done(status: &serde_json::Value) -> bool {
    let tables = status["snapshot"].as_array();
    status["state"] == "streaming"
        && tables.is_none_or(|tables| tables.iter().all(|table| table["state"] == "done"))
}

pub(crate) fn rows(walferry: &Walferry) -> u64 {
    let status = walferry.status().unwrap_or_default();
    let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
    tables.iter().filter_map(|it| it["rows"].as_u64()).sum()
}

pub(crate) fn clean(place: &Place, checker: &Checker, rows_min: u64) -> Report {
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

#[test]
fn a_table_that_is_added_arrives_with_its_history() {
    let place = Place::shared("snap_added").with_mixed_tables();
    let mut checker = place.mixed_checker();
    let settings = place.settings(&["public.orders"]);
    let mut walferry = place.streaming(&settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    fill(&place, 3_000);
    let options = MixedOptions {
        seed: 3,
        transactions_per_second: Some(60.0),
        ..MixedOptions::default()
    };
    let load = MixedLoad::start(&place.url, &options).unwrap();
    let halfway = load.counts().committed + 50;
    while load.counts().committed < halfway {
        std::thread::yield_now();
    }
    // A transaction that began to write before its table is added, and commits after.
    let url = place.url.clone();
    let slow = std::thread::spawn(move || {
        let mut session = walferry_testkit::checker::Session::connect(&url).unwrap();
        session
            .execute("begin; update documents set version = 7 where writer = 99; select pg_sleep(4); commit")
            .unwrap();
    });
    walferry.sigterm();
    walferry.wait_exit(READY);
    let mut wider = small_chunks(&place);
    wider.set("snapshot.chunk_rows", "300");
    let mut walferry = place.streaming(&wider);
    walferry.wait_status("the history is there", TAKEN, |status| {
        status["snapshot"]
            .as_array()
            .is_some_and(|it| it.len() == 2)
            && done(status)
    });
    slow.join().unwrap();
    load.stop();
    // What was committed before the tables were added is told by their snapshot alone: only the rows of the end are judged.
    checker
        .rules
        .keys
        .retain(|table, _| table == "public.orders");
    let report = place.verdict(&checker);
    assert!(report.is_clean(), "{report}");
    for (table, key) in [("items", "order_id || '/' || line"), ("documents", "name")] {
        same_rows(&place, table, key);
    }
}

/// The last word of the topic on each key is the table's.
pub(crate) fn same_rows(place: &Place, table: &str, key: &str) {
    let name = format!("public.{table}");
    let mut decoder = walferry_testkit::topics::Decoder::new(&place.registry);
    let mut reader =
        walferry_testkit::topics::Reader::open(&place.brokers, &[place.topic(&name)]).unwrap();
    let mut known = std::collections::BTreeMap::new();
    // The row that was deleted last, for the second half of a key change, which leaves its TOAST values out.
    let mut moved: Option<(u64, Row)> = None;
    reader
        .read_to_end(|message| {
            if let Record::Event(event) = decoder.decode(message)?.record
                && let Some(key) = event.key
            {
                match event.after {
                    Some(row) => {
                        let row: Row = row;
                        let old: Option<Row> = known.remove(&key.to_string());
                        let from = moved.take().filter(|(lsn, _)| *lsn == event.lsn);
                        let old = old.or(from.map(|(_, row)| row));
                        let fill = |(name, value): (std::sync::Arc<str>, Value)| match value {
                            Value::Unchanged => {
                                let known = old.as_ref().and_then(|old| old.column(&name)).cloned();
                                (name, known.unwrap_or(Value::Unchanged))
                            }
                            value => (name, value),
                        };
                        known.insert(key.to_string(), Row(row.0.into_iter().map(fill).collect()));
                    }
                    None => moved = known.remove(&key.to_string()).map(|row| (event.lsn, row)),
                }
            }
            Ok(())
        })
        .unwrap();
    let count = place
        .value(&format!("select count(*) from {table}"))
        .unwrap();
    assert_eq!(known.len().to_string(), count, "{table}: {key}");
    let unknown = |row: &&Row| row.0.iter().any(|(_, value)| *value == Value::Unchanged);
    assert_eq!(
        known.values().filter(unknown).count(),
        0,
        "{table}: values that nobody was told"
    );
}

#[test]
fn a_snapshot_can_be_asked_for_listed_and_cancelled() {
    let place = Place::shared("snap_asked");
    place.sql("create table t (id int primary key, note text); insert into t select i, 'a' from generate_series(1, 5000) i");
    let mut settings = place.all();
    settings
        .set_text("admin.token", "open")
        .set("snapshot.chunk_rows", "500")
        .set("snapshot.readers", "1");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("first snapshot", READY, done);
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let said = |arguments: &[&str]| said(&path, arguments);
    let (code, id, error) = said(&["start", "public.t", "--where", "id <= 1200"]);
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("the asked one", TAKEN, |status| {
        status["snapshot"][0]["id"] == id.as_str() && done(status)
    });
    let (_, list, _) = said(&["list"]);
    assert!(
        list.contains(&format!("{id}\tpublic.t\tdone\t1200")),
        "{list}"
    );
    for (arguments, part) in [
        (&["start", "public.nowhere"][..], "does not exist"),
        (&["cancel", "nothing"][..], "no snapshot of that id"),
    ] {
        let (code, _, error) = said(arguments);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(part), "{error}");
    }
    // One that cannot be read ends alone, and the connector goes on.
    let (code, bad, error) = said(&["start", "public.t", "--where", "1 / (id - 700) > 1"]);
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("the bad one is given up", TAKEN, |status| {
        status["snapshot"][0]["id"] == bad.as_str() && status["snapshot"][0]["state"] == "cancelled"
    });
    // One is cancelled before its end, by a process that was killed in between.
    settings.set("snapshot.rows_per_second_max", "200");
    walferry.sigterm();
    walferry.wait_exit(READY);
    let mut walferry = place.streaming(&settings);
    let (code, slow, error) = said(&["start", "public.t"]);
    assert_eq!(code, Some(0), "{error}");
    walferry.kill9();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("it goes on", READY, |status| {
        status["snapshot"][0]["id"] == slow.as_str() && status["snapshot"][0]["state"] == "running"
    });
    let (code, _, error) = said(&["cancel", &slow]);
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("it is cancelled", READY, |status| {
        status["snapshot"][0]["state"] == "cancelled"
    });
    place.drain("insert into t values (0, 'z')");
}

/// Runs `walferry snapshot` with these words: exit code, output, errors.
pub(crate) fn said(settings_path: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(binary().unwrap());
    let output = command
        .arg("snapshot")
        .args(arguments)
        .args(["-c", settings_path])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn snapshots_are_paused_resumed_and_put_before_others_over_restarts() {
    let place = Place::shared("snap_pause");
    place.sql(
        "create table t (id int primary key); insert into t select i from generate_series(1, 5000) i;
         create table u (id int primary key); insert into u select i from generate_series(1, 5000) i; analyze",
    );
    let mut settings = place.all();
    settings
        .set_text("admin.token", "open")
        .set("snapshot.chunk_rows", "250")
        .set("snapshot.readers", "1");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("first snapshot", READY, done);
    walferry.sigterm();
    walferry.wait_exit(READY);
    settings.set("snapshot.rows_per_second_max", "2000");
    let mut walferry = place.streaming(&settings);
    let path = settings.write(&place.folder).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let start = |arguments: &[&str]| {
        let (code, id, error) = said(&path, &[&["start"], arguments].concat());
        assert_eq!(code, Some(0), "{error}");
        id
    };
    let ordered = |verb: &str, id: &str| {
        let (code, _, error) = said(&path, &[verb, id]);
        assert_eq!(code, Some(0), "{error}");
    };
    let state = |status: &serde_json::Value, id: &str| {
        let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
        let found = tables.into_iter().find(|it| it["id"] == id);
        found.unwrap_or_default()
    };
    // Asked for later, and read before.
    let later = start(&["public.t"]);
    let first = start(&["public.u", "--priority", "5"]);
    let status = walferry.wait_status("the urgent one", TAKEN, |status| {
        state(status, &first)["state"] == "done"
    });
    assert_eq!(state(&status, &first)["rows"], 5000);
    assert_ne!(state(&status, &later)["state"], "done", "{status}");
    walferry.wait_status("some of the other", TAKEN, |status| {
        let rows = state(status, &later)["rows"].as_u64();
        rows.is_some_and(|rows| rows >= 500)
    });
    ordered("pause", &later);
    let held = walferry.wait_status("paused", READY, |status| {
        state(status, &later)["state"] == "paused"
    });
    let held = state(&held, &later)["rows"].clone();
    assert!(held.as_u64().unwrap() < 5000, "{held}");
    walferry.kill9();
    let mut walferry = place.streaming(&settings);
    // Several at once: one that is held does not hold up another.
    let third = start(&["public.u", "--priority=-1"]);
    walferry.wait_status("the third", TAKEN, |status| {
        state(status, &third)["state"] == "done"
    });
    let status = walferry.status().unwrap();
    assert_eq!(state(&status, &later)["state"], "paused");
    assert_eq!(state(&status, &later)["rows"], held);
    ordered("resume", &later);
    let status = walferry.wait_status("all", TAKEN, done);
    assert_eq!(
        state(&status, &later)["rows"],
        5000,
        "each row once: {status}"
    );
    let (code, _, error) = said(&path, &["pause", "nothing"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("no snapshot of that id"), "{error}");
}
