//! PostgreSQL types to Avro schemas, and rows to Avro bytes by plans compiled once.
//!
//! Owns: [`EncodePlan`], which is compiled once for each relation version and then takes rows from
//! PostgreSQL's text form straight to Avro's binary form, and [`Format`], the choices it obeys.
//! Never: I/O, clocks, a value tree, an allocation for each column, a panic on any bytes of a row.
//! Invariants: every record decodes with the plan's schema alone; what is written between the call
//! and its error is the caller's to truncate; a value that Avro cannot hold is an error that names
//! its column, never another value.
//!
//! The record shapes are Debezium's (its 3.7 line, through Confluent's Avro converter): names,
//! namespaces, `connect.*` properties, defaults and field order. Where that connector loses or bends
//! a value, this crate does not; the module that handles the type says what it does instead:
//!
//! | value | Debezium | here |
//! |---|---|---|
//! | NULL in a nullable column that has a default | the default | NULL |
//! | `numeric` NaN or infinity as `bytes` | NULL, or the task dies | an error, by the table's policy |
//! | `numeric(5,-2)` | scale 2046 | scale 0, precision 7 |
//! | `date` infinity | two arbitrary days | the ends of `int`, in the right order |
//! | `time '24:00:00'` as text | `00:00:00Z` | `24:00:00Z` |
//! | `timestamp` or `date` infinity as text | a far date | `infinity`, `-infinity` |
//! | `timestamp` beyond 64 bits of its unit | wraps round | an error, by the table's policy |
//! | unchanged TOAST of a type without a placeholder | NULL, or the task dies | an error |
//! | a default that JSON cannot hold (NaN) | text in a number's place | no default |
//! | a type without a mapping | the column is left out | its PostgreSQL text |
//! | names that Avro does not allow in a namespace | written as they are | adjusted as field names are |
//!
//! Start reading at [`plan`](EncodePlan), then `mapping`, then `writer`.
//! Sources: Avro specification 1.12, "Binary Encoding"; Confluent wire format (magic 0, id, body).

mod bytea;
mod civil;
mod default;
mod envelope;
mod error;
mod format;
mod java;
mod key_json;
mod mapping;
mod names;
mod numeric;
mod plan;
mod quirks;
mod schema;
mod temporal;
mod wire;
mod writer;

pub use error::{EncodeError, EncodeErrorKind, Error};
pub use format::{
    BinaryMode, DecimalMode, Envelope, Format, FunctionDefaults, HstoreMode, IntervalMode, Naming,
    TimeMode, UnknownMode,
};
pub use plan::{EncodePlan, Row};
pub use quirks::{Quirk, Quirks};
