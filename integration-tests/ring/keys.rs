//! A message key is unique, complete and not NULL, or there is none; it names one row at any time, and columns, tables and
//! versions whose names or keys would become one stay apart or are refused.
//!
//! Start reading at [`holders`], which is what a consumer that keeps the last record of each key believes.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use walferry_stack::test_postgres_major;
use walferry_testkit::checker::{Record, Session};
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::{Decoder, Reader};

use crate::changes::lines;
use crate::place::{Place, READY, told};

/// The last row of each key of a topic.
pub(crate) fn holders(place: &Place, topic: &str) -> BTreeMap<String, String> {
    let mut decoder = Decoder::new(&place.registry);
    let mut rows = BTreeMap::new();
    Reader::open(&place.brokers, &[place.topic(topic)])
        .unwrap()
        .read_to_end(|message| {
            match decoder.decode(message)?.record {
                Record::Event(event) => {
                    let key = event.key.unwrap().to_string();
                    match event.after {
                        Some(after) => rows.insert(key, after.to_string()),
                        None => rows.remove(&key),
                    };
                }
                Record::Tombstone { key } => {
                    rows.remove(&key.unwrap().to_string());
                }
                Record::Other => {}
            }
            Ok(())
        })
        .unwrap();
    rows
}

/// Exit code of an audit, and what it says.
fn audit(place: &Place, settings: &Settings) -> (Option<i32>, String) {
    let path = settings.write(&place.folder).unwrap();
    told(&["audit", "-c", path.to_str().unwrap()])
}

fn table<'a>(status: &'a Json, name: &str) -> &'a Json {
    let tables = status["tables"].as_array().unwrap();
    let found = tables.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {status:#}"))
}

fn stop(walferry: &mut Walferry) {
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

/// Transactions in which keys pass from row to row; {t} is the table, {k} its key.
const SWAPS: [&str; 9] = [
    "update {t} set {k} = 3 - {k} where {k} in (1, 2)",
    "update {t} set {k} = case {k} when 3 then 4 when 4 then 5 else 3 end where {k} in (3, 4, 5)",
    "update {t} set {k} = case {k} when 9 then 6 else {k} + 1 end where {k} between 6 and 9",
    "begin; update {t} set {k} = 0 where {k} = 10; update {t} set {k} = 10 where {k} = 11; update {t} set {k} = 11 where {k} = 0; commit",
    "begin; set constraints all deferred; update {t} set {k} = 13 where {k} = 12; delete from {t} where {k} = 13 and v = 'v13'; commit",
    "begin; set constraints all deferred; insert into {t} (u, {k}, v) values (115, 14, 'new'); update {t} set {k} = 15 where v = 'v14';
     delete from {t} where v = 'v15'; commit",
    "begin; insert into {t} (u, {k}, v) values (120, 20, 'x'); update {t} set {k} = 21 where {k} = 20; delete from {t} where {k} = 21; commit",
    "begin; update {t} set {k} = 3 - {k} where {k} in (1, 2); update {t} set v = v || '!' where {k} in (1, 2);
     update {t} set {k} = 3 - {k} where {k} in (1, 2); commit",
    "update {t} set {k} = {k} + 1 where {k} > 100",
];

#[test]
fn a_key_that_passes_from_row_to_row_names_the_row_that_has_it_in_the_end() {
    let place = Place::shared("keys_swapped");
    place.sql(
        "create table sw (u int not null, id int primary key deferrable, v text); alter table sw replica identity full;
         create table chosen (u int primary key, pos int unique deferrable not null, v text); alter table chosen replica identity full;
         create table once (u int not null, id int primary key, v text)",
    );
    for (table, key) in [("sw", "id"), ("chosen", "pos"), ("once", "id")] {
        place.sql(&format!(
            "insert into {table} (u, {key}, v) select i, i, 'v' || i from generate_series(1, 15) i;
             insert into {table} (u, {key}, v) select i, i, repeat('w', 20) || i from generate_series(1000, 3000) i"
        ));
    }
    let mut settings = place.all();
    settings
        .table("name = \"public.chosen\"\nkey = [\"pos\"]")
        // The long shift is cut into several batches.
        .set_text("publish.batch_bytes_max", "128 KiB");
    let mut walferry = place.streaming(&settings);
    for (round, swap) in SWAPS.iter().enumerate() {
        for (table, key) in [("sw", "id"), ("chosen", "pos")] {
            place.sql(&swap.replace("{t}", table).replace("{k}", key));
        }
        if round == SWAPS.len() - 1 {
            walferry.kill9();
            walferry = place.streaming(&settings);
        }
    }
    // Where no key can be taken before it is left, the order is the usual one.
    place.drain("update once set id = id + 5000 where id = 1");
    assert_eq!(
        lines(&place, "public.once")[2016..],
        [
            "d id=1 | u=0 id=1 v=null | -",
            "- id=1",
            "c id=5001 | - | u=1 id=5001 v=v1",
        ]
    );
    for (table, key) in [("sw", "id"), ("chosen", "pos")] {
        let found = holders(&place, &format!("public.{table}"));
        let rows = Session::connect(&place.url).unwrap().query(&format!(
            "select format('{key}=%s', {key}), format('u=%s {key}=%s v=%s', u, {key}, v) from {table}"
        ));
        let rows: BTreeMap<String, String> = rows
            .unwrap()
            .into_iter()
            .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
            .collect();
        let differ = |it: &&String| found.get(*it) != rows.get(*it);
        let keys: Vec<_> = found.keys().chain(rows.keys()).filter(differ).collect();
        assert!(keys.is_empty(), "{table}: {keys:?}");
    }
    let (code, text) = audit(&place, &settings);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_part_of_a_key_is_none_and_neither_is_one_that_may_be_null() {
    let place = Place::shared("keys_whole");
    place.sql(
        "create table part (a int, b int, k int generated always as (b * 2) stored, primary key (a, k));
         create table part_whole (a int, b int, k int generated always as (b * 2) stored, primary key (a, k));
         alter table part_whole replica identity full;
         create table other (a int, b int not null, k int generated always as (b * 2) stored, primary key (a, k), unique (a, b));
         alter table other replica identity full;
         create table maybe (a int unique, b int); alter table maybe replica identity full;
         insert into part_whole values (1, 1), (1, 2); insert into other values (1, 1), (1, 2);
         insert into maybe values (1, 1), (null, 2), (null, 3)",
    );
    let old = test_postgres_major() < 18;
    let settings = place.all();
    let path = settings.write(&place.folder).unwrap();
    let (_, checked) = told(&["check", "-c", path.to_str().unwrap()]);
    assert!(
        !old || checked.contains("generated column \"k\""),
        "{checked}"
    );
    let mut walferry = place.streaming(&settings);
    place.sql("insert into part values (1, 1), (1, 2)");
    place.sql("delete from part_whole where b = 2; delete from other where b = 2");
    place.sql("update part set b = 7 where b = 1; delete from part");
    place.drain("delete from maybe where b = 3");
    let status = walferry.status().unwrap();
    if old {
        let part = table(&status, "public.part");
        assert_eq!(part["state"], "left-out", "{part:#}");
        let told = lines(&place, "public.part_whole");
        assert_eq!(told[2..], ["d - | a=1 b=2 | -"], "{told:?}");
        let told = lines(&place, "public.other");
        assert_eq!(
            told[2..],
            ["d a=1 b=2 | a=1 b=2 | -", "- a=1 b=2"],
            "{told:?}"
        );
    }
    let told = lines(&place, "public.maybe");
    assert_eq!(told[3..], ["d - | a=null b=3 | -"], "{told:?}");
    if old {
        let (code, text) = audit(&place, &settings);
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains("public.part: incomplete") && !text.contains("faults"),
            "{text}"
        );
        place.sql("drop table part");
    }
    let (code, text) = audit(&place, &settings);
    assert!(!old || code == Some(0), "{text}");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn a_null_in_a_chosen_key_follows_the_policy() {
    let place = Place::shared("keys_null");
    place.sql("create table t (a int, b int unique); alter table t replica identity full");
    let mut settings = place.lettered();
    settings.table("name = \"public.t\"\nkey = [\"b\"]");
    let walferry = place.streaming(&settings);
    place.sql("insert into t values (1, 1), (2, null)");
    place.drain("insert into t values (3, 3)");
    let told = lines(&place, "public.t");
    assert_eq!(told, ["c b=1 | - | a=1 b=1", "c b=3 | - | a=3 b=3"]);
    assert_eq!(walferry.status().unwrap()["dead_letters"], 1);
}

#[test]
fn tables_share_a_topic_only_when_they_are_sent_there() {
    let place = Place::shared("keys_topics");
    place.sql(
        "create table a_b (id int primary key, v text); insert into a_b values (1, 'a_b');
         create table apart (id int primary key); create schema s; create table s.x (id int primary key)",
    );
    let mut settings = place.settings(&["public.*", "s.*"]);
    let letters = format!("{}.s.x", place.name);
    settings.set_text("errors.dead_letter_topic", &letters);
    let mut walferry = place.streaming(&settings);
    stop(&mut walferry);
    // A younger table of a name that comes first does not take the older one's topic.
    place.sql(
        "create table \"a$b\" (id int primary key, v text); insert into \"a$b\" values (1, 'a$b');
         create table \"a.b\" (id int primary key, v text)",
    );
    let path = settings.write(&place.folder).unwrap();
    let (code, checked) = told(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{checked}");
    let mut walferry = place.streaming(&settings);
    place.sql("update \"a$b\" set v = 'other'");
    place.drain("update a_b set v = 'same'");
    let status = walferry.status().unwrap();
    for left_out in ["public.a$b", "public.a.b", "s.x"] {
        let it = table(&status, left_out);
        assert_eq!(it["state"], "left-out", "{it:#}");
        assert!(it["reason"].as_str().unwrap().contains("topic"), "{it:#}");
        assert!(checked.contains(left_out), "{checked}");
    }
    let told = lines(&place, "public.a_b");
    assert_eq!(
        told,
        ["r id=1 | - | id=1 v=a_b", "u id=1 | - | id=1 v=same"]
    );
    stop(&mut walferry);
    // Sent there on purpose, their keys tell them apart.
    let topic = place.topic("public.both");
    for name in ["public.a_b", "public.a$b"] {
        settings.table(&format!("name = \"{name}\"\ntopic = \"{topic}\""));
    }
    settings.table(&format!(
        "name = \"public.a.b\"\ntopic = \"{}\"",
        place.topic("public.dotted")
    ));
    let mut walferry = place.streaming(&settings);
    place.sql("insert into a_b values (2, 'a_b')");
    place.drain("insert into \"a.b\" values (1, 'dotted')");
    let status = walferry.status().unwrap();
    let left: Vec<&Json> = status["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["state"] == "left-out")
        .collect();
    // Their own topics would be the same, which is what tells them apart in their keys.
    assert_eq!(left.len(), 2, "{left:#?}");
    assert_eq!(holders(&place, "public.dotted").len(), 1);
    stop(&mut walferry);
}

#[test]
fn columns_whose_names_become_one_stay_apart() {
    let place = Place::shared("keys_columns");
    place.sql(
        r#"create table t ("名前" text primary key, "住所" text); insert into t values ('n', 'z');
           create table later (a_b int primary key); insert into later values (1)"#,
    );
    let settings = place.all();
    let _walferry = place.streaming(&settings);
    place.sql(r#"alter table later add "a b" int; insert into later values (2, 20)"#);
    place.drain(r#"update t set "住所" = 'w'"#);
    assert_eq!(
        lines(&place, "public.t"),
        ["r __=n | - | __=n ___2=z", "u __=n | - | __=n ___2=w"]
    );
    assert_eq!(
        lines(&place, "public.later"),
        ["r a_b=1 | - | a_b=1", "c a_b=2 | - | a_b=2 a_b_2=20"]
    );
    let (code, text) = audit(&place, &settings);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn another_message_key_is_told_and_a_resync_makes_the_topic_agree() {
    let place = Place::shared("keys_changed");
    place.sql(
        "create table t (id int primary key, k int not null unique, v text);
         insert into t values (1, 10, 'a'), (2, 20, 'b')",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.sql("alter table t replica identity using index t_k_key");
    place.sql("update t set v = 'c' where id = 1");
    let reason = walferry.wait_not_ready("message key", READY);
    assert!(
        reason.contains("walferry resync public.t") && reason.contains("(k)"),
        "{reason}"
    );
    place.drain("delete from t where id = 2");
    stop(&mut walferry);
    agrees_after_a_resync(&place, &settings);
}

/// Rows under a key that is none any more are deleted by a resync, and the topic is the table again.
fn agrees_after_a_resync(place: &Place, settings: &Settings) {
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = place.ends(
        settings,
        &["resync", "-c", path.to_str().unwrap(), "public.t"],
    );
    assert!(code == Some(0) && text.contains("2 deletes"), "{text}");
    let _walferry = place.streaming(settings);
    place.drain("insert into t values (3, 30, 'd')");
    let (code, text) = audit(place, settings);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_message_key_that_changes_while_nobody_reads_is_told_until_a_resync() {
    let place = Place::shared("keys_changed_away");
    place.sql(
        "create table t (id int primary key, k int not null unique, v text);
         create table renamed (id int primary key, v text);
         insert into t values (1, 10, 'a'), (2, 20, 'b'); insert into renamed values (1, 'a')",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("update t set v = 'c' where id = 1; update renamed set v = 'c' where id = 1");
    stop(&mut walferry);
    place.sql(
        "alter table t drop constraint t_pkey; alter table t add primary key (k);
         alter table renamed rename id to number",
    );
    let mut walferry = place.start(&settings);
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    place.drain("update renamed set v = 'd' where number = 1; delete from t where id = 2");
    let told = |walferry: &mut Walferry| {
        let reason = walferry.wait_not_ready("message key", READY);
        assert!(
            reason.contains("walferry resync public.t") && reason.contains("(k)"),
            "{reason}"
        );
        assert!(!reason.contains("renamed"), "{reason}");
    };
    told(&mut walferry);
    // It is known for as long as it is so.
    walferry.kill9();
    let mut walferry = place.start(&settings);
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    told(&mut walferry);
    stop(&mut walferry);
    agrees_after_a_resync(&place, &settings);
}

#[test]
fn keys_of_which_different_values_have_one_form_are_told() {
    let place = Place::shared("keys_merged");
    let merged = [
        ("zoned", "timetz", "UTC"),
        ("span", "interval", "format.interval"),
        ("fine", "timestamp", "format.time"),
        ("exact", "numeric", "format.decimal"),
        ("several", "interval[]", "30.4375"),
    ];
    for (name, data_type, _) in &merged {
        place.sql(&format!(
            "create table {name} (id {data_type} primary key, v text)"
        ));
    }
    place.sql("create table plain (id timestamptz primary key, at timetz, span interval); create table masked (id timetz primary key)");
    let mut settings = place.all();
    settings
        .set_text("format.time", "connect")
        .set_text("format.decimal", "double")
        .table("name = \"public.masked\"\nmask = [{ column = \"id\", with = \"sha256\", salt = \"s\" }]");
    let path = settings.write(&place.folder).unwrap();
    let (code, said) = place.ends(&settings, &["check", "-c", path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let of = |name: &str| {
        let mut lines = said.lines();
        lines.find(|it| it.contains(name) && it.contains("of the message key loses"))
    };
    for (name, _, remedy) in &merged {
        let line = of(&format!("public.{name}")).unwrap_or_else(|| panic!("{name}: {said}"));
        assert!(line.contains(remedy), "{line}");
    }
    assert_eq!(of("public.plain"), None, "{said}");
    assert_eq!(of("public.masked"), None, "{said}");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into zoned values ('00:00:00.5+12', 'a')");
    walferry.wait_log("message key loses its offset", READY);
    // Both rows are one to consumers, which the audit says.
    place.drain("insert into zoned values ('00:00:00.5-12', 'b')");
    let (code, text) = audit(&place, &settings);
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn rows_from_before_a_table_had_its_key_are_told() {
    let place = Place::shared("keys_newer");
    place.sql(
        "create table t (id int not null, v text); alter table t replica identity full;
         create table u (id int primary key, v text); alter table u replica identity full",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    place.drain("insert into u values (1, 'a')");
    stop(&mut walferry);
    // Two rows of one key, of which the second stays: consumers would have none.
    place.sql("insert into t values (1, 'a'); insert into t values (1, 'b'); delete from t where v = 'a'; insert into u values (2, 'a')");
    place.sql("alter table t add primary key (id)");
    let mut walferry = place.start(&settings);
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    place.drain("insert into t values (2, 'c'); update u set v = 'b' where id = 1");
    let reason = walferry.wait_not_ready("public.t", READY);
    let parts = [
        "before the table had its key (id)",
        "walferry resync public.t",
    ];
    assert!(parts.iter().all(|it| reason.contains(it)), "{reason}");
    assert!(!reason.contains("public.u"), "{reason}");
    stop(&mut walferry);
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = place.ends(
        &settings,
        &["resync", "-c", path.to_str().unwrap(), "public.t"],
    );
    assert_eq!(code, Some(0), "{text}");
    let _walferry = place.streaming(&settings);
    place.drain("update t set v = 'd' where id = 2");
    let (code, text) = audit(&place, &settings);
    assert_eq!(code, Some(0), "{text}");
}
