//! The flat envelope end to end: records that are the row itself, in snapshot and stream.

use apache_avro::types::Value as Avro;

use crate::place::{Place, READY};
use crate::records::{read, schemas};

/// A record's value on one line: its columns, then operation and `__deleted`.
fn line(fields: &std::collections::BTreeMap<String, Avro>) -> String {
    let text = |name: &str| {
        let value = match &fields[name] {
            Avro::Union(_, inner) => inner,
            other => other,
        };
        match value {
            Avro::Null => "null".to_owned(),
            Avro::Int(number) => number.to_string(),
            Avro::String(text) => text.clone(),
            other => panic!("{name} is {other:?}"),
        }
    };
    let named = ["id", "a", "b", "__op", "__deleted"];
    named.map(text).join(" ")
}

#[test]
fn a_flat_record_is_the_row_and_says_whether_it_is_gone() {
    let place = Place::shared("flat");
    place.sql(
        "create table t (id int primary key, a text not null, b text);
         create table f (id int primary key, a text not null, b text);
         alter table f replica identity full;
         insert into t values (1, 'x', null); insert into f values (1, 'x', null)",
    );
    let mut settings = place.all();
    settings.set_text("format.envelope", "flat");
    let mut walferry = place.streaming(&settings);
    for table in ["t", "f"] {
        place.sql(&format!("update {table} set b = 'y'"));
        place.sql(&format!("update {table} set id = 2"));
        place.sql(&format!("delete from {table}"));
    }
    place.sql("truncate t");
    place.drain("insert into t values (3, 'z', null)");
    let mut schemas = schemas(&place);
    let mut told = |table: &str| -> Vec<String> {
        let records = read(&place, table);
        let lines = records.iter().map(|record| {
            let key = schemas.decode(record.key.as_ref().unwrap());
            let Avro::Int(id) = key["id"] else {
                panic!("{key:?}")
            };
            match &record.value {
                None => format!("{id}: -"),
                Some(value) => format!("{id}: {}", line(&schemas.decode(value))),
            }
        });
        lines.collect()
    };
    assert_eq!(
        told("public.t"),
        [
            "1: 1 x null r false",
            "1: 1 x y u false",
            "1: 1  null d true",
            "1: -",
            "2: 2 x y c false",
            "2: 2  null d true",
            "2: -",
            "3: 3 z null c false",
        ]
    );
    assert_eq!(
        told("public.f"),
        [
            "1: 1 x null r false",
            "1: 1 x y u false",
            "1: 1 x y d true",
            "1: -",
            "2: 2 x y c false",
            "2: 2 x y d true",
            "2: -",
        ]
    );
    // The truncate has no record, and that is said.
    walferry.wait_log("a truncate has no record in the flat envelope", READY);
}
