//! A record that its topic refuses for its size follows its table's policy: dead letter, stop or park; and what is only
//! large before it is compressed goes through.

use std::process::Command;

use apache_avro::types::Value as Avro;
use serde_json::Value as Json;
use walferry_stack::{KafkaOptions, KafkaServer};
use walferry_testkit::process::binary;

use crate::kafka::{approve, configure};
use crate::park::table;
use crate::place::{DRAIN, Place, READY};
use crate::records::{read, schemas};
use crate::schemas::letters;

const TABLES: &str = "
create table t (id int primary key, note text); alter table t alter note set storage external;
create table beside (id int primary key)";
/// 3.2 MB, of which no codec makes less than half, above the default of `max.message.bytes`.
const LARGE: &str =
    "(select string_agg(md5(i::text || random()::text), '') from generate_series(1, 100000) i)";
const LARGE_BYTES: usize = 3_200_000;

/// Lets the topic take what it has refused.
fn raise(place: &Place, table: &str) {
    configure(place, &place.topic(table), "max.message.bytes", "10000000");
}

#[test]
fn a_record_that_its_topic_refuses_becomes_a_dead_letter_once() {
    let options = KafkaOptions::new().setting("auto.create.topics.enable", "false");
    let kafka = KafkaServer::start(options).unwrap();
    let mut place = Place::shared("oversize_letters");
    place.brokers = kafka.brokers();
    place.sql(TABLES);
    place.sql(&format!("insert into t values (5, {LARGE}), (6, 'a')"));
    let mut settings = place.all();
    settings.set_text("errors.policy", "dead-letter");
    let path = settings.write(&place.folder).unwrap();
    let mut check = Command::new(binary().unwrap());
    let plan = check.arg("check").arg("-c").arg(&path).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    let letter_topic = format!("{}.dead_letters", place.name);
    assert!(plan.contains(&format!("topic {letter_topic}")), "{plan}");

    let mut walferry = place.streaming(&settings);
    let (mut expected, mut refused) = (vec![6], vec![5]);
    for n in 1..=12 {
        let id = n * 10;
        expected.extend([id, id + 2]);
        let middle = match n % 4 {
            // Only large until it is compressed.
            1 => {
                expected.push(id + 1);
                "repeat('n', 3000000)"
            }
            2 => {
                refused.push(id + 1);
                LARGE
            }
            _ => {
                expected.push(id + 1);
                "'small'"
            }
        };
        place.sql(&format!(
            "begin; insert into t values ({id}, 'a'); insert into beside values ({n});
             insert into t values ({}, {middle}); insert into t values ({}, 'b'); commit",
            id + 1,
            id + 2
        ));
        if n == 2 {
            walferry.wait_status("a letter", READY, |it| it["dead_letters"] == 1);
        }
        if n % 5 == 1 {
            walferry.kill9();
            walferry = place.streaming(&settings);
        }
    }
    // Neither half of a key change goes out when one of them is refused.
    place.sql(&format!(
        "update t set id = 1000, note = {LARGE} where id = 10"
    ));
    refused.push(1000);
    place.drain("insert into beside values (0)");
    expected.sort_unstable();
    let mut schemas = schemas(&place);
    let mut keys = Vec::new();
    for record in read(&place, "public.t") {
        let key = schemas.decode(&record.key.unwrap());
        let Avro::Int(id) = key["id"] else {
            panic!("{key:?}")
        };
        keys.push(id);
    }
    keys.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(read(&place, "public.beside").len(), 13);
    let letters = letters(&place);
    let mut told: Vec<i32> = Vec::new();
    for (letter, kind) in &letters {
        assert_eq!(kind, "too_large");
        assert_eq!(letter["table"], "public.t");
        told.push(letter["after"]["id"].as_str().unwrap().parse().unwrap());
        // The letters' topic was made with room for the whole row.
        let note = letter["after"]["note"].as_str().unwrap();
        assert_eq!(note.len(), LARGE_BYTES);
    }
    assert_eq!(told, refused);
    let place_of = |letter: &Json| (letter["op"].clone(), letter["ordinal"].clone());
    assert_eq!(place_of(&letters[0].0), ("r".into(), 0.into()));
    assert_eq!(place_of(&letters[1].0), ("c".into(), 3.into()));
    let text = letters[0].0["error"]["text"].as_str().unwrap();
    assert!(text.contains("max.message.bytes = 1048588"), "{text}");
}

#[test]
fn a_record_that_its_topic_refuses_stops_the_connector_which_says_what_to_do() {
    let place = Place::shared("oversize_stop");
    place.sql(TABLES);
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    let checker = place.checker(&["public.t", "public.beside"]);
    let mut walferry = place.streaming(&settings);
    place.sql("insert into t values (1, 'a')");
    place.sql(&format!(
        "begin; insert into beside values (1); insert into t values (2, 'b'); insert into t values (3, {LARGE});
         insert into t values (4, 'c'); commit"
    ));
    for _ in 0..2 {
        let code = walferry.wait_exit(READY);
        let tail = walferry.log_tail();
        assert_eq!(code, Some(1), "{tail}");
        let topic = place.topic("public.t");
        for part in [
            "table public.t",
            "ordinal 3",
            "bytes is larger than topic",
            &topic,
            "max.message.bytes = 1048588",
            "kafka-configs",
            "dead-letter",
        ] {
            assert!(tail.contains(part), "{part:?} is not in {tail}");
        }
        walferry = place.start(&settings);
    }
    walferry.wait_exit(READY);
    raise(&place, "public.t");
    let _walferry = place.streaming(&settings);
    place.drain("insert into beside values (0)");
    checker.verdict().unwrap().assert_clean(6);
}

#[test]
fn a_record_that_its_topic_refuses_parks_its_table_until_it_is_taken() {
    let place = Place::shared("oversize_park");
    place.sql(TABLES);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("errors.policy", "park")
        .set_text("admin.token", "let me in");
    let checker = place.checker(&["public.t", "public.beside"]);
    let mut walferry = place.streaming(&settings);
    place.sql(&format!(
        "begin; insert into t values (1, 'a'); insert into beside values (1); insert into t values (2, {LARGE});
         insert into t values (3, 'c'); insert into beside values (2); commit"
    ));
    let parked = walferry.wait_status("parked", READY, |it| {
        table(it, "public.t")["state"] == "parked"
    });
    let reason = table(&parked, "public.t")["reason"].as_str().unwrap();
    assert!(reason.contains("max.message.bytes = 1048588"), "{reason}");
    place.sql("insert into beside values (3); update t set note = 'd' where id = 3");
    walferry.wait_status("the other goes on", READY, |it| {
        table(it, "public.beside")["changes"].as_u64() >= Some(1)
    });
    walferry.kill9();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("parked again", READY, |it| {
        it["state"] == "streaming" && table(it, "public.t")["state"] == "parked"
    });
    raise(&place, "public.t");
    approve(&walferry, "public.t");
    walferry.wait_status("caught up", DRAIN, |it| {
        table(it, "public.t")["state"] == "streaming"
    });
    place.drain("insert into beside values (0)");
    checker.verdict().unwrap().assert_clean(8);
}
