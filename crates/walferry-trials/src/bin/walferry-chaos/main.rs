//! Kills Walferry (and, if asked, its servers) at random moments under a mixed load, and checks that every committed
//! change is in Kafka exactly once and in order.
//!
//! Owns: servers of its own, what the campaigns share. [`stream`] kills a connector that streams, [`snapshot`] one that
//! takes snapshots, [`resync`] one that reads its tables again after changes were lost, [`outages`] kills nothing and takes each server away. Exit status 0 only when all counts are zero.
//!
//! `walferry-chaos [stream|snapshot|resync|outages] [--seed N] [--kills N] [--minutes N] [--servers postgres,kafka,registry] [--rate N]
//! [--writers N] [--postgres MAJOR] [--truncate] [--keep]`; of snapshots and resyncs also `[--rows N] [--down SECONDS]`,
//! of outages `[--down SECONDS] [--times N] [--kinds KIND,…] [--together]`

mod outages;
mod plan;
mod resync;
mod snapshot;
mod stream;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use walferry_stack::{POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::load::MixedOptions;
use walferry_testkit::process::{Arguments, print_line};

use plan::Plan;

const NAMES: &[&str] = &[
    "seed", "kills", "minutes", "servers", "rate", "writers", "postgres", "rows", "down", "times",
    "kinds",
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print_line(&format!("chaos failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let (word, arguments) = Arguments::after_word(
        &["stream", "snapshot", "resync", "outages"],
        NAMES,
        &["truncate", "keep", "together"],
    )?;
    let word = word.unwrap_or_else(|| "stream".to_owned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = arguments.value("seed", u64::from(now))?;
    let minutes: f64 = arguments.value("minutes", 0.0)?;
    let kills = if word == "stream" { 100 } else { 60 };
    let plan = Plan {
        seed,
        kills: arguments.value("kills", if minutes > 0.0 { u32::MAX } else { kills })?,
        until: (minutes > 0.0).then(|| Duration::from_secs_f64(minutes * 60.0)),
        servers: arguments.list("servers"),
        mixed: MixedOptions {
            seed,
            writers: arguments.value("writers", 3)?,
            transactions_per_second: Some(arguments.value("rate", 150.0)?),
            truncate: arguments.has("truncate"),
            ..MixedOptions::default()
        },
        rows: arguments.value("rows", if word == "resync" { 20_000 } else { 200_000 })?,
        down: Duration::from_secs_f64(arguments.value("down", 3.0)?),
        times: arguments.value("times", 1)?,
        kinds: arguments.list("kinds"),
        together: arguments.has("together"),
    };
    print_line(&format!(
        "seed {seed}; again with: cargo xtask chaos {word} --seed {seed}"
    ));
    let mut stack = Stack::start(arguments.value("postgres", POSTGRES_MAJOR_DEFAULT)?)?;
    let folder = std::env::temp_dir().join(format!("walferry-chaos-{}", std::process::id()));
    let outcome = match word.as_str() {
        "stream" => stream::campaign(&plan, &mut stack, &folder),
        "resync" => resync::campaign(&plan, &stack, &folder),
        "outages" => outages::campaign(&plan, &stack, &folder),
        _ => snapshot::campaigns(&plan, &mut stack, &folder),
    };
    if arguments.has("keep") || !matches!(outcome, Ok(true)) {
        print_line(&format!("the log of every run is in {}", folder.display()));
    } else {
        let _ = std::fs::remove_dir_all(&folder);
    }
    outcome
}
