//! Speed, each figure beside its ceiling in one run: the drain of a backlog, freshness at a pace, snapshots.
//!
//! Owns: servers of its own and what the measurements share. The measurements are [`drain`], [`latency`] and [`snapshot`].
//!
//! `walferry-bench [drain|latency|snapshot] [--rows N] [--rounds N] [--postgres MAJOR] [--latency-seconds N] [--rates N,N]
//! [--only speed,tables,wide,freshness] [--keep]`

mod drain;
mod latency;
mod snapshot;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use walferry_stack::{POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::checker::Session;
use walferry_testkit::load::{self, bench};
use walferry_testkit::process::{Arguments, Settings, Walferry, machine_cores, print_line};

const READY: Duration = Duration::from_secs(60);
/// The pause between two questions for the committed end of a topic.
const ASK_EVERY: Duration = Duration::from_millis(25);

const NAMES: &[&str] = &[
    "rows",
    "rounds",
    "postgres",
    "latency-seconds",
    "rates",
    "only",
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("bench failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    stack: Stack,
    url: String,
    folder: PathBuf,
}

fn run() -> Result<()> {
    let words = ["drain", "latency", "snapshot"];
    let (word, arguments) = Arguments::after_word(&words, NAMES, &["keep"])?;
    let chosen = |name: &str| word.as_ref().is_none_or(|word| word == name);
    let rounds: usize = arguments.value("rounds", 3)?;
    let seconds: u64 = arguments.value("latency-seconds", 20)?;
    let mut rates = arguments.list("rates");
    if rates.is_empty() {
        rates = ["1000", "5000", "10000"].map(str::to_owned).to_vec();
    }
    let stack = Stack::start(arguments.value("postgres", POSTGRES_MAJOR_DEFAULT)?)?;
    let url = load::create_database(&stack.postgres.url(), "bench")?;
    let folder = std::env::temp_dir().join(format!("walferry-bench-{}", std::process::id()));
    let bench = Bench { stack, url, folder };
    bench::create_table(&bench.url)?;
    Session::connect(&bench.url)?.execute("create publication bare for table public.bench")?;
    print_line(&format!(
        "{} cores; servers, load and Walferry share them; PostgreSQL {}",
        machine_cores(),
        Session::connect(&bench.url)?
            .value("show server_version")?
            .unwrap_or_default()
    ));
    if chosen("drain") {
        bench.drain(arguments.value("rows", 1_000_000)?, rounds)?;
    }
    if chosen("latency") {
        for rate in rates {
            let rate = rate
                .parse()
                .with_context(|| format!("{rate:?} is no rate"))?;
            bench.latency(rate, seconds)?;
        }
    }
    if chosen("snapshot") {
        let only = arguments.list("only");
        let part = |name: &str| only.is_empty() || only.iter().any(|part| part == name);
        let rows = arguments.value("rows", 2_000_000)?;
        if part("speed") {
            bench.snapshot_speed(rows, rounds)?;
        }
        if part("tables") {
            bench.snapshot_of_tables(200, 1_000)?;
        }
        if part("wide") {
            bench.snapshot_of_wide_rows()?;
        }
        if part("freshness") {
            bench.freshness_beside_a_snapshot(rows, 1_000, seconds)?;
        }
    }
    if arguments.has("keep") {
        print_line(&format!("logs are in {}", bench.folder.display()));
    } else {
        let _ = std::fs::remove_dir_all(&bench.folder);
    }
    Ok(())
}

impl Bench {
    fn settings_of(&self, name: &str, tables: &[&str]) -> Result<Settings> {
        let (brokers, registry) = (self.stack.kafka.brokers(), self.stack.registry.url());
        Settings::new(name, &self.url, tables, &brokers, name, &registry)
    }

    fn settings(&self, name: &str) -> Result<Settings> {
        let mut settings = self.settings_of(name, &["public.bench"])?;
        settings.set_text("snapshot.mode", "never");
        Ok(settings)
    }

    /// Starts a connector that has nothing to do yet and stops it, so that its slot and checkpoint exist.
    fn prepare(&self, name: &str) -> Result<Settings> {
        let settings = self.settings(name)?;
        let mut walferry = Walferry::start(&settings, &self.folder)?;
        walferry.wait_ready(READY);
        walferry.sigterm();
        match walferry.wait_exit(READY) {
            Some(0) => Ok(settings),
            code => bail!(
                "walferry ended with {code:?} on SIGTERM\n{}",
                walferry.log_tail()
            ),
        }
    }

    fn drop_slot(&self, connector: &str) -> Result<()> {
        load::drop_slot(&self.url, &format!("walferry_{connector}"))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
