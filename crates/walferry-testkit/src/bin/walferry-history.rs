//! Random histories of DDL and DML with restarts at random points, each compared with the witness slot.
//!
//! Owns: servers of its own, one database for each seed, the verdict. Exit status 0 only when every count is zero.
//!
//! `walferry-history [--seeds N] [--first N] [--statements N] [--restart-every N] [--postgres MAJOR] [--keep]`

use std::process::ExitCode;

use anyhow::Result;
use walferry_testkit::history::{self, HistoryOptions};
use walferry_testkit::load;
use walferry_testkit::process::{Arguments, Settings, print_line};
use walferry_testkit::stack::{POSTGRES_MAJOR_DEFAULT, Stack};

const NAMES: &[&str] = &["seeds", "first", "statements", "restart-every", "postgres"];

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
    let stack = Stack::start(arguments.value("postgres", POSTGRES_MAJOR_DEFAULT)?)?;
    let folder = std::env::temp_dir().join(format!("walferry-history-{}", std::process::id()));
    let (brokers, registry) = (stack.kafka.brokers(), stack.registry.url());
    let (mut faults, mut failed) = (0, 0);
    for seed in first..first + seeds {
        let name = format!("history_{seed}");
        let url = load::create_database(&stack.postgres.url(), &name)?;
        let mut settings = Settings::new(&name, &url, &["public.*"], &brokers, &name, &registry)?;
        settings.set_text("snapshot.mode", "never");
        let options = HistoryOptions {
            seed,
            statements: arguments.value("statements", 300)?,
            restart_every: arguments.value("restart-every", 6)?,
        };
        match history::run(&options, &url, &settings, (&brokers, &registry), &folder) {
            Ok(outcome) => {
                let wrong = outcome.report.faults();
                print_line(&format!(
                    "seed {seed}: {} DDL, {} DML, {} kills, {} stops, {} events, {wrong} wrong",
                    outcome.ddl, outcome.dml, outcome.kills, outcome.stops, outcome.report.observed
                ));
                faults += wrong;
                if wrong > 0 {
                    failed += 1;
                    print_line(&outcome.report.to_string());
                    std::fs::write(folder.join(format!("{name}.sql")), &outcome.script)?;
                }
            }
            Err(error) => {
                failed += 1;
                print_line(&format!("seed {seed} failed: {error:#}"));
            }
        }
    }
    print_line(&format!(
        "{seeds} seeds, {failed} failed, {faults} wrong; again with: cargo xtask history --first {first} --seeds {seeds}"
    ));
    if failed > 0 || arguments.has("keep") {
        print_line(&format!("logs and scripts are in {}", folder.display()));
    } else {
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(failed == 0)
}
