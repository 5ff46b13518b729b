//! Kafka's consumer in Java with the deserialiser that the registry's makers publish.

use walferry_stack::registry_deserialiser;

use crate::history::{History, source};

#[test]
fn java_with_the_registrys_own_deserialiser_materialises_the_tables() {
    let libraries = registry_deserialiser().unwrap();
    let history = History::publish("java");
    let tables = ["plain", "complete", "pairs"];
    let mut client = libraries.run(&source("Materialise.java"));
    client
        .args([&history.place.brokers, &history.place.registry])
        .args(history.topics(&tables));
    history.compare(&tables, &mut client);
}
