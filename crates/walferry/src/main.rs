//! The binary: command line, configuration, admin HTTP, logs.
//!
//! Owns exit statuses and what is written to standard output and standard error. Never: protocol details; the pipeline
//! does the work.
//! Start reading at [`run`], then `commands::run`.

mod admin;
mod bars;
mod certificates;
mod command_line;
mod commands;
mod configuration;
mod failure;
mod logs;
mod metrics;
mod migrate;
mod output;
mod quantity;
mod runbooks;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use walferry_event::Code;

use walferry_operations::replay::Replay;

pub(crate) use failure::Failure;
pub(crate) use output::{print, tell};

use command_line::{Checkpoint, Command, CommandLine, Document, Migrate, Schema};
use commands::check::Form;

/// How far this process stands back behind the servers of its machine (`nice(2)`): what it asks of them comes first.
const GIVES_WAY: i32 = 5;

fn main() -> ExitCode {
    walferry_pipeline::give_back_large_buffers();
    // Threads have what the thread has that begins them. To ask for less is never refused.
    let _ = rustix::process::nice(GIVES_WAY);
    let line = match CommandLine::of_process() {
        Ok(line) => line,
        Err(error) => return misused(&error),
    };
    let outcome = run(line);
    walferry_pipeline::wait_for_clients();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                // Who closed standard error does not want to know.
                let _ = writeln!(io::stderr(), "error: {}", failure.message);
            }
            ExitCode::from(failure.status)
        }
    }
}

/// What is said of a command line that is none, or asks for help. An argument is repeated without the password in it; help repeats
/// none, and the form of a URL that it shows is no password.
fn misused(error: &clap::Error) -> ExitCode {
    let said = error.render().to_string();
    let shown = walferry_event::without_userinfo(&said);
    if !error.use_stderr() {
        error.exit();
    }
    let _ = match shown == said {
        true => error.print(),
        false => write!(io::stderr(), "{shown}"),
    };
    let _ = writeln!(io::stderr(), "[{}]", Code::CommandLine);
    ExitCode::from(2)
}

fn run(line: CommandLine) -> Result<(), Failure> {
    match line.command {
        Command::Estimate {
            config,
            source,
            seconds,
            json,
        } => commands::estimate::run(config.as_deref(), source.as_deref(), seconds, json),
        Command::Init { arguments } => commands::init::run(arguments),
        Command::Resync { file, tables } => commands::resync::run(&file.path, tables),
        Command::Replay {
            file,
            table,
            leave,
            json,
        } => commands::replay::run(&file.path, Replay { table, leave }, json),
        Command::Run {
            path,
            adopt_slot,
            with_snapshot,
        } => commands::run::run(&path, adopt_slot, with_snapshot),
        Command::Check {
            file,
            fix_sql,
            fix_kafka,
            json,
        } => {
            let form = match (fix_sql, fix_kafka, json) {
                (true, ..) => Form::Sql,
                (_, true, _) => Form::Kafka,
                (_, _, true) => Form::Json,
                _ => Form::Text,
            };
            commands::check::run(&file.path, form)
        }
        Command::Trace { arguments } => commands::trace::run(arguments),
        Command::Audit { file, arguments } => commands::audit::run(&file.path, arguments),
        Command::Tail {
            config,
            source,
            tables,
        } => commands::tail::run(config.as_deref(), source.as_deref(), tables),
        Command::Status {
            process,
            watch,
            json,
        } => commands::status::run(&process, watch, json),
        Command::Checkpoint(Checkpoint::Show { file }) => commands::checkpoint::show(&file.path),
        Command::Checkpoint(Checkpoint::Set { lsn, file, consent }) => {
            commands::stopped::set(&file.path, &lsn, consent.yes)
        }
        Command::Checkpoint(Checkpoint::Clear { file, consent }) => {
            commands::stopped::clear(&file.path, consent.yes)
        }
        Command::Drop { file, consent } => commands::stopped::remove(&file.path, consent.yes),
        Command::Pause { process } => commands::pause::pause(&process),
        Command::Resume { process } => commands::pause::resume(&process),
        Command::Snapshot(command) => commands::snapshot::run(command),
        Command::Schema(Schema::Show { tables }) => commands::schema::show(&tables),
        Command::Schema(Schema::Diff { tables }) => commands::schema::diff(&tables),
        Command::Schema(Schema::Plan {
            file,
            ddl,
            source,
            json,
        }) => commands::schema::plan(&file.path, &ddl, source.as_deref(), json),
        Command::Schema(Schema::Approve { table, process }) => {
            commands::schema::approve(&table, &process)
        }
        Command::Migrate(Migrate::Debezium { file }) => commands::migrate::debezium(&file),
        Command::Explain { code, json } => commands::explain::run(code.as_deref(), json),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command_line::command(), "walferry", &mut text);
            print(&text)
        }
        Command::Man => {
            let mut command = command_line::command();
            command.build();
            let mut text = Vec::new();
            manual(&command, &mut text).map_err(anyhow::Error::from)?;
            print(&text)
        }
        Command::Docs(document) => {
            let text = match document {
                Document::Config => configuration::document::document(),
                Document::Errors => commands::explain::document(),
                Document::Metrics => metrics::document(),
            };
            print(text.as_bytes())
        }
    }
}

/// The manual page of a command, and then those of its own commands.
fn manual(command: &clap::Command, text: &mut Vec<u8>) -> io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    let shown = |it: &&clap::Command| !it.is_hide_set() && it.get_name() != "help";
    command
        .get_subcommands()
        .filter(shown)
        .try_for_each(|it| manual(it, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_tells_of_every_command() {
        let mut command = command_line::command();
        command.build();
        let mut text = Vec::new();
        manual(&command, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for part in [
            "fix\\-sql",
            "adopt\\-slot",
            "walferry\\-schema\\-approve",
            "walferry init \\-\\-source",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
