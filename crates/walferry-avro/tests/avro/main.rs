//! Schemas against the dictionary's text, and every record decoded from its schema alone.
//!
//! | module | holds |
//! |---|---|
//! | `harness` | tables, records, and what apache-avro reads from them |
//! | `schemas` | schema text, property by property |
//! | `values` | one table of text and expected value for each type and mode |
//! | `scalars` | the same for intervals, money, bits, times with a zone, enums, and what goes out as text |
//! | `quirks` | each of Debezium's deviations, when it is asked for |
//! | `containers` | arrays, composites, hstore, geometry, vectors |
//! | `digests` | records taken apart, column by column |
//! | `flat` | the row itself with a few fields behind it |
//! | `events` | logical decoding messages, the transaction topic and block |
//! | `treatments` | columns that are left out or masked |
//! | `rows` | before and after, keys, unchanged TOAST, the source block |
//! | `properties` | random values against independent arithmetic, random bytes against panics |

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

mod containers;
mod digests;
mod events;
mod flat;
mod harness;
mod properties;
mod quirks;
mod rows;
mod scalars;
mod schemas;
mod treatments;
mod values;
