//! Tables whose contents are replaced while a snapshot reads them: rewritten, truncated, clustered, given another key. Each row
//! is in the topic afterwards, once, or the connector says that it is not.

use std::time::Duration;

use walferry_stack::test_postgres_major;
use walferry_testkit::checker::{Op, Record};
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::{Decoder, Reader};

use crate::audit::audit;
use crate::place::{Place, READY};
use crate::snapshots::{TAKEN, done, said};

/// How a table is replaced: a name, and the commands, each sent by itself. They stand in the order of their names, in which tables
/// are read.
type Kind = (&'static str, &'static [&'static str]);

/// With a key. `T` is the table.
const KEYED: [Kind; 9] = [
    ("alter", &["alter table T alter column a type bigint"]),
    ("cluster", &["cluster T using T_pkey"]),
    ("keytype", &["alter table T alter column id type bigint"]),
    ("method", &["alter table T set access method other"]),
    ("plain", &[]),
    ("renamed", &["alter table T rename column a to b"]),
    (
        "truncate",
        &[
            "begin; truncate T; insert into T select i, i, repeat('n', 300) from generate_series(1, 100) i; commit",
        ],
    ),
    (
        "vacuum",
        &["delete from T where id % 2 = 0", "vacuum full T"],
    ),
    (
        "volatile",
        &["alter table T add column c double precision not null default random()"],
    ),
];

/// Without a key.
const KEYLESS: [Kind; 6] = [
    ("alter", &["alter table T alter column a type bigint"]),
    (
        "cluster",
        &["create index T_a on T (a)", "cluster T using T_a"],
    ),
    ("plain", &[]),
    (
        "truncate",
        &[
            "begin; truncate T; insert into T select i, i, repeat('n', 300) from generate_series(1, 100) i; commit",
        ],
    ),
    (
        "vacuum",
        &["delete from T where id % 2 = 0", "vacuum full T"],
    ),
    (
        "volatile",
        &["alter table T add column c double precision not null default random()"],
    ),
];

/// Rows of each table; about 400 of them fill a block that a reader hands on.
const ROWS: u32 = 1_600;

fn kinds(all: &[Kind]) -> Vec<Kind> {
    let known = |kind: &&Kind| kind.0 != "method" || test_postgres_major() >= 15;
    all.iter().filter(known).copied().collect()
}

fn create(place: &Place, table: &str, key: &str) {
    place.sql(&format!(
        "create table {table} (id int {key}, a int, note text);
         alter table {table} replica identity {};
         insert into {table} select i, i, repeat('x', 300) from generate_series(1, {ROWS}) i",
        if key.is_empty() { "full" } else { "default" }
    ));
}

fn replace(place: &Place, table: &str, kind: Kind) {
    for command in kind.1 {
        // Tables are named in upper case in none of them.
        place.sql(&command.replace('T', table));
    }
}

fn slow(place: &Place, beside: bool) -> Settings {
    let mut settings = place.all();
    settings
        .set("snapshot.chunk_rows", "400")
        .set("snapshot.readers", "1")
        .set("snapshot.rows_per_second_max", "1500")
        .set("snapshot.while_streaming", &beside.to_string())
        .set("source.heartbeat_ms", "200");
    settings
}

/// Waits until a part of a table is read. Whether the rest of it still waits.
fn in_the_middle(walferry: &mut Walferry, table: &str) -> bool {
    let name = format!("public.{table}");
    let of = |status: &serde_json::Value| {
        let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
        tables.into_iter().find(|it| it["name"] == *name)
    };
    let status = walferry.wait_status(&format!("the middle of {table}"), TAKEN, |status| {
        let rows = of(status).and_then(|it| it["rows"].as_u64()).unwrap_or(0);
        rows >= 300 || done(status)
    });
    of(&status).is_some_and(|it| it["state"] != "done")
}

fn agrees(place: &Place, settings: &Settings, tables: usize) {
    let (code, report, errors) = audit(place, settings, &[]);
    assert_eq!(code, Some(0), "{report:#}\n{errors}");
    assert_eq!(report["tables"].as_array().map(Vec::len), Some(tables));
}

/// Half of the tables are replaced while they wait for their turn, half while they are read; beside the stream the process is killed
/// in between, after which a first snapshot would be none any more.
fn replaced(name: &str, all: &[Kind], key: &str, beside: bool) {
    let place = Place::shared(name);
    if test_postgres_major() >= 15 {
        place.sql("create access method other type table handler heap_tableam_handler");
    }
    let kinds = kinds(all);
    for (kind, _) in &kinds {
        create(&place, &format!("a_{kind}"), key);
        create(&place, &format!("w_{kind}"), key);
    }
    place.sql("analyze");
    let settings = slow(&place, beside);
    let mut walferry = place.start(&settings);
    walferry.wait_ready(READY);
    let mut in_time = 0;
    for (i, kind) in kinds.iter().enumerate() {
        let table = format!("a_{}", kind.0);
        // A table that has been read is no matter of a snapshot any more.
        if in_the_middle(&mut walferry, &table) {
            replace(&place, &table, *kind);
            in_time += 1;
        }
        replace(&place, &format!("w_{}", kind.0), *kind);
        if beside && i == 1 {
            walferry.kill9();
            walferry = place.start(&settings);
        }
    }
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into a_plain values (0, 0, 'last')");
    agrees(&place, &settings, 2 * kinds.len());
    assert!(in_time > kinds.len() / 2, "{in_time} were replaced in time");
}

#[test]
fn a_table_that_is_rewritten_in_a_first_snapshot_is_read_whole() {
    replaced("contents_first", &KEYED, "primary key", false);
}

#[test]
fn a_table_that_is_rewritten_in_a_snapshot_beside_the_stream_is_read_whole() {
    replaced("contents_beside", &KEYED, "primary key", true);
}

#[test]
fn a_table_without_a_key_that_is_rewritten_in_a_first_snapshot_is_read_anew() {
    replaced("contents_bag", &KEYLESS, "", false);
}

#[test]
fn a_table_without_a_key_that_is_rewritten_beside_the_stream_is_read_anew() {
    replaced("contents_bag_beside", &KEYLESS, "", true);
}

/// Partitions, children by inheritance, another collation, another key, and a table that gets or loses its key.
#[test]
fn members_of_a_table_and_its_key_may_be_replaced_while_it_is_read() {
    let place = Place::shared("contents_members");
    let rows = format!("select i, i, repeat('x', 300) from generate_series(1, {ROWS}) i");
    place.sql(&format!(
        "create table p (id int, a int, note text, primary key (id)) partition by range (id);
         create table p_1 partition of p for values from (0) to (700);
         create table p_2 partition of p for values from (700) to (100000);
         insert into p {rows};
         create table q (id int, a int, note text) partition by range (id);
         create table q_1 partition of q for values from (0) to (700);
         create table q_2 partition of q for values from (700) to (100000);
         alter table q replica identity full; alter table q_1 replica identity full; alter table q_2 replica identity full;
         insert into q {rows};
         create table parent (id int primary key, a int, note text);
         create table child (primary key (id)) inherits (parent);
         insert into parent {rows}; insert into child {rows};
         create table words (id text collate \"C\" primary key, a int, note text);
         insert into words select case i % 2 when 0 then 'a' else 'B' end || i, i, repeat('x', 300) from generate_series(1, {ROWS}) i;
         create table gains (id int not null, a int, note text); alter table gains replica identity full;
         insert into gains {rows};
         create table loses (id int primary key, a int, note text); alter table loses replica identity full;
         insert into loses {rows};
         analyze"
    ));
    let settings = slow(&place, true);
    let mut walferry = place.start(&settings);
    walferry.wait_ready(READY);
    // In the order in which they are read.
    for (table, commands) in [
        (
            "child",
            &["alter table parent alter column a type bigint"][..],
        ),
        ("gains", &["alter table gains add primary key (id)"]),
        ("loses", &["alter table loses drop constraint loses_pkey"]),
        (
            "p",
            &[
                "vacuum full p_2",
                "cluster p_1 using p_1_pkey",
                "alter table p alter column a type bigint",
            ],
        ),
        ("parent", &["vacuum full parent"]),
        ("q", &["vacuum full q_1", "vacuum full q_2"]),
        (
            "words",
            &["alter table words alter column id type text collate \"en-x-icu\""],
        ),
    ] {
        in_the_middle(&mut walferry, table);
        for command in commands {
            place.sql(command);
        }
        walferry.kill9();
        walferry = place.start(&settings);
    }
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into words values ('last', 0, 'last')");
    agrees(&place, &settings, 7);
}

/// Changes keep coming while a table without a key begins anew: each is there once, before the truncate or after it.
#[test]
fn a_table_without_a_key_begins_anew_under_load() {
    let place = Place::shared("contents_load");
    create(&place, "bag", "");
    place.sql("analyze");
    let mut settings = slow(&place, false);
    settings.set("snapshot.rows_per_second_max", "400");
    let mut walferry = place.start(&settings);
    walferry.wait_ready(READY);
    let url = place.url.clone();
    let writer = std::thread::spawn(move || {
        let mut session = walferry_testkit::checker::Session::connect(&url).unwrap();
        for i in 0..300 {
            session
                .execute(&format!(
                    "insert into bag values ({}, {i}, 'new'); update bag set a = a + 1 where id = {}; delete from bag where id = {}",
                    10_000 + i,
                    1 + i * 3,
                    2 + i * 3
                ))
                .unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    in_the_middle(&mut walferry, "bag");
    place.sql("vacuum full bag");
    walferry.wait_log("begins again", TAKEN);
    place.sql("alter table bag alter column a type bigint");
    writer.join().unwrap();
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into bag values (0, 0, 'last')");
    agrees(&place, &settings, 1);
    assert!(truncates(&place, "public.bag") >= 1);
}

fn truncates(place: &Place, table: &str) -> u64 {
    let mut decoder = Decoder::new(&place.registry);
    let mut count = 0;
    Reader::open(&place.brokers, &[place.topic(table)])
        .unwrap()
        .read_to_end(|message| {
            if let Record::Event(event) = decoder.decode(message)?.record {
                count += u64::from(event.op == Op::Truncate);
            }
            Ok(())
        })
        .unwrap();
    count
}

/// A snapshot that was asked for: of all rows it begins again, of some of them it ends with its reason.
#[test]
fn a_snapshot_that_was_asked_for_of_a_table_that_is_rewritten_begins_again_or_says_why_not() {
    let place = Place::shared("contents_asked");
    create(&place, "t", "");
    place.sql("analyze");
    let mut settings = slow(&place, true);
    settings
        .set_text("admin.token", "open")
        .set_text("snapshot.mode", "never")
        .set("snapshot.rows_per_second_max", "400");
    let mut walferry = place.streaming(&settings);
    let path = settings.write(&place.folder).unwrap();
    let ask = |more: &[&str]| {
        let (code, id, error) = said(
            path.to_str().unwrap(),
            &[&["start", "public.t"], more].concat(),
        );
        assert_eq!(code, Some(0), "{error}");
        id
    };
    ask(&[]);
    in_the_middle(&mut walferry, "t");
    place.sql("vacuum full t");
    walferry.wait_log("begins again", TAKEN);
    walferry.wait_status("the snapshot is complete", TAKEN, done);
    place.drain("insert into t values (0, 0, 'last')");
    agrees(&place, &settings, 1);
    let part = ask(&["--where", "id > 0"]);
    walferry.wait_status("a part of it", TAKEN, |status| {
        let of = &status["snapshot"][0];
        of["id"] == *part && of["rows"].as_u64() >= Some(300)
    });
    place.sql("vacuum full t");
    let status = walferry.wait_status("it ends", TAKEN, |status| {
        status["snapshot"][0]["state"] == "cancelled"
    });
    let reason = status["snapshot"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("rewritten") && reason.contains("ask for"),
        "{reason}"
    );
}

/// Where truncates are not published, a table without a key cannot be made to agree: that is told until somebody mends it.
#[test]
fn a_rewrite_that_cannot_be_mended_is_told_until_somebody_does() {
    let place = Place::shared("contents_refused");
    create(&place, "bag", "");
    place.sql("analyze");
    let mut settings = slow(&place, true);
    settings.set("format.skipped_operations", "[\"t\"]");
    let mut walferry = place.start(&settings);
    walferry.wait_ready(READY);
    in_the_middle(&mut walferry, "bag");
    place.sql("vacuum full bag");
    let said = walferry.wait_not_ready("walferry resync", TAKEN);
    assert!(said.contains("public.bag"), "{said}");
    walferry.kill9();
    let mut walferry = place.start(&settings);
    walferry.wait_not_ready("walferry resync", TAKEN);
    walferry.wait_status("paused", READY, |it| it["snapshot"][0]["state"] == "paused");
    // The stream goes on meanwhile.
    place.drain("insert into bag values (0, 0, 'last')");
}

/// An index that fits the condition would give rows in another order than that of their places.
#[test]
fn rows_without_a_key_come_in_their_order_whatever_index_there_is() {
    let place = Place::shared("contents_index");
    place.sql(&format!(
        "create table bag (id int, a int, note text); alter table bag replica identity full;
         insert into bag select i, ({ROWS} - i) / 2, repeat('x', 300) from generate_series(1, {ROWS}) i;
         create index on bag (a); analyze"
    ));
    let mut settings = slow(&place, true);
    settings
        .set_text("admin.token", "open")
        .set_text("snapshot.mode", "never")
        .set("snapshot.chunk_rows", "20");
    let mut walferry = place.streaming(&settings);
    let path = settings.write(&place.folder).unwrap();
    let (code, _, error) = said(
        path.to_str().unwrap(),
        &["start", "public.bag", "--where", "a < 60"],
    );
    assert_eq!(code, Some(0), "{error}");
    let status = walferry.wait_status("the snapshot is complete", TAKEN, |it| {
        it["snapshot"][0].is_object() && done(it)
    });
    let wanted = place
        .value("select count(*) from bag where a < 60")
        .unwrap();
    assert_eq!(
        status["snapshot"][0]["rows"].to_string(),
        wanted,
        "{status}"
    );
}
