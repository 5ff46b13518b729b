//! `cargo xtask`: every development command, for people and CI alike.
//!
//! Owns: the command line. Never: does anything itself; see `xtask::commands`.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use walferry_stack::{POSTGRES_MAJOR_DEFAULT, say};
use xtask::commands::{self, Versions};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Every development command of Walferry")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// PostgreSQL, Kafka and a schema registry for development
    #[command(subcommand)]
    Stack(StackCommand),
    /// Run all tests against real servers; what CI runs
    Test(TestArguments),
    /// Formatting, clippy, dependencies, documentation and the house rules
    Lint,
    /// Write the generated documents (docs/CONFIG.md, docs/ERRORS.md, docs/METRICS.md)
    Docs,
    /// Run each fuzz target for a while; needs a nightly compiler
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 600)]
        seconds: u32,
        /// One target alone
        target: Option<String>,
    },
    /// A small shop with a steady load, end to end, with a checked verdict
    Demo(Rest),
    /// Walferry beside a live Debezium over a corpus of SQL cases; writes docs/COMPAT.md
    ///
    /// --only GROUP,… and --case NAME,… choose; --replay compares with what is recorded of Debezium; --record renews that
    Compat(Rest),
    /// Speed, each figure beside its ceiling: drain, latency, snapshot; or micro, of a row alone
    Bench(Rest),
    /// Random histories of DDL and DML with restarts, compared with what PostgreSQL says itself
    History(Rest),
    /// Kill everything at random moments of a stream or of snapshots, and check that nothing is lost, doubled or reordered
    Chaos(Rest),
    /// Look at the page at `/` in a headless browser, in each of its states; an address is looked at, too
    Page(Rest),
    /// Random values of every type in every mode, against what PostgreSQL's own casts say of them
    Values(Rest),
}

#[derive(Subcommand)]
enum StackCommand {
    /// Start the servers and leave them running
    Up {
        /// PostgreSQL's major version
        #[arg(long, default_value_t = POSTGRES_MAJOR_DEFAULT,
              value_parser = clap::value_parser!(u32).range(14..=18))]
        postgres: u32,
    },
    /// End the servers and remove their data
    Down,
    /// Say where the servers answer
    Status,
}

#[derive(Args)]
struct TestArguments {
    /// PostgreSQL's major version, 14 to 18, or "all"
    #[arg(long, default_value = "17")]
    postgres: Versions,
    /// For `cargo test`: a filter, or options after another `--`
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Args)]
struct Rest {
    /// Handed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Stack(StackCommand::Up { postgres }) => commands::stack::up(postgres),
        Command::Stack(StackCommand::Down) => commands::stack::down(),
        Command::Stack(StackCommand::Status) => commands::stack::status(),
        Command::Test(arguments) => commands::test::run(arguments.postgres, &arguments.rest),
        Command::Lint => commands::lint::run(),
        Command::Docs => commands::docs::write(),
        Command::Fuzz { seconds, target } => commands::fuzz::run(seconds, target.as_deref()),
        Command::Demo(rest) => commands::program::run("walferry-demo", &rest.arguments),
        Command::Compat(rest) => commands::compat::run(&rest.arguments),
        Command::Bench(rest) if rest.arguments.first().is_some_and(|word| word == "micro") => {
            commands::program::micro()
        }
        Command::Bench(rest) => commands::program::run("walferry-bench", &rest.arguments),
        Command::History(rest) => commands::program::run("walferry-history", &rest.arguments),
        Command::Values(rest) => commands::program::run("walferry-values", &rest.arguments),
        Command::Page(rest) => commands::page::run(&rest.arguments),
        Command::Chaos(rest) => commands::program::run("walferry-chaos", &rest.arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
