//! A record is what the change makes it: neither a restart nor the encoding of the database decides.

use walferry_testkit::checker::Session;
use walferry_testkit::process::Settings;

use crate::changes::lines;
use crate::options::show;
use crate::place::{Place, READY, told};
use crate::records::{read, schemas};

/// `source.sequence` of each record of a topic: where the transaction before ended, and the change.
fn sequences(place: &Place) -> Vec<(Option<String>, String)> {
    let mut schemas = schemas(place);
    let records = read(place, "public.t");
    let sequence = |value: &Vec<u8>| {
        let value = schemas.decode(value);
        let text = match &value["source"] {
            apache_avro::types::Value::Record(fields) => {
                show(&fields.iter().find(|it| it.0 == "sequence").unwrap().1)
            }
            other => panic!("{other:?}"),
        };
        serde_json::from_str::<(Option<String>, String)>(&text).unwrap()
    };
    let values = records.iter().filter_map(|it| it.value.as_ref());
    values.map(sequence).collect()
}

#[test]
fn records_name_the_transaction_before_over_restarts() {
    let place = Place::shared("sequence");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    settings.set("source.heartbeat_ms", "200");
    let mut walferry = place.streaming(&settings);
    for round in 0..5 {
        place.drain(&format!("insert into t values ({round})"));
        match round {
            0 => walferry.kill9(),
            1 | 2 => {
                walferry.sigterm();
                assert_eq!(walferry.wait_exit(READY), Some(0));
            }
            _ => continue,
        }
        if round == 2 {
            // Nothing of it is ours, and the position moves on.
            place.sql("select pg_logical_emit_message(true, 'other', 'x'); select pg_switch_wal()");
        }
        walferry = place.streaming(&settings);
    }
    let found = sequences(&place);
    assert_eq!(found.len(), 5);
    let number = |lsn: &Option<String>| lsn.as_ref().map(|it| it.parse::<u64>().unwrap());
    for pair in found.windows(2) {
        let (before, now) = (&pair[0], &pair[1]);
        let change: u64 = before.1.parse().unwrap();
        let next: u64 = now.1.parse().unwrap();
        let end = number(&now.0).unwrap_or_else(|| panic!("{found:?}"));
        assert!(change < end && end <= next, "{found:?}");
    }
}

#[test]
fn a_value_that_is_not_utf8_follows_the_policy() {
    let place = Place::shared("ascii");
    let name = format!("{}_bytes", place.name);
    place.sql(&format!(
        "create database \"{name}\" template template0 encoding 'SQL_ASCII' locale 'C'"
    ));
    let url = place
        .url
        .replace(&format!("/{}", place.name), &format!("/{name}"));
    let sql = |sql: &str| {
        let mut session = Session::connect(&url).unwrap();
        session.execute(sql).unwrap();
    };
    sql(
        r"create table t (id int primary key, v text, k varchar(9)); insert into t values (1, 'é', 'a'), (2, E'\xe9', 'b')",
    );
    let mut settings: Settings = place.lettered();
    settings
        .set_text("source.url", &url)
        .set_text("snapshot.mode", "initial");
    let path = settings.write(&place.folder).unwrap();
    let (code, text) = told(&["check", "-c", path.to_str().unwrap()]);
    assert!(code == Some(0) && text.contains("SQL_ASCII"), "{text}");
    let mut walferry = place.streaming(&settings);
    sql(
        r"insert into t values (3, E'\xff', 'c'), (4, 'ü', 'd'); update t set k = 'z' where id = 1",
    );
    walferry.wait_status("letters", READY, |it| it["dead_letters"] == 2);
    let slot = place.slot();
    walferry_testkit::load::drain(&url, &slot, "insert into t values (5, 'end', 'e')", READY)
        .unwrap();
    assert_eq!(
        lines(&place, "public.t"),
        [
            "r id=1 | - | id=1 v=é k=a",
            "c id=4 | - | id=4 v=ü k=d",
            "u id=1 | - | id=1 v=é k=z",
            "c id=5 | - | id=5 v=end k=e",
        ]
    );
}
