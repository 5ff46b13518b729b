//! `walferry resync`: changes were lost, and afterwards the topics say what the tables hold, each row and each delete once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use walferry_stack::{Coordinates, PostgresServer, Stack};
use walferry_testkit::checker::{Op, Record, parse_lsn};
use walferry_testkit::load::{MixedLoad, MixedOptions};
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::{Decoder, Reader};

use crate::audit::audit;
use crate::place::{Place, READY, own_postgres};
use crate::snapshots::fill;

/// A resync may take long on a machine that runs other tests.
const TAKEN: Duration = Duration::from_secs(180);
const TABLES: [&str; 4] = [
    "public.documents",
    "public.items",
    "public.log",
    "public.orders",
];

/// A connector that has published `rows` rows of each table, and was stopped. One table has no key.
fn stopped(place: Place, rows: u32) -> (Place, Settings) {
    let place = place.with_mixed_tables();
    place.sql(
        "create table log (at int not null, note text); alter table log replica identity full",
    );
    fill(&place, rows);
    place.sql(&format!(
        "insert into log select i % 500, 'l' || i from generate_series(1, {rows} / 10) i; analyze"
    ));
    let mut settings = place.all();
    settings
        .set("source.heartbeat_ms", "200")
        .set("snapshot.chunk_rows", "900")
        .set_text("publish.batch_bytes_max", "64 KiB");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into log values (0, 'streamed')");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    (place, settings)
}

/// What happens while nobody follows: rows come, change, are moved to other keys, and go.
fn meddle(place: &Place) {
    place.sql(
        "update orders set amount = amount + 1 where id % 7 = 1;
         update orders set id = id + 10000000 where id % 11 = 2;
         delete from orders where id % 13 = 3;
         insert into orders (id, writer, amount) select 5000000 + i, 99, 1 from generate_series(1, 300) i;
         update items set line = line + 10 where order_id % 17 = 1;
         delete from items where order_id % 5 = 2;
         delete from documents where length(name) % 7 = 1;
         update documents set version = version + 1 where length(name) % 7 = 2;
         delete from log where at % 9 = 1;
         update log set note = note || '!' where at % 9 = 2;
         insert into log select 700 + i, 'later' from generate_series(1, 50) i",
    );
}

fn load(place: &Place, seed: u64) -> MixedLoad {
    let options = MixedOptions {
        seed,
        transactions_per_second: Some(50.0),
        ..MixedOptions::default()
    };
    MixedLoad::start(&place.url, &options).unwrap()
}

pub(crate) fn command(place: &Place, settings: &Settings, tables: &[&str]) -> Walferry {
    let path = settings.write(&place.folder).unwrap();
    let mut arguments = vec!["resync", "-c", path.to_str().unwrap()];
    arguments.extend(tables);
    Walferry::start_with(&arguments, settings, &place.folder).unwrap()
}

fn refused(place: &Place, settings: &Settings) {
    let (code, log) = place.run_ends(settings);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("walferry resync"), "{log}");
}

/// What the rows of a resync and its deletes have to be: each key once, and a delete only of what the topic still had.
fn told_once(place: &Place, from: u64, tables: &[&str]) -> BTreeMap<String, (u64, u64)> {
    let mut counts = BTreeMap::new();
    for table in tables {
        let mut decoder = Decoder::new(&place.registry);
        let mut reader = Reader::open(&place.brokers, &[place.topic(table)]).unwrap();
        let (mut alive, mut rows, mut deletes) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        reader
            .read_to_end(|message| {
                let Record::Event(event) = decoder.decode(message)?.record else {
                    return Ok(());
                };
                let Some(key) = event.key.map(|key| key.to_string()) else {
                    return Ok(());
                };
                let ours = event.lsn >= from;
                match event.op {
                    Op::Read if ours => *rows.entry(key.clone()).or_insert(0) += 1,
                    // No transaction of the source has deleted it.
                    Op::Delete if event.xid == 0 => {
                        assert!(ours, "{table}: {key}");
                        assert_eq!(
                            alive.get(&key),
                            Some(&true),
                            "{table}: {key} was gone before"
                        );
                        *deletes.entry(key.clone()).or_insert(0) += 1;
                    }
                    _ => {}
                }
                alive.insert(key, event.op != Op::Delete);
                Ok(())
            })
            .unwrap();
        for (what, told) in [("row", &rows), ("delete", &deletes)] {
            let twice: Vec<_> = told.iter().filter(|(_, count)| **count > 1).collect();
            assert!(twice.is_empty(), "{table}: {what} told twice: {twice:?}");
        }
        counts.insert(
            (*table).to_owned(),
            (rows.len() as u64, deletes.len() as u64),
        );
    }
    counts
}

/// The tables and their topics agree, while a connector runs.
fn agrees(place: &Place, settings: &Settings) {
    let (code, report, errors) = audit(place, settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    assert_eq!(
        report["tables"].as_array().map(Vec::len),
        Some(TABLES.len())
    );
}

fn new_slot(walferry: &mut Walferry) -> u64 {
    let line = walferry.wait_log("every table is read again", READY);
    let line: Json = serde_json::from_str(&line).unwrap();
    parse_lsn(line["lsn"].as_str().unwrap()).unwrap()
}

#[test]
fn after_a_lost_slot_a_resync_makes_topics_and_tables_agree() {
    let (place, settings) = stopped(Place::shared("resync"), 6_000);
    place.sql(&format!(
        "select pg_drop_replication_slot('{}')",
        place.slot()
    ));
    meddle(&place);
    refused(&place, &settings);
    // Some tables alone would leave a gap in the others.
    let mut some = command(&place, &settings, &["public.orders"]);
    assert_eq!(some.wait_exit(READY), Some(3), "{}", some.log_tail());
    let load = load(&place, 7);
    let mut resync = command(&place, &settings, &[]);
    let from = new_slot(&mut resync);
    assert_eq!(resync.wait_exit(TAKEN), Some(0), "{}", resync.log_tail());
    let _walferry = place.streaming(&settings);
    load.stop();
    place.drain("insert into log values (1, 'last')");
    agrees(&place, &settings);
    let counts = told_once(
        &place,
        from,
        &["public.documents", "public.items", "public.orders"],
    );
    for (table, (rows, deletes)) in &counts {
        assert!(*rows > 300 && *deletes > 20, "{table}: {counts:?}");
    }
}

/// Whether the checkpoint says that a resync is under way.
fn under_way(place: &Place, settings: &Settings) -> bool {
    let path = settings.write(&place.folder).unwrap();
    let (code, shown) = place.ends(
        settings,
        &["checkpoint", "show", "-c", path.to_str().unwrap()],
    );
    assert_eq!(code, Some(0), "{shown}");
    let shown: Json = serde_json::from_str(&shown).unwrap();
    let tables = shown["snapshot"]["tables"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tables
        .iter()
        .any(|it| it["id"] == "resync" && it["state"] != "done")
}

#[test]
fn a_resync_that_is_killed_again_and_again_tells_everything_once() {
    let (place, mut settings) = stopped(Place::shared("resync_kill"), 9_000);
    place.sql(&format!(
        "select pg_drop_replication_slot('{}')",
        place.slot()
    ));
    meddle(&place);
    settings.set("snapshot.rows_per_second_max", "5000");
    let load = load(&place, 8);
    let mut walferry = command(&place, &settings, &[]);
    let from = new_slot(&mut walferry);
    let mut kills = 0;
    loop {
        let enough = 1_000 + kills * 3_500;
        let deep = |status: &Json| {
            let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
            let sum = |key: &str| tables.iter().filter_map(|it| it[key].as_u64()).sum::<u64>();
            let done = tables.iter().all(|it| it["state"] == "done");
            (!tables.is_empty() && done) || sum("rows") + 4 * sum("deletes") >= enough
        };
        // It may come to its end meanwhile, and then a resync ends.
        while walferry.exited().is_none() && !walferry.status().is_ok_and(|it| deep(&it)) {
            std::thread::yield_now();
        }
        walferry.kill9();
        if !under_way(&place, &settings) {
            break;
        }
        kills += 1;
        // Whichever command comes next goes on.
        walferry = match kills % 2 {
            0 => command(&place, &settings, &[]),
            _ => place.start(&settings),
        };
    }
    assert!(kills >= 4, "only {kills} kills");
    let _walferry = place.streaming(&settings);
    load.stop();
    place.drain("insert into log values (1, 'last')");
    agrees(&place, &settings);
    told_once(
        &place,
        from,
        &["public.documents", "public.items", "public.orders"],
    );
}

#[test]
fn tables_are_read_again_while_the_slot_is_as_it_should_be() {
    let (place, settings) = stopped(Place::shared("resync_some"), 2_000);
    let before = place
        .value("select max(oid::bigint) from pg_class")
        .unwrap();
    let mut resync = command(&place, &settings, &["public.orders"]);
    assert_eq!(resync.wait_exit(TAKEN), Some(0), "{}", resync.log_tail());
    assert!(
        resync
            .log_tail()
            .contains("public.orders: 2000 rows, 0 deletes"),
        "{before}"
    );
    // Without a key its topic is ended by a truncate, and all of its rows are told anew.
    let rows = place.value("select count(*) from log").unwrap();
    let mut resync = command(&place, &settings, &["public.log"]);
    assert_eq!(resync.wait_exit(TAKEN), Some(0), "{}", resync.log_tail());
    let said = format!("public.log: {rows} rows, 0 deletes");
    assert!(
        resync.log_tail().contains(&said),
        "{said}: {}",
        resync.log_tail()
    );
    let mut resync = command(&place, &settings, &["public.nothing"]);
    assert_eq!(resync.wait_exit(READY), Some(1), "{}", resync.log_tail());
    assert!(
        resync.log_tail().contains("not followed"),
        "{}",
        resync.log_tail()
    );
    let _walferry = place.streaming(&settings);
    place.drain("insert into log values (1, 'last')");
    agrees(&place, &settings);
}

#[test]
fn a_resync_meets_a_table_that_is_renamed_and_says_what_it_did_not_read() {
    let place = Place::shared("resync_renamed");
    place.sql(
        "create table a (id int primary key); create table b (id int primary key); create table c (id int primary key);
         insert into a select generate_series(1, 2000); insert into b select generate_series(1, 500); insert into c values (1)",
    );
    let mut settings = place.all();
    settings
        .set("source.heartbeat_ms", "200")
        .set("snapshot.chunk_rows", "100")
        .set("snapshot.readers", "1");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into c values (2)");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    settings.set("snapshot.rows_per_second_max", "1000");
    // One of the tables is not asked for by its name: what has become of it is told, and nothing is missing.
    let renamed = |tables: &[&str], from: &str, to: &str| {
        let mut resync = command(&place, &settings, tables);
        resync.wait_status("a is being read", READY, |status| {
            let all = status["snapshot"].as_array().cloned().unwrap_or_default();
            all.iter()
                .any(|it| it["name"] == "public.a" && it["rows"].as_u64() > Some(0))
        });
        place.sql(&format!("alter table {from} rename to {to}"));
        let code = resync.wait_exit(TAKEN);
        (code, resync.log().join("\n"))
    };
    let (code, log) = renamed(&[], "b", "d");
    assert_eq!(code, Some(0), "{log}");
    let gone = "public.b: 0 rows, 0 deletes, ended: there is no table of that name any more";
    assert!(log.contains(gone), "{log}");
    let (code, log) = renamed(&["public.a", "public.d"], "d", "e");
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("not every table was read: table public.d: there is no table of that name"),
        "{log}"
    );
    let mut walferry = place.streaming(&settings);
    place.drain("insert into c values (3)");
    let (code, report, errors) = audit(&place, &settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn there_is_nothing_to_resync_before_anything_was_published() {
    let place = Place::shared("resync_nothing");
    place.sql("create table t (id int primary key)");
    let settings = place.all();
    let mut resync = command(&place, &settings, &[]);
    assert_eq!(resync.wait_exit(READY), Some(3), "{}", resync.log_tail());
    assert!(
        resync.log_tail().contains("first snapshot"),
        "{}",
        resync.log_tail()
    );
}

/// A copy of the server's files from before is put back: the slot is there, and stands before what the topics hold.
#[test]
fn a_server_that_was_restored_from_its_files_is_refused_and_resynced() {
    let mut postgres = PostgresServer::start(own_postgres()).unwrap();
    let shared = Stack::shared().unwrap();
    let servers = Coordinates {
        postgres_url: postgres.url(),
        kafka_brokers: shared.kafka_brokers.clone(),
        registry_url: shared.registry_url.clone(),
    };
    let (place, settings) = stopped(Place::on(&servers, "restored"), 1_000);
    postgres.terminate().unwrap();
    let (data, backup) = (postgres.data(), place.folder.join("backup"));
    std::fs::create_dir_all(&place.folder).unwrap();
    crate::recovery::copy(&data, &backup);
    postgres.restart().unwrap();
    let mut walferry = place.streaming(&settings);
    // It makes the log long enough that what comes after the restore stays behind it.
    place.sql("update orders set note = repeat('n', 300); delete from items where line = 1");
    place.drain("insert into orders (id, writer, amount) values (-5, 1, 1)");
    walferry.sigterm();
    walferry.wait_exit(READY);
    postgres.terminate().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    crate::recovery::copy(&backup, &data);
    postgres.restart().unwrap();
    let (code, log) = place.run_ends(&settings);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("restored to an earlier state"), "{log}");
    let mut resync = command(&place, &settings, &[]);
    assert_eq!(resync.wait_exit(TAKEN), Some(0), "{}", resync.log_tail());
    let _walferry = place.streaming(&settings);
    place.drain("insert into orders (id, writer, amount) values (-6, 1, 1)");
    // What the log said after the copy has higher positions than what it says now, so that an audit finds the order of records
    // broken; what the topics say in the end is right.
    let (_, report, errors) = audit(&place, &settings, &[]);
    for table in report["tables"].as_array().unwrap_or(&Vec::new()) {
        if table["name"] != "public.log" {
            for fault in ["missing", "extra", "different"] {
                assert_eq!(table[fault], 0, "{report:#}\n{errors}");
            }
        }
    }
}
