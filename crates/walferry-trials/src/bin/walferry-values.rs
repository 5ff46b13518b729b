//! Random values of every type, in every mode, against what PostgreSQL's own casts say of them.
//!
//! Owns: servers of its own, the command line, the figures. Exit status 0 only when there is no difference.
//!
//! `walferry-values [--seed N] [--rows N] [--modes NAME,NAME] [--postgres MAJOR]`

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use walferry_stack::{POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::process::{Arguments, print_line};
use walferry_trials::values::{Campaign, MODES};

/// With eight columns or more, 200 000 values of a family.
const ROWS: u64 = 25_000;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print_line(&format!("values failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let arguments = Arguments::of_this_program(&["seed", "rows", "modes", "postgres"], &[])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = arguments.value("seed", u64::from(now))?;
    let rows = arguments.value("rows", ROWS)?;
    let wanted = arguments.list("modes");
    print_line(&format!(
        "seed {seed}; again with: cargo xtask values --seed {seed} --rows {rows}"
    ));
    let stack = Stack::start(arguments.value("postgres", POSTGRES_MAJOR_DEFAULT)?)?;
    let campaign = Campaign::create(&stack.coordinates(), "random_values", seed, rows)?;
    let begun = Instant::now();
    campaign.fill()?;
    let (mut compared, mut differences) = (0, 0);
    for modes in MODES
        .iter()
        .filter(|it| wanted.is_empty() || wanted.iter().any(|name| name == it.name))
    {
        for outcome in campaign.run(modes)? {
            print_line(&format!(
                "{:<12} {:<16} compared {}, differences {}",
                outcome.modes, outcome.family, outcome.compared, outcome.differences
            ));
            for example in &outcome.examples {
                print_line(&format!("    {example}"));
            }
            compared += outcome.compared;
            differences += outcome.differences;
        }
    }
    print_line(&format!(
        "compared {compared} values in {} s, differences {differences}",
        begun.elapsed().as_secs()
    ));
    Ok(differences == 0)
}
