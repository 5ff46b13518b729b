//! Harness for tests: real servers, a fault proxy and the checker.
//!
//! Owns: [`stack`] (PostgreSQL, Kafka and a schema registry as native processes).
//! Never: shipped; named by a crate that ships.
//! Start reading at [`stack`].

pub mod stack;

#[cfg(feature = "full")]
pub mod checker;
#[cfg(feature = "full")]
pub mod compat;
#[cfg(feature = "full")]
pub mod fake_registry;
#[cfg(feature = "full")]
pub mod history;
#[cfg(feature = "full")]
pub mod load;
#[cfg(feature = "full")]
pub mod process;
#[cfg(feature = "full")]
pub mod proxy;
#[cfg(feature = "full")]
pub mod topics;
#[cfg(feature = "full")]
pub mod values;
