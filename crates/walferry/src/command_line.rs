//! The command line.
//!
//! Owns its words; its examples are in `examples`.

mod examples;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

/// The command line, with its examples.
pub(crate) fn command() -> clap::Command {
    examples::with_examples(CommandLine::command(), "")
}

/// Change data capture for PostgreSQL: every committed change, in Kafka, exactly once, and you can check it.
#[derive(Debug, Parser)]
#[command(name = "walferry", version, propagate_version = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl CommandLine {
    /// As it was typed.
    pub(crate) fn of_process() -> Result<CommandLine, clap::Error> {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a first configuration file from the tables of a database, and print the SQL of a role that may follow them
    Init {
        #[command(flatten)]
        arguments: InitArguments,
    },
    /// Forecast a connector's load from a minute of a temporary slot: decodes and encodes to nowhere; needs PostgreSQL only
    Estimate {
        /// Take source, tables and, where it exists, the publication from a configuration file
        #[arg(
            short,
            long,
            value_name = "FILE",
            conflicts_with = "source",
            required_unless_present = "source"
        )]
        config: Option<PathBuf>,
        /// postgresql://user@host:port/database; the role has to own the tables, for a publication is made for the time being
        #[arg(long, value_name = "URL")]
        source: Option<String>,
        /// How long to measure; Ctrl-C ends it sooner, with what was measured until then
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run one connector, or one per *.toml of a folder
    Run {
        /// Configuration file of a connector, or a folder with one *.toml for each
        #[arg(short = 'c', long = "config", value_name = "FILE|DIR")]
        path: PathBuf,
        /// Take over a slot that exists while there is no checkpoint; what is before its position is not published
        #[arg(long)]
        adopt_slot: bool,
        /// With --adopt-slot: read every table beside the stream, so that what is before the slot's position is published too
        #[arg(long, requires = "adopt_slot")]
        with_snapshot: bool,
    },
    /// Look at everything that a run needs, and say what it would do; changes nothing
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Print only the SQL that mends the source; again after it has run, until nothing is printed
        #[arg(long, conflicts_with = "json")]
        fix_sql: bool,
        /// Print only the lines of Kafka's tools that mend topics and rights; again after they have run, until nothing is printed
        #[arg(long, conflicts_with_all = ["json", "fix_sql"])]
        fix_kafka: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare tables and topics at one moment, key by key; changes nothing
    Audit {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        arguments: AuditArguments,
    },
    /// Show where a transaction is: topics, partitions, offsets and times, or the stage that it waits in; fails when it is in no topic
    Trace {
        #[command(flatten)]
        arguments: TraceArguments,
    },
    /// Encode what the dead-letter topic holds again, and publish it, once; may run beside the connector
    Replay {
        #[command(flatten)]
        file: ConfigFile,
        /// One table alone, as schema.table
        #[arg(long, value_name = "TABLE")]
        table: Option<String>,
        /// Leave letters behind for good that still cannot be encoded; else they keep those behind them back
        #[arg(long)]
        leave: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// After changes were lost: take a new slot, read the tables again, delete what is gone from them, and end. Consumers keep
    /// their topics
    Resync {
        #[command(flatten)]
        file: ConfigFile,
        /// Each as schema.table, while the slot is as it should be; all tables, with a new slot, when none is given
        #[arg(value_name = "TABLE")]
        tables: Vec<String>,
    },
    /// Print changes as JSON lines from a temporary slot; needs PostgreSQL only
    Tail {
        /// Take source, tables and, where it exists, the publication from a configuration file
        #[arg(short, long, value_name = "FILE", conflicts_with_all = ["source", "tables"], required_unless_present = "source")]
        config: Option<PathBuf>,
        /// postgresql://user@host:port/database; the role has to own the tables, for a publication is made for the time being
        #[arg(long, value_name = "URL")]
        source: Option<String>,
        /// Globs of schema.table; all tables when none is given
        #[arg(long, value_name = "GLOB", num_args = 1..)]
        tables: Vec<String>,
    },
    /// Show what a running process is doing
    Status {
        #[command(flatten)]
        process: Running,
        /// Ask again every second
        #[arg(long)]
        watch: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold publishing at the end of a transaction; the session to PostgreSQL stays alive, and the slot keeps the WAL
    Pause {
        #[command(flatten)]
        process: Running,
    },
    /// Let publishing go on
    Resume {
        #[command(flatten)]
        process: Running,
    },
    /// The position in Kafka
    #[command(subcommand)]
    Checkpoint(Checkpoint),
    /// Remove slot, publication and checkpoint of a connector that does not run; topics and schemas stay
    Drop {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        consent: Consent,
    },
    /// Snapshots of a running process
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// The Avro schemas of the tables
    #[command(subcommand)]
    Schema(Schema),
    /// Translate the configuration of another connector; prints a file for this one
    #[command(subcommand)]
    Migrate(Migrate),
    /// Tell the cause and the remedy of an error code; without one, list them all
    Explain {
        /// As in a message: WF and four digits
        #[arg(value_name = "CODE")]
        code: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print a document that is written from the code
    #[command(subcommand, hide = true)]
    Docs(Document),
}

/// What a first configuration is made of.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// postgresql://user:password@host:port/database, as a role that sees the tables; the file is for a role of its own
    #[arg(long, value_name = "URL")]
    pub(crate) source: String,
    /// Where the file goes; - for standard output, with the SQL as comments behind it. Default: the connector's name with .toml
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// The connector's name: lower-case letters, digits and _. Default: the database's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Kafka's brokers: host:port, several separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
    /// The schema registry
    #[arg(long, value_name = "URL")]
    pub(crate) registry: Option<String>,
    /// The role that the connector will have
    #[arg(long, value_name = "ROLE", default_value = "walferry")]
    pub(crate) role: String,
    /// Globs of schema.table to follow; all that can be followed when none is given
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    pub(crate) tables: Vec<String>,
    /// Print the survey, the SQL and the file as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a configuration comes from.
#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Debezium's PostgreSQL connector; every property without a counterpart is listed in the comments
    Debezium {
        /// JSON, or Java properties; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What to do with the position.
#[derive(Debug, Subcommand)]
pub(crate) enum Checkpoint {
    /// Print the checkpoint record
    Show {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Move the position of a connector that does not run: what is passed over is never published, and what is gone back
    /// over is published again
    Set {
        /// All that was committed before it is taken to be in the topics, and nothing after
        #[arg(value_name = "LSN")]
        lsn: String,
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        consent: Consent,
    },
    /// Delete the checkpoint record: the next run begins anew, or refuses when the slot is still there
    Clear {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        consent: Consent,
    },
}

/// What to do about snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Read tables again while the stream runs; prints the snapshot's id
    Start {
        /// Each as schema.table
        #[arg(required = true, value_name = "TABLE")]
        tables: Vec<String>,
        /// Only rows that fit this SQL condition; names outside pg_catalog need their schema
        #[arg(long = "where", value_name = "SQL")]
        condition: Option<String>,
        /// Snapshots with a higher one are read first
        #[arg(
            long,
            value_name = "NUMBER",
            default_value_t = 0,
            allow_negative_numbers = true
        )]
        priority: i32,
        #[command(flatten)]
        process: Running,
    },
    /// List snapshots: id, table, state, rows, rows estimated
    List {
        #[command(flatten)]
        process: Running,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold a snapshot, over restarts too
    Pause {
        /// As start has printed it
        id: String,
        #[command(flatten)]
        process: Running,
    },
    /// Let a snapshot go on that is held
    Resume {
        /// As start has printed it
        id: String,
        #[command(flatten)]
        process: Running,
    },
    /// End a snapshot; what it has published stays
    Cancel {
        /// As start has printed it
        id: String,
        #[command(flatten)]
        process: Running,
    },
}

/// That it is meant.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// The connector's name, instead of the question for it
    #[arg(long, value_name = "NAME")]
    pub(crate) yes: Option<String>,
}

/// Which running process.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// Configuration file of the connector, for its name, admin.listen and admin.token
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Its admin server: a URL, or host:port; 127.0.0.1:9464 when neither is given. The token is also taken from WALFERRY_TOKEN
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<String>,
}

/// What to do about the tables' schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Print the schemas as they would be
    Show {
        #[command(flatten)]
        tables: Tables,
    },
    /// Compare them with the registry; fails when it would refuse one
    Diff {
        #[command(flatten)]
        tables: Tables,
    },
    /// Try a migration, roll it back, and show what it would do to each subject; fails when the registry would refuse it
    Plan {
        #[command(flatten)]
        file: ConfigFile,
        /// SQL script of the migration, - for standard input; tried in one transaction, so it holds its locks for as long
        #[arg(long, value_name = "FILE")]
        ddl: PathBuf,
        /// Role and database to try it as, when the connector's role may not alter the tables
        #[arg(long, value_name = "URL")]
        source: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a parked table go on: its schema is registered whatever the subject's compatibility level says
    Approve {
        /// schema.table
        table: String,
        #[command(flatten)]
        process: Running,
    },
}

/// Documents that are written from the code.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Document {
    /// docs/CONFIG.md
    Config,
    /// docs/ERRORS.md
    Errors,
    /// docs/METRICS.md
    Metrics,
}

/// What to audit.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// schema.table; every table of the connector when none is given
    #[arg(value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Read at most this many rows a second
    #[arg(long, value_name = "ROWS")]
    pub(crate) rate: Option<u64>,
    /// Seconds that the connector may stand still before the audit gives up
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        overrides_with = "patience"
    )]
    pub(crate) patience: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to look for.
#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// LSN of a change or a commit, id of a transaction, or columns of a key as JSON, of which the newest changes are shown
    #[arg(value_name = "LSN|XID|KEY")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Look in the topic of one table alone, as schema.table
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Records to look at in a partition, around where it is likely; of a key, back from the end
    #[arg(long, value_name = "RECORDS", default_value_t = 50_000)]
    pub(crate) records: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which tables' schemas.
#[derive(Debug, Args)]
pub(crate) struct Tables {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Globs of schema.table; all that are followed when none is given
    #[arg(value_name = "TABLE")]
    pub(crate) globs: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which connector.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file of the connector
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::{command, examples::EXAMPLES};

    fn shown(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        assert!(
            command.get_after_help().is_some(),
            "walferry {path} has no example"
        );
        found.push(path.to_owned());
        let all = command.get_subcommands();
        for it in all.filter(|it| !it.is_hide_set() && it.get_name() != "help") {
            let path = format!("{path} {}", it.get_name());
            shown(it, path.trim_start(), found);
        }
    }

    /// The words of a line up to a pipe, as a shell has them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                '|' | '>' if !quoted && words.last().is_some_and(String::is_empty) => break,
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|it| !it.is_empty());
        words
    }

    #[test]
    fn every_command_has_examples_and_each_can_be_parsed() {
        let mut found = Vec::new();
        shown(&command(), "", &mut found);
        for (path, examples) in EXAMPLES {
            assert!(
                found.contains(&(*path).to_owned()),
                "there is no walferry {path}"
            );
            for (line, _) in *examples {
                let words = words(line);
                let parsed = command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                assert!(
                    words[1..].join(" ").starts_with(path),
                    "{line} is no example of {path}"
                );
            }
        }
    }
}
