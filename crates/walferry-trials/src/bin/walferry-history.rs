//! Random histories of DDL and DML with restarts at random points, each judged by the witness slot, by what the topics say in the
//! end, and by `walferry audit`.
//!
//! Owns: servers of its own, or those that the environment names; one database for each seed, the verdict. Exit status 0 only when
//! nothing is wrong.
//!
//! `walferry-history [--seeds N] [--first N] [--statements N] [--restart-every N] [--rows N] [--settle SECONDS] [--postgres MAJOR]
//! [--kinds KIND,…] [--snapshot never|consistent|beside|asked] [--keep]`

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use walferry_stack::{Coordinates, POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::load;
use walferry_testkit::process::{Arguments, Settings, print_line};
use walferry_trials::history::{self, HistoryOptions, Menu, Outcome, Snapshot};

const NAMES: &[&str] = &[
    "seeds",
    "first",
    "statements",
    "restart-every",
    "rows",
    "settle",
    "postgres",
    "kinds",
    "snapshot",
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print_line(&format!("history failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let arguments = Arguments::of_this_program(NAMES, &["keep"])?;
    let seeds: u64 = arguments.value("seeds", 20)?;
    let first: u64 = arguments.value("first", 1)?;
    let own = match Coordinates::from_environment() {
        Some(_) => None,
        None => Some(Stack::start(
            arguments.value("postgres", POSTGRES_MAJOR_DEFAULT)?,
        )?),
    };
    let servers = match &own {
        Some(stack) => stack.coordinates(),
        None => Stack::shared()?.clone(),
    };
    let folder = std::env::temp_dir().join(format!("walferry-history-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut sums = Sums::default();
    for seed in first..first + seeds {
        let options = options(&arguments, seed)?;
        let begun = Instant::now();
        let outcome = one(&options, &servers, &folder);
        sums.add(seed, begun.elapsed(), outcome, &folder)?;
    }
    let again = format!("cargo xtask history --first {first} --seeds {seeds}");
    print_line(&format!("{seeds} seeds, {sums}; again with: {again}"));
    if sums.failed > 0 || arguments.has("keep") {
        print_line(&format!("logs and scripts are in {}", folder.display()));
    } else {
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(sums.failed == 0)
}

fn options(arguments: &Arguments, seed: u64) -> Result<HistoryOptions> {
    let defaults = HistoryOptions::new(seed);
    let kinds = arguments.list("kinds");
    let snapshot: String = arguments.value("snapshot", String::new())?;
    let settle = arguments.value("settle", defaults.settle.as_secs_f64())?;
    Ok(HistoryOptions {
        statements: arguments.value("statements", defaults.statements)?,
        restart_every: match arguments.has("restart-every") {
            true => Some(arguments.value("restart-every", 0)?),
            false => None,
        },
        rows: arguments.value("rows", defaults.rows)?,
        settle: Duration::from_secs_f64(settle),
        kinds: match arguments.has("kinds") {
            true => Some(Menu::kinds_named(&kinds)?),
            false => None,
        },
        snapshot: match snapshot.as_str() {
            "" => None,
            named => Some(Snapshot::named(named)?),
        },
        ..defaults
    })
}

/// One history; whatever stops it is an error of this seed alone.
fn one(options: &HistoryOptions, servers: &Coordinates, folder: &Path) -> Result<Outcome> {
    let name = format!("history_{}_{}", options.seed, std::process::id());
    let url = load::create_database(&servers.postgres_url, &name)?;
    let (brokers, registry) = (
        servers.kafka_brokers.as_str(),
        servers.registry_url.as_str(),
    );
    let settings = Settings::new(&name, &url, &["public.*"], brokers, &name, registry)?;
    let run = || history::run(options, &url, &settings, (brokers, registry), folder);
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(anyhow!("{}", text.unwrap_or_default()))
    })
}

/// What all seeds came to.
#[derive(Default)]
struct Sums {
    failed: u32,
    kills: u32,
    statements: u32,
    told: usize,
    refusals: usize,
}

impl Sums {
    fn add(
        &mut self,
        seed: u64,
        took: Duration,
        outcome: Result<Outcome>,
        folder: &Path,
    ) -> Result<()> {
        let seconds = took.as_secs();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.failed += 1;
                let text = format!("{error:#}");
                std::fs::write(folder.join(format!("history_{seed}.txt")), &text)?;
                let line = text.lines().next().unwrap_or_default().to_owned();
                let end: Vec<&str> = text.lines().rev().take(4).collect();
                print_line(&format!(
                    "seed {seed} failed after {seconds} s: {line} … {end:?}"
                ));
                return Ok(());
            }
        };
        print_line(&format!("seed {seed}: {seconds} s, {outcome}"));
        self.kills += outcome.counts.kills;
        self.statements += outcome.ddl + outcome.dml;
        self.told += outcome.told().count();
        self.refusals += outcome.counts.refusals.len();
        for table in outcome.told() {
            let (agreement, reason) = (&table.agreement, table.told.as_deref());
            print_line(&format!(
                "  told: {agreement}: {}",
                reason.unwrap_or_default()
            ));
        }
        for refusal in &outcome.counts.refusals {
            print_line(&format!("  refused: {refusal}"));
        }
        let faults = outcome.faults();
        if !faults.is_empty() {
            self.failed += 1;
            for fault in &faults {
                print_line(&format!("  WRONG: {fault}"));
            }
            std::fs::write(folder.join(format!("history_{seed}.sql")), &outcome.script)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{} failed; {} statements, {} kills, {} tables told as incomplete, {} refusals",
            self.failed, self.statements, self.kills, self.told, self.refusals
        )
    }
}
