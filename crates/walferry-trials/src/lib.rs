//! Campaigns: what takes longer than a test, or measures.
//!
//! Owns: [`compat`] (beside Debezium), [`history`] (random DDL and DML), [`values`] (random values of every type). Each has a
//! program in `src/bin`, as have bench, chaos and demo, which nothing else needs; the short forms of the three are tests.
//! Never: shipped; named by a crate that ships.
//! Start reading at the program that interests you.

pub mod compat;
pub mod history;
pub mod values;
