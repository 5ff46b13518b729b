//! The binary: so far only the documents that the program writes about itself.
//!
//! Owns the command line. Never: protocol details.

mod metrics;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

/// Change data capture for PostgreSQL: every committed change, in Kafka, exactly once.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a document that is written from the code
    #[command(subcommand, hide = true)]
    Docs(Document),
}

#[derive(Subcommand)]
enum Document {
    /// docs/METRICS.md
    Metrics,
}

fn main() -> ExitCode {
    let Command::Docs(Document::Metrics) = Arguments::parse().command;
    match std::io::stdout().write_all(metrics::document().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
