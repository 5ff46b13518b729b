//! The publisher against real brokers: what the fake broker of the unit tests takes for granted.
//!
//! Owns: nothing but this table of contents. Never: PostgreSQL.
//! Start reading at `publishing`.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test")]

mod faults;
mod place;
mod publishing;
mod sizes;
mod topics;
