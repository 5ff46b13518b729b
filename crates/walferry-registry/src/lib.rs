//! Schema to id in a Confluent-compatible schema registry.
