//! Logical decoding messages end to end: in a transaction and outside, once each also when the connector is killed.

use apache_avro::types::Value as Avro;

use crate::place::{Place, READY};
use crate::records::{read, schemas};

const TOLD: i32 = 60;

#[test]
fn each_message_is_told_once_in_its_place() {
    let place = Place::shared("messages");
    place.sql("create table t (id int primary key)");
    let mut settings = place.all();
    settings.set("format.headers", "true");
    let mut walferry = place.streaming(&settings);
    for n in 0..TOLD {
        place.sql(&format!(
            "select pg_logical_emit_message(false, 'out', '{n}')"
        ));
        place.sql(&format!(
            "begin; insert into t values ({n}); select pg_logical_emit_message(true, 'in', '{n}'); commit"
        ));
        if n % 15 == 7 {
            walferry.kill9();
            walferry = place.start(&settings);
        }
    }
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    place.drain("insert into t values (-1)");
    let mut schemas = schemas(&place);
    let mut told = Vec::new();
    for record in read(&place, "message") {
        let task = record.headers.get("__debezium.context.taskId");
        assert_eq!(task.map(String::as_str), Some("0"), "{:?}", record.headers);
        let value = schemas.decode(record.value.as_ref().unwrap());
        let Avro::Record(message) = &value["message"] else {
            panic!("{value:?}")
        };
        let inner = |at: usize| match &message[at].1 {
            Avro::Union(_, inner) => (**inner).clone(),
            other => other.clone(),
        };
        let (Avro::String(prefix), Avro::Bytes(content)) = (inner(0), inner(1)) else {
            panic!("{message:?}")
        };
        told.push(format!("{prefix} {}", String::from_utf8(content).unwrap()));
    }
    let expected: Vec<String> = (0..TOLD)
        .flat_map(|n| [format!("out {n}"), format!("in {n}")])
        .collect();
    assert_eq!(told, expected);
}
