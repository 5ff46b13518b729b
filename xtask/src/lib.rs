//! What the development commands are made of; `main.rs` is only their command line.
//!
//! Owns: [`commands`] (what each command does) and [`house`] (the rules of this source tree).
//! Never: shipped. It builds in seconds and without C code, so that it can provide what the rest needs.
//! Start reading at [`commands`].

pub mod commands;
pub mod house;
mod step;
