//! Transactions told of: BEGIN and END once each, and every event with its number, also when a large transaction is cut
//! into several of Kafka and the connector is killed in between.

use std::collections::BTreeMap;

use apache_avro::types::Value as Avro;

use crate::place::{Place, READY};
use crate::records::{Schemas, read, schemas};

const LARGE: u64 = 30_000;
const MESSAGES: &str = "LOGICAL_DECODING_MESSAGE";

fn plain(value: &Avro) -> &Avro {
    match value {
        Avro::Union(_, inner) => plain(inner),
        other => other,
    }
}

fn field<'a>(record: &'a Avro, name: &str) -> &'a Avro {
    let Avro::Record(fields) = record else {
        panic!("no record: {record:?}")
    };
    plain(&fields.iter().find(|(it, _)| it == name).unwrap().1)
}

fn text(value: &Avro) -> String {
    match plain(value) {
        Avro::String(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

fn number(value: &Avro) -> u64 {
    match plain(value) {
        Avro::Long(number) => u64::try_from(*number).unwrap(),
        other => panic!("no number: {other:?}"),
    }
}

/// What the events of one transaction say: their numbers in all, and within each table.
#[derive(Debug, Default)]
struct Events {
    total: Vec<u64>,
    tables: BTreeMap<String, Vec<u64>>,
}

/// The events of each transaction by its id, as the topics have them.
fn events(place: &Place, schemas: &mut Schemas<'_>) -> BTreeMap<String, Events> {
    let mut all: BTreeMap<String, Events> = BTreeMap::new();
    for (topic, table) in [
        ("public.a", "public.a"),
        ("public.b", "public.b"),
        ("public.c", "public.c"),
        ("message", MESSAGES),
    ] {
        for record in read(place, topic) {
            // A tombstone is no event.
            let Some(value) = record.value else { continue };
            let value = schemas.decode(&value);
            let block = plain(&value["transaction"]);
            if *block == Avro::Null {
                assert_eq!(table, MESSAGES, "{value:?}");
                continue;
            }
            let events = all.entry(text(field(block, "id"))).or_default();
            events.total.push(number(field(block, "total_order")));
            let of_table = events.tables.entry(table.to_owned()).or_default();
            of_table.push(number(field(block, "data_collection_order")));
        }
    }
    all
}

/// How many events each transaction says that it has, in the order of their ends.
fn told(place: &Place, schemas: &mut Schemas<'_>) -> Vec<(String, BTreeMap<String, u64>)> {
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    for record in read(place, "transaction") {
        let key = schemas.decode(&record.key.unwrap());
        let value = schemas.decode(&record.value.unwrap());
        let id = text(&value["id"]);
        assert_eq!(text(&key["id"]), id);
        match text(&value["status"]).as_str() {
            "BEGIN" => begun.push(id),
            "END" => {
                let Avro::Array(list) = plain(&value["data_collections"]) else {
                    panic!("{value:?}")
                };
                let counts: BTreeMap<String, u64> = list
                    .iter()
                    .map(|it| {
                        let it = plain(it);
                        let name = text(field(it, "data_collection"));
                        (name, number(field(it, "event_count")))
                    })
                    .collect();
                assert_eq!(number(&value["event_count"]), counts.values().sum::<u64>());
                ended.push((id, counts));
            }
            other => panic!("{other}"),
        }
    }
    let ids: Vec<String> = ended.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(begun, ids, "each begins once and ends once");
    ended
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let pairs = of.iter().map(|(name, count)| ((*name).to_owned(), *count));
    pairs.collect()
}

#[test]
fn each_transaction_begins_and_ends_once_and_numbers_its_events() {
    let place = Place::shared("told");
    place.sql(
        "create table a (id int primary key, note text); create table b (id int primary key); create table c (n int);
         alter table c replica identity full",
    );
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("format.transaction_metadata", "true")
        .set("publish.memory_bytes_max", &(16 << 20).to_string())
        .set_text("publish.batch_bytes_max", "1 MiB");
    let mut walferry = place.streaming(&settings);
    for sql in [
        "begin; insert into a values (1, 'x'); insert into b values (1); insert into c values (1);
         update a set note = 'y'; delete from c; commit",
        "update a set id = 2",
        "select pg_logical_emit_message(false, 'p', 'outside')",
        "begin; insert into b values (2); select pg_logical_emit_message(true, 'p', 'm'); truncate a, b; commit",
        "begin; insert into a values (3, 'x'); savepoint s; insert into a values (4, 'x'); rollback to s;
         update a set id = 5; insert into b values (6); commit",
    ] {
        place.sql(sql);
    }
    // Cut many times, with a key change and other tables in its midst.
    place.sql(&format!(
        "begin; insert into c values (7); insert into a select i, repeat('n', 400) from generate_series(10, {}) i;
         update a set id = 0 where id = 5; truncate b; insert into b values (1);
         insert into a select -i, repeat('n', 400) from generate_series(1, {LARGE}) i;
         select pg_logical_emit_message(true, 'p', 'last'); commit",
        LARGE + 9
    ));
    for _ in 0..3 {
        // At the second cut the first one is committed.
        walferry.wait_log_times("larger than a batch", 3, READY);
        walferry.kill9();
        walferry = place.streaming(&settings);
    }
    place.drain("insert into b values (99)");
    let mut schemas = schemas(&place);
    let told = told(&place, &mut schemas);
    let (a, b, c) = ("public.a", "public.b", "public.c");
    let expected = [
        counts(&[(a, 2), (b, 1), (c, 2)]),
        counts(&[(a, 2)]),
        counts(&[(a, 1), (b, 2), (MESSAGES, 1)]),
        counts(&[(a, 3), (b, 1)]),
        counts(&[(a, 2 * LARGE + 2), (b, 2), (c, 1), (MESSAGES, 1)]),
        counts(&[(b, 1)]),
    ];
    let found: Vec<_> = told.iter().map(|(_, counts)| counts.clone()).collect();
    assert_eq!(found, expected);
    let mut events = events(&place, &mut schemas);
    for (id, counts) in told {
        let of_it = events.remove(&id).unwrap();
        let mut total = of_it.total;
        total.sort_unstable();
        let events: u64 = counts.values().sum();
        assert_eq!(total, (1..=events).collect::<Vec<_>>(), "{id}");
        for (table, count) in counts {
            // In one table they stand in order.
            let numbers = &of_it.tables[&table];
            assert_eq!(*numbers, (1..=count).collect::<Vec<_>>(), "{id} {table}");
        }
    }
    assert!(events.is_empty(), "{events:?}");
}
