//! `cargo xtask test`: all tests, on a machine that has nothing but Rust.
//!
//! Owns: the order: build tools, then the build while the servers are fetched, then servers, then tests.
//! Never: uses a stack that was left up; each run has servers and ports of its own.

use std::time::Instant;

use anyhow::{Result, anyhow};
use walferry_stack::{
    BUILD_TOOLS, POSTGRES_MAJOR_VARIABLE, SERVER_TOOLS, Stack, ensure, fetch, say,
};

use super::{Versions, cargo, docs, target};
use crate::step;

/// Runs everything, for each of the versions; `rest` goes to `cargo test`.
///
/// # Errors
/// Something is missing and cannot be had, does not build, or fails.
pub fn run(versions: Versions, rest: &[String]) -> Result<()> {
    let began = Instant::now();
    ensure(BUILD_TOOLS)?;
    ensure(SERVER_TOOLS)?;
    std::thread::scope(|scope| {
        let fetched = scope.spawn(|| fetch(&versions.0));
        step::run(
            "building the programs",
            // The campaigns too: tests run some of them, from beside the binary.
            cargo()
                .args(["build", "--package", "walferry"])
                .args(["--package", "walferry-trials"]),
        )?;
        step::run(
            "building the tests",
            cargo().args(["test", "--workspace", "--no-run"]),
        )?;
        fetched
            .join()
            .map_err(|_| anyhow!("the thread that fetches the servers panicked"))?
    })?;
    let mut failed = Vec::new();
    for major in &versions.0 {
        if let Err(error) = on(*major, rest) {
            failed.push(format!("on PostgreSQL {major}: {error:#}"));
        }
    }
    if let Err(error) = docs::check() {
        failed.push(format!("{error:#}"));
    }
    say(&format!(
        "{:.1} min in all",
        began.elapsed().as_secs_f64() / 60.0
    ));
    match failed.is_empty() {
        true => Ok(()),
        false => Err(anyhow!("{}", failed.join("; "))),
    }
}

fn on(postgres_major: u32, rest: &[String]) -> Result<()> {
    let began = Instant::now();
    let stack = Stack::start(postgres_major)?;
    let seconds = began.elapsed().as_secs_f64();
    say(&format!(
        "PostgreSQL {postgres_major}, Kafka and registry up in {seconds:.1} s"
    ));
    let coordinates = stack.coordinates();
    step::run(
        &format!("testing on PostgreSQL {postgres_major}"),
        cargo()
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(rest)
            .envs(coordinates.environment())
            .env(POSTGRES_MAJOR_VARIABLE, postgres_major.to_string())
            .env("WALFERRY_BIN", target("debug").join("walferry")),
    )
}
