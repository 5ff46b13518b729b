//! Drives the binary, breaks what it talks to, and checks what it has published.
//!
//! Owns: [`process`] (the binary as a child), [`load`] (what writes into PostgreSQL), [`proxy`] and [`fake_registry`] (faults),
//! [`topics`] (what a consumer reads), [`checker`] (whether that is right). The servers are those of `walferry-stack`.
//! Never: shipped; named by a crate that ships.
//! Start reading at [`process::Walferry`], then [`checker::Checker`].

pub mod checker;
pub mod fake_registry;
pub mod load;
pub mod process;
pub mod proxy;
pub mod topics;
