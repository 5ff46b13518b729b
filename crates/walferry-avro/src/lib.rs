//! PostgreSQL types to Avro schemas, and rows to Avro bytes by plans compiled once.
