//! Consumers that others have written read Walferry's topics as they read Debezium's.
//!
//! | module | holds |
//! |---|---|
//! | `python` | confluent-kafka with its registry client and fastavro |
//! | `java` | Kafka's consumer with the deserialiser of the registry's makers |
//! | `flink` | Flink SQL with its format `debezium-avro-confluent` |
//! | `history` | what happens to the tables, and what PostgreSQL says that they hold in the end |
//!
//! Each client lies in `clients/`, knows nothing of Walferry, and prints the tables that it has materialised from the
//! topics; they must be what PostgreSQL holds.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test")]

mod flink;
mod history;
mod java;
#[path = "../ring/place.rs"]
#[allow(
    dead_code,
    reason = "shared with the other target, which uses all of it"
)]
mod place;
mod python;
