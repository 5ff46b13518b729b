//! What an operator does beside a connector, one module for each: it asks the same servers, and needs no connector that runs.
//!
//! Owns the answers behind `walferry init`, `estimate`, `check`, `audit`, `replay`, `schema`, `tail`, `trace` and the commands on a connector that is stopped.
//! Never: publishes beside a connector that runs; is seen by the pipeline.
//! Invariant: what is asked here of a table is asked through the pipeline's `tables`, so that an answer is what a start would find.
//! Start reading at the module of the command.

pub mod audit;
pub mod check;
pub mod estimate;
pub mod init;
pub mod replay;
pub mod schema;
pub mod stopped;
pub mod tail;
mod temporary;
pub mod trace;
