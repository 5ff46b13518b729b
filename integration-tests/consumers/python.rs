//! confluent-kafka's consumer with its registry client and fastavro.

use std::process::Command;

use walferry_stack::confluent_kafka;

use crate::history::{History, source};

#[test]
fn python_with_confluent_kafka_and_fastavro_materialises_the_tables() {
    let packages = confluent_kafka().unwrap();
    let history = History::publish("python");
    let tables = ["plain", "complete", "pairs"];
    let mut client = Command::new("python3");
    client
        .env("PYTHONPATH", packages)
        .arg(source("materialise.py"))
        .args([&history.place.brokers, &history.place.registry])
        .args(history.topics(&tables));
    history.compare(&tables, &mut client);
}
