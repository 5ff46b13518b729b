//! `walferry schema`: the Avro schemas of the tables, and an operator's word on a table that is parked because of one.

mod approve;

pub(crate) use approve::approve;
