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
//! | the same of an array, a composite, a vector or a geometry | the same | the placeholder's text, in a branch for it |
//! | an array of several dimensions | NULLs, or names of Java objects | nested arrays as deep as declared |
//! | an array of undeclared dimensions or with lower bounds | the same; bounds are dropped | its PostgreSQL text, in a branch for it |
//! | NULL in an array of enums | the whole array NULL, or the task dies | NULL in an array of optional elements |
//! | `int2vector`, `oidvector` | no elements; left out | arrays of their integers |
//! | a composite | left out | a record |
//! | arrays of money, name, interval, varbit, xml, point, composites, domains | left out | arrays of the element's form |
//! | a `varbit` that begins with a zero | the zeros are lost | its PostgreSQL text, in a branch for it |
//! | an empty `varbit(1)` | NULL | the same |
//! | `bit[]` | NULL under the schema of one `bit` | an array |
//! | `name` in the stream | NULL | its text |
//! | a date before 1582 in a snapshot | another day | the day |
//! | a label that an enum array's type got later | `allowed` does not name it | `allowed` names it |
//! | `hstore` as JSON | in the order of a Java hash table | in PostgreSQL's order |
//! | `sparsevec` of more than 32767 dimensions | overflows | numbers of 32 bits |
//! | a default that JSON cannot hold (NaN) | text in a number's place | no default |
//! | a type without a mapping | the column is left out | its PostgreSQL text |
//! | names that Avro does not allow in a namespace | written as they are | adjusted as field names are |
//!
//! Start reading at [`plan`](EncodePlan), then `mapping`, then `writer`.
//! Sources: Avro specification 1.12, "Binary Encoding"; Confluent wire format (magic 0, id, body).

mod array_text;
mod bits;
mod bytea;
mod civil;
mod composite_text;
mod containers;
mod debezium_values;
mod default;
mod digest;
mod envelope;
mod error;
mod format;
mod geometry;
mod hstore;
mod interval;
mod java;
mod json;
mod key_json;
mod labels;
mod mapping;
mod merging;
mod message;
mod money;
mod names;
mod numeric;
mod plan;
mod quirks;
mod schema;
mod temporal;
mod transaction;
mod treatment;
mod unknown_word;
mod vector;
mod wire;
mod writer;

pub use digest::{
    Envelope as RecordEnvelope, EnvelopeReader, KeyReader, OperationReader, ReadError, table_digest,
};
pub use error::{EncodeError, EncodeErrorKind, Error};
pub use format::{
    BinaryMode, DecimalMode, Envelope, Format, FunctionDefaults, HstoreMode, IntervalMode, Naming,
    PHYSICAL_TABLE, TimeMode,
};
pub use merging::{Loss, merged_keys, merges};
pub use message::MessagePlan;
pub use plan::{EncodePlan, Row};
pub use quirks::{Quirk, Quirks};
pub use transaction::{TransactionPlan, transaction_id};
pub use treatment::{Mask, Treatment, Treatments};
pub use unknown_word::UnknownMode;
