//! Flink SQL with its format `debezium-avro-confluent`: a job that materialises the tables.

use walferry_stack::flink;

use crate::history::{History, source};

#[test]
fn flinks_debezium_format_materialises_the_tables() {
    let libraries = flink().unwrap();
    let history = History::publish("flink");
    let tables = ["complete", "pairs"];
    let mut client = libraries.run(&source("FlinkJob.java"));
    client
        .args([&history.place.brokers, &history.place.registry])
        .args(history.topics(&tables));
    history.compare(&tables, &mut client);
}
