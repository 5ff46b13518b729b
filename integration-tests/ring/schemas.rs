//! A table changes while it is followed: its new schema is registered before its first record; one that the registry
//! refuses, and a value that Avro cannot hold, follow the table's policy.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::Headers;
use serde_json::Value as Json;
use walferry_testkit::checker::Session;
use walferry_testkit::process::{Settings, Walferry, http};
use walferry_testkit::topics::Reader;

use crate::place::{Place, READY};

#[test]
fn columns_come_go_and_change_under_load() {
    let place = Place::shared("alter");
    place.sql("create table t (id int primary key, note text)");
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t values (1, 'a')");
    place.sql("alter table t add column amount numeric(9,2); insert into t values (2, 'b', 1.5)");
    place.sql("begin; insert into t values (3, 'c', 2.5); alter table t drop column note; insert into t values (4, 3.5); commit");
    place.sql("alter table t alter column id type bigint; insert into t values (5, 4.5)");
    place.drain("insert into t values (6, 5.5)");
    let status = walferry.status().unwrap();
    assert_eq!(status["tables"][0]["changes"], 6, "{status}");
    let topics = [place.topic("public.t")];
    let mut ids = Vec::new();
    Reader::open(&place.brokers, &topics)
        .unwrap()
        .read_to_end(|message| {
            ids.push(u32::from_be_bytes(
                message.payload().unwrap()[1..5].try_into()?,
            ));
            Ok(())
        })
        .unwrap();
    assert_eq!(ids.len(), 6);
    ids.dedup();
    assert_eq!(ids.len(), 4, "one schema per version of the table: {ids:?}");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn rows_from_before_their_key_was_renamed_and_retyped_keep_it() {
    let place = Place::shared("old_key");
    place.sql("create table t (id int primary key, alt bigint not null unique); alter table t replica identity full");
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let mut walferry = place.streaming(&settings);
    let checker = place.checker(&["public.t"]);
    place.sql("insert into t values (1, 10)");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    // The stream says of whole old rows which columns they have, and not which of them are the key.
    place.sql("insert into t values (2, 20); update t set alt = 21 where id = 2");
    place.sql("alter table t alter column id type bigint; insert into t values (3, 30)");
    place.sql(
        "begin; insert into t values (4, 40); alter table t rename column id to number; commit",
    );
    let mut walferry = place.streaming(&settings);
    place.drain("select pg_logical_emit_message(true, 'end', '')");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean() && report.observed == 5, "{report}");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

/// Starts while `a` is on its way to the name `b`: the start sees `a`, and cannot have it until it is `b`.
fn starts_behind_a_rename(place: &Place, settings: &Settings) -> Walferry {
    let mut session = Session::connect(&place.url).unwrap();
    session.execute("begin; alter table a rename to b").unwrap();
    let walferry = place.start(settings);
    let begun = Instant::now();
    while session.value(WAITING).unwrap().as_deref() == Some("0") {
        assert!(begun.elapsed() < READY, "nobody waits for the table");
    }
    session.execute("commit").unwrap();
    walferry
}

#[test]
fn a_table_that_is_renamed_while_a_start_looks_at_it_is_looked_for_again() {
    let place = Place::shared("renamed");
    place.sql("create table t (id int primary key)");
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql("create table a (id int primary key); insert into a values (1)");
    let mut walferry = starts_behind_a_rename(&place, &settings);
    walferry.wait_status("the history of b", READY, |status| {
        let snapshot = status["snapshot"].as_array().into_iter().flatten();
        let done = |it: &Json| it["name"] == "public.b" && it["state"] == "done";
        status["state"] == "streaming" && snapshot.filter(|it| done(it)).count() == 1
    });
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

#[test]
fn a_table_that_is_renamed_while_it_is_taken_out_is_taken_out_under_its_new_name() {
    let place = Place::shared("renamed_out");
    place.sql("create table t (id int primary key); create table a (id int primary key)");
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    place.sql("alter table a replica identity nothing");
    let mut walferry = starts_behind_a_rename(&place, &settings);
    walferry.wait_status("b is left out", READY, |status| {
        let tables = status["tables"].as_array().into_iter().flatten();
        let mut left_out = tables.filter(|it| it["state"] == "left-out");
        left_out.any(|it| it["name"] == "public.b")
    });
    walferry.wait_log("table taken out of the publication", READY);
    // The application goes on.
    place.sql("insert into b values (1); update b set id = 2");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
}

/// How many locks somebody waits for.
pub(crate) const WAITING: &str = "select count(*) from pg_locks where not granted and database = (
    select oid from pg_database where datname = current_database())";

/// What the dead-letter topic holds.
pub(crate) fn letters(place: &Place) -> Vec<(Json, String)> {
    let mut letters = Vec::new();
    Reader::open(&place.brokers, &[format!("{}.dead_letters", place.name)])
        .unwrap()
        .read_to_end(|message| {
            let headers = message.headers().unwrap();
            let kind = headers.iter().find(|it| it.key == "walferry.error.kind");
            let kind = String::from_utf8(kind.unwrap().value.unwrap().to_vec())?;
            letters.push((serde_json::from_slice(message.payload().unwrap())?, kind));
            Ok(())
        })
        .unwrap();
    letters
}

#[test]
fn a_value_that_avro_cannot_hold_follows_the_policy() {
    let place = Place::shared("letters");
    place.sql("create table t (id int primary key, n numeric(9,2))");
    let mut settings = place.lettered();
    settings.set_text(
        "errors.dead_letter_topic",
        &format!("{}.dead_letters", place.name),
    );
    let mut walferry = place.streaming(&settings);
    place.sql(
        "insert into t values (1, 1); insert into t values (2, 'NaN'); insert into t values (3, 3)",
    );
    place.drain("insert into t values (4, 4)");
    let letters = letters(&place);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let (letter, kind) = &letters[0];
    assert_eq!(kind, "validation");
    assert_eq!(letter["table"], "public.t");
    assert_eq!(letter["after"]["n"], "NaN");
    let status = walferry.status().unwrap();
    assert_eq!(
        (&status["dead_letters"], &status["tables"][0]["changes"]),
        (&1.into(), &3.into())
    );
    let metric = |name: &str, labels: &[(&str, &str)]| walferry.metric(name, labels).unwrap();
    let records = |topic: &str| metric("walferry_records_total", &[("topic", topic)]);
    assert_eq!(records(&place.topic("public.t")), 3.0);
    assert_eq!(records(&place.topic("dead_letters")), 1.0);
    let errors = [("stage", "encode"), ("kind", "validation")];
    assert_eq!(metric("walferry_errors_total", &errors), 1.0);
    let bytes = |stage| metric("walferry_bytes_total", &[("stage", stage)]);
    assert!(bytes("session") > 0.0);
    assert!(bytes("publish") > 0.0 && bytes("publish") == bytes("encode"));
    // With the policy "stop" the same change halts the connector, and names it.
    walferry.sigterm();
    walferry.wait_exit(READY);
    settings.set_text("errors.policy", "stop");
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t values (5, 'NaN')");
    assert_eq!(
        walferry.wait_exit(READY),
        Some(1),
        "{}",
        walferry.log_tail()
    );
    let tail = walferry.log_tail();
    assert!(
        tail.contains("public.t") && tail.contains("dead-letter"),
        "{tail}"
    );
    // The change is still to come, also when it stands inside a transaction whose end was not reached.
    settings.set_text("errors.policy", "dead-letter");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (6, 6)");
    assert_eq!(self::letters(&place).len(), 2);
}

/// Sets the compatibility level of the value's subject.
pub(crate) fn allow(place: &Place, level: &str) {
    let url = format!(
        "{}/config/{}-value",
        place.registry,
        place.topic("public.t")
    );
    let body = format!("{{\"compatibility\": \"{level}\"}}");
    let answer = http::request("PUT", &url, &body, &[], Duration::from_secs(5)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn a_schema_that_the_registry_refuses_makes_dead_letters() {
    let place = Place::shared("refused_letters");
    place.sql(
        "create table t (id int primary key, note text); create table beside (id int primary key)",
    );
    let settings = place.lettered();
    let checker = place.checker(&["public.t", "public.beside"]);
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1, 'a')");
    allow(&place, "FULL");
    place.sql(
        "alter table t alter column note type int using 1; insert into t values (2, 2);
         update t set note = 3; delete from t where id = 2",
    );
    place.drain("insert into beside values (1)");
    walferry.wait_status("letters", READY, |it| it["dead_letters"] == 4);
    let letters = letters(&place);
    let told: Vec<_> = letters
        .iter()
        .map(|(letter, kind)| (kind.as_str(), letter["op"].as_str().unwrap()))
        .collect();
    let expected = ["c", "u", "u", "d"].map(|op| ("schema", op));
    assert_eq!(told, expected);
    assert_eq!(letters[0].0["after"]["note"], "2");
    // The topics lack what the letters hold, and nothing else.
    let report = checker.verdict().unwrap();
    assert_eq!((report.lost, report.faults()), (4, 4), "{report}");
    // Once the subject allows it, the next change is published again.
    walferry.sigterm();
    walferry.wait_exit(READY);
    allow(&place, "NONE");
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (9, 9)");
    let report = checker.verdict().unwrap();
    assert_eq!((report.lost, report.faults()), (4, 4), "{report}");
    assert_eq!(report.tables["public.t"], 2, "{report}");
}

#[test]
fn a_schema_that_the_registry_refuses_stops_the_table_and_loses_nothing() {
    let place = Place::shared("refused_schema");
    place.sql("create table t (id int primary key, note text)");
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (1, 'a')");
    allow(&place, "FULL");
    place.sql("alter table t alter column note type int using 1; insert into t values (2, 2)");
    assert_eq!(
        walferry.wait_exit(READY),
        Some(1),
        "{}",
        walferry.log_tail()
    );
    let tail = walferry.log_tail();
    assert!(
        tail.contains("public.t") && tail.contains("compatib"),
        "{tail}"
    );
    // Once the subject allows it, the change that was waiting is published.
    allow(&place, "NONE");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (3, 3)");
    walferry.wait_status("two changes", READY, |it| it["tables"][0]["changes"] == 2);
}
