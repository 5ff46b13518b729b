//! Wires the ring: PostgreSQL to Avro to Kafka, with the ledger of positions and recovery.
