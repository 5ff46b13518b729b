//! Schema to id in a schema registry that speaks Confluent's API.
//!
//! Owns the memory of ids, the classification of the registry's answers and the verbose compatibility check. Never retries:
//! one call is one try within its timeout, and the caller decides by the error's disposition.
//! Invariant: an id is handed out only when the registry has said it.
//! Source: Confluent Schema Registry API reference, `/subjects`, `/compatibility`, `/schemas`.
//!
//! Start reading at [`Registry::register_all`].

mod base_url;
mod client;
mod config;
mod error;
mod ids;
mod mode;
mod subject;
mod version;

pub use base_url::{BaseUrl, Credentials};
pub use client::{Registry, Verdict};
pub use config::Config;
pub use error::Error;
pub use subject::{Lifted, Registered};
