//! The judge of compatibility: a live Debezium and Walferry follow the same database, and what they publish is compared.
//!
//! Owns: the corpus of SQL cases ([`corpus`]), one run of a group of them ([`run`]), the words in which records are
//! compared ([`canonical`]), the comparison ([`difference`]), the reviewed list of deliberate differences ([`review`]),
//! Debezium's recorded answers ([`recording`]) and the report ([`report`]). Never: the product's code.
//! Invariant: a difference that no entry of the list names fails the run, and so does an entry that names none.
//! Start reading at [`run::Bench`].
//!
//! | names what must differ | is compared as |
//! |---|---|
//! | the topic prefix, `source.db` | `compat` |
//! | clocks: `ts_ms`, `ts_us`, `ts_ns` | `clock` when the three agree |
//! | `txId`, `lsn` | their order of appearance in the topic; when both sides are live also as they are |
//! | `source.version`, the id of a run | left out |
//! | the schema's id | the schema's text |
//! | the partition | whether it is the one that the key's bytes hash to |

pub mod avro;
pub mod canonical;
pub mod corpus;
pub mod debezium;
pub mod difference;
pub mod recording;
pub mod report;
pub mod review;
pub mod run;
pub mod topic;
