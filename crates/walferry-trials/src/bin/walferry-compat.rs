//! Compares Walferry with Debezium over the corpus, and writes what it finds.
//!
//! Owns: servers of its own, the order of the groups, the exit status: 0 only when every difference is one of the
//! reviewed list and every entry of the list is used.
//!
//! `walferry-compat [--only GROUP,…] [--case NAME,…] [--replay] [--record] [--document FILE]`
//!
//! Servers, and with `WALFERRY_TEST_CONNECT` the worker, may be named in the environment; then nothing is started.
//! `--replay` compares with the recordings instead of a live Debezium; `--record` writes them anew; the document is
//! written only by a run of all groups.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use walferry_stack::{ConnectServer, Coordinates, DEBEZIUM_VERSION, POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::process::{Arguments, print_line};
use walferry_trials::compat::corpus::{self, Group};
use walferry_trials::compat::recording;
use walferry_trials::compat::report::{self, Pass};
use walferry_trials::compat::review::Review;
use walferry_trials::compat::run::{self, Bench};

/// Root of the REST interface of a worker that runs already.
const WORKER_VARIABLE: &str = "WALFERRY_TEST_CONNECT";

fn main() -> ExitCode {
    match compared() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("compat failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn compared() -> Result<()> {
    let names = ["only", "case", "document"];
    let arguments = Arguments::of_this_program(&names, &["replay", "record"])?;
    let (only, cases) = (arguments.list("only"), arguments.list("case"));
    let groups = chosen(&only, &cases)?;
    let is_whole = only.is_empty() && cases.is_empty();
    if arguments.has("record") && (arguments.has("replay") || !cases.is_empty()) {
        bail!("--record needs a live Debezium and whole groups");
    }
    let stack = match Coordinates::from_environment() {
        Some(_) => None,
        None => Some(Stack::start(POSTGRES_MAJOR_DEFAULT)?),
    };
    let servers = match &stack {
        Some(stack) => stack.coordinates(),
        None => Coordinates::from_environment().context("no servers in the environment")?,
    };
    let given = std::env::var(WORKER_VARIABLE).ok();
    let server = match (arguments.has("replay"), &given) {
        (false, None) => Some(ConnectServer::start(&servers.kafka_brokers)?),
        _ => None,
    };
    let worker = given.or_else(|| server.as_ref().map(ConnectServer::url));
    let bench = Bench {
        servers: &servers,
        worker: worker.filter(|_| !arguments.has("replay")),
        folder: std::env::temp_dir().join(format!("walferry-compat-{}", std::process::id())),
    };
    let mut review = Review::load()?;
    let (mut all, mut none) = (Pass::new("all"), Pass::new("none"));
    let mut failed = Vec::new();
    for group in &groups {
        let compared = compare(
            &bench,
            group,
            arguments.has("record"),
            &mut review,
            &mut all,
            &mut none,
        );
        let outcome = match &compared {
            Ok(()) => format!("{} cases", group.cases.len()),
            Err(error) => format!("{error:#}"),
        };
        print_line(&format!("group {}: {outcome}", group.name));
        if compared.is_err() {
            failed.push(group.name.as_str());
        }
    }
    let unlisted: Vec<String> = [&all, &none]
        .iter()
        .flat_map(|pass| pass.unlisted())
        .collect();
    unlisted.iter().for_each(|line| print_line(line));
    let unused = review.unused();
    let is_whole = is_whole && failed.is_empty();
    for entry in unused.iter().filter(|_| is_whole) {
        print_line(&format!(
            "unused entry: {:?} {:?}: {}",
            entry.cases, entry.paths, entry.reason
        ));
    }
    print_line(&all.summary());
    print_line(&none.summary());
    let document: PathBuf = arguments.value("document", String::new())?.into();
    if is_whole && !document.as_os_str().is_empty() {
        std::fs::write(
            &document,
            report::document(&groups, &all, &none, DEBEZIUM_VERSION),
        )?;
    }
    if !failed.is_empty() {
        bail!(
            "groups that did not run to their end: {}",
            failed.join(", ")
        );
    }
    if !unlisted.is_empty() || (is_whole && !unused.is_empty()) {
        bail!(
            "{} unlisted differences, {} unused entries",
            unlisted.len(),
            unused.len()
        );
    }
    Ok(())
}

fn compare(
    bench: &Bench<'_>,
    group: &Group,
    record: bool,
    review: &mut Review,
    all: &mut Pass,
    none: &mut Pass,
) -> Result<()> {
    let published = bench.group(group)?;
    let mut debezium = match published.debezium {
        Some(live) => live,
        None => recording::load(&group.name)?,
    };
    debezium.retain(|(name, _)| {
        name == run::OTHERS || group.cases.iter().any(|case| case.name == *name)
    });
    if record {
        recording::save(&group.name, &debezium)?;
    }
    all.add(&group.name, &debezium, &published.all, review);
    none.add(&group.name, &debezium, &published.none, review);
    Ok(())
}

fn chosen(only: &[String], cases: &[String]) -> Result<Vec<Group>> {
    let mut groups = corpus::load()?;
    let chosen = |group: &Group| {
        only.iter()
            .any(|name| group.name.starts_with(name.as_str()))
    };
    groups.retain(|group| only.is_empty() || chosen(group));
    for group in &mut groups {
        group
            .cases
            .retain(|case| cases.is_empty() || cases.contains(&case.name));
    }
    groups.retain(|group| !group.cases.is_empty());
    groups.first().context("no such group or case")?;
    Ok(groups)
}
