//! The faults that the field found, put back into copies of real topics: the witness's judge, the comparison at the end and
//! `walferry audit` each find them, and find nothing in the topics as they are.
//!
//! A letter and a number name the fault; `docs/GUARANTEES.md` says which promise it broke.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use walferry_testkit::checker::{Checker, Compared, Start, agreement};
use walferry_testkit::process::{Settings, Walferry, http};
use walferry_testkit::topics::Reader;

use crate::audit::{audit, kafka};
use crate::place::Place;
use crate::snapshots::consistent_point;

/// A record and the partition that it goes to.
#[derive(Clone)]
struct Copied {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// Rows 1 to 6 of each are there at the start.
const ROWS: &str = "select g, 'row ' || g from generate_series(1, 6) g";

/// A kind of table: how it is made and filled, and what happens to it then.
struct Kind {
    create: &'static str,
    fill: &'static str,
    history: &'static [&'static str],
}

/// Records 6 and 7, the delete 8 and its tombstone 9, records 10 and 11.
const KEYED: Kind = Kind {
    create: "create table T (id int primary key, note text)",
    fill: "insert into T ROWS",
    history: &[
        "update T set note = 'one again' where id = 1",
        "insert into T values (10, 'ten')",
        "delete from T where id = 3",
        "update T set note = 'two again' where id = 2",
        "insert into T values (11, 'eleven')",
    ],
};

const PAIR: Kind = Kind {
    create: "create table T (a int, k int, note text, primary key (a, k))",
    fill: "insert into T select g / 3, g, note from (ROWS) s(g, note)",
    history: &[
        "update T set note = 'other' where k = 4",
        "insert into T values (9, 9, 'nine')",
    ],
};

const BAG: Kind = Kind {
    create: "create table T (id int, note text); alter table T replica identity full",
    fill: "insert into T ROWS",
    history: &["update T set note = 'other' where id = 1"],
};

const EMPTIED: Kind = Kind {
    create: KEYED.create,
    fill: KEYED.fill,
    history: &["truncate T", "insert into T values (9, 'nine')"],
};

/// What a plan may need: the ids of key schemas that are no key of the table.
struct Keys {
    nullable: Vec<u8>,
    half: Vec<u8>,
}

type Plan = fn(&mut Vec<Copied>, &Keys);

/// Fault, the kind of its table, how it is put back.
fn plans() -> Vec<(&'static str, Kind, Plan)> {
    vec![
        ("nothing", KEYED, |_, _| {}),
        ("nothing", PAIR, |_, _| {}),
        ("nothing", BAG, |_, _| {}),
        ("nothing", EMPTIED, |_, _| {}),
        (
            "A1: rows that a rewrite hid from the snapshot",
            KEYED,
            |it, _| drop(it.drain(3..6)),
        ),
        (
            "A2: rows without a key behind a lost place",
            BAG,
            |it, _| drop(it.drain(3..6)),
        ),
        ("A3: rows that a policy hides", KEYED, hide),
        (
            "B1: rows that a replaced table does not have",
            KEYED,
            |it, _| drop(it.drain(8..10)),
        ),
        (
            "B1: changes of the table that took its place",
            KEYED,
            |it, _| it.truncate(10),
        ),
        (
            "B3: a partition of which nothing is published",
            PAIR,
            |it, _| it.clear(),
        ),
        (
            "B4: changes from a time without publication",
            KEYED,
            |it, _| drop(it.drain(6..8)),
        ),
        ("D1: a delete under a key of NULL", KEYED, |it, keys| {
            it[8].key = Some(keys.nullable.clone());
            it[9].key = Some(keys.nullable.clone());
        }),
        ("D2: half of a key", PAIR, half_keys),
        ("E1: no record of a truncate", EMPTIED, |it, _| {
            it.retain(|it| it.key.is_some())
        }),
        ("E2: a key in two partitions", KEYED, |it, _| {
            it[10].partition = 1
        }),
        (
            "J2: a delete behind the row that took its key",
            KEYED,
            delete_again,
        ),
        (
            "a delete behind the row that has its key in another form",
            KEYED,
            delete_in_another_form,
        ),
    ]
}

/// Every second row of the snapshot.
fn hide(records: &mut Vec<Copied>, _: &Keys) {
    for at in [5, 3, 1] {
        records.remove(at);
    }
}

/// All rows that are equal in `a` get one key.
fn half_keys(records: &mut Vec<Copied>, keys: &Keys) {
    for record in records {
        let whole = record.key.as_mut().unwrap();
        // The frame of five bytes, then `a` in one byte.
        let half = [&keys.half[..], &whole[5..6]].concat();
        *whole = half;
    }
}

/// The delete of 3 and its tombstone once more, under the key of 10, which is there.
fn delete_again(records: &mut Vec<Copied>, _: &Keys) {
    let key = records[7].key.clone();
    for at in [8, 9] {
        let mut again = records[at].clone();
        again.key.clone_from(&key);
        records.push(again);
    }
}

/// The delete of 3 and its tombstone once more, in their place, under the key of 10 as one who allows NULL writes it: to whoever
/// compares bytes that is another key.
fn delete_in_another_form(records: &mut Vec<Copied>, keys: &Keys) {
    let plain = records[7].key.clone().unwrap();
    // The frame, then the second branch of the union.
    let nullable = [&keys.nullable[..5], &[2], &plain[5..]].concat();
    for at in [8, 9] {
        let mut again = records[at].clone();
        again.key = Some(nullable.clone());
        records.insert(at + 2, again);
    }
}

fn copied(place: &Place, topic: &str) -> Vec<Copied> {
    let mut records = Vec::new();
    let mut reader = Reader::open(&place.brokers, &[topic.to_owned()]).unwrap();
    let copy = reader.read_to_end(|message| {
        records.push(Copied {
            partition: 0,
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        });
        Ok(())
    });
    copy.unwrap();
    records
}

fn write(place: &Place, topic: &str, records: &[Copied]) {
    let admin: AdminClient<DefaultClientContext> = kafka(place).create().unwrap();
    let new = [NewTopic::new(topic, 2, TopicReplication::Fixed(1))];
    futures_executor::block_on(admin.create_topics(&new, &AdminOptions::new())).unwrap();
    let producer: BaseProducer = kafka(place).create().unwrap();
    for copied in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(copied.partition);
        (record.key, record.payload) = (copied.key.as_deref(), copied.value.as_deref());
        producer.send(record).map_err(|it| it.0).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// Registers a schema, and returns the frame of its id.
fn frame(place: &Place, subject: &str, field: &str) -> Vec<u8> {
    let schema =
        format!(r#"{{"type":"record","name":"Key","namespace":"{subject}","fields":[{field}]}}"#);
    let body = serde_json::json!({ "schema": schema }).to_string();
    let url = format!("{}/subjects/{subject}/versions", place.registry);
    let answer = http::request("POST", &url, &body, &[], Duration::from_secs(20)).unwrap();
    let id = answer.json().unwrap()["id"].as_u64().unwrap() as u32;
    [&[0][..], &id.to_be_bytes()].concat()
}

/// The frames of key schemas that are no key of the tables.
fn other_keys(place: &Place) -> Keys {
    let of = |word: &str, field: &str| frame(place, &format!("{}.{word}", place.name), field);
    let nullable = of("nullable", r#"{"name":"id","type":["null","int"]}"#);
    Keys {
        // The first branch of the union.
        nullable: [&nullable[..], &[0]].concat(),
        half: of("half", r#"{"name":"a","type":"int"}"#),
    }
}

/// A table for each plan, `t0` and so on: filled, and with its history when the connector streams.
fn streamed(place: &Place, settings: &Settings) -> (Walferry, Checker) {
    let plans = plans();
    let names: Vec<String> = (0..plans.len()).map(|it| format!("public.t{it}")).collect();
    let run = |sql: &dyn Fn(&Kind) -> String| {
        for ((_, kind, _), name) in plans.iter().zip(&names) {
            place.sql(&sql(kind).replace("ROWS", ROWS).replace('T', name));
        }
    };
    run(&|kind| kind.create.to_owned());
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut checker = place.checker(&tables);
    run(&|kind| kind.fill.to_owned());
    let mut walferry = place.streaming(settings);
    checker.rules.start = Start::Beside(consistent_point(&mut walferry));
    run(&|kind| kind.history.join(";"));
    place.drain("create table drained ()");
    (walferry, checker)
}

#[test]
fn each_fault_of_the_field_is_found_by_all_three_judges() {
    let place = Place::shared("planted");
    let mut settings = place.all();
    settings.set("source.heartbeat_ms", "200");
    let (_walferry, mut checker) = streamed(&place, &settings);
    let keys = other_keys(&place);
    let all = checker.rules.keys.clone();
    for (number, (fault, _, plant)) in plans().into_iter().enumerate() {
        let found = fault != "nothing";
        let name = format!("public.t{number}");
        let mut records = copied(&place, &place.topic(&name));
        plant(&mut records, &keys);
        let topic = format!("{}.copy.{number}", place.name);
        write(&place, &topic, &records);
        settings.table(&format!("name = \"{name}\"\ntopic = \"{topic}\""));

        checker.topics.insert(name.clone(), topic.clone());
        checker.rules.keys = BTreeMap::from([(name.clone(), all[&name].clone())]);
        let report = checker.verdict().unwrap();
        assert_eq!(!report.is_clean(), found, "the witness, {fault}: {report}");

        let compared = Compared {
            key: all[&name].clone(),
            table: name,
            topic,
            meanings: BTreeMap::new(),
        };
        let ends = agreement(&place.url, &place.brokers, &place.registry, &[compared]).unwrap();
        assert_eq!(ends[0].faults() > 0, found, "the end, {fault}: {}", ends[0]);
    }
    let named: Vec<&str> = all.keys().map(String::as_str).collect();
    let (code, report, errors) = audit(&place, &settings, &named);
    assert_eq!(code, Some(1), "{report:#}\n{errors}");
    for (number, (fault, _, _)) in plans().into_iter().enumerate() {
        let name = format!("public.t{number}");
        let tables = report["tables"].as_array().unwrap();
        let table = tables
            .iter()
            .find(|it| it["name"] == name.as_str())
            .unwrap();
        let differences = table["differences"].as_array().unwrap();
        let found = fault != "nothing";
        assert_eq!(
            !differences.is_empty(),
            found,
            "the audit, {fault}: {table:#}"
        );
    }
}
