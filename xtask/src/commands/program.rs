//! `cargo xtask demo`, `bench`, `chaos` and `history`: programs of `walferry-trials`, built for speed, on servers of their own.
//!
//! Owns: that everything they need is there first. Never: what they do; see `crates/walferry-trials/src/bin`.

use anyhow::Result;
use walferry_stack::{BUILD_TOOLS, POSTGRES_MAJOR_DEFAULT, SERVER_TOOLS, ensure, fetch};

use super::{cargo, target};
use crate::step;

/// Builds Walferry and the program in release mode and runs it.
///
/// # Errors
/// Something is missing and cannot be had, does not build, or the program fails.
pub fn run(program: &str, arguments: &[String]) -> Result<()> {
    ensure(BUILD_TOOLS)?;
    ensure(SERVER_TOOLS)?;
    fetch(&[POSTGRES_MAJOR_DEFAULT])?;
    let of_trials = ["--release", "--package", "walferry-trials", "--bin"];
    step::run(
        "building the program",
        cargo().args(["build", "--quiet", "--release", "--package", "walferry"]),
    )?;
    step::run(
        &format!("building {program}"),
        cargo()
            .args(["build", "--quiet"])
            .args(of_trials)
            .arg(program),
    )?;
    step::run(
        program,
        cargo()
            .args(["run", "--quiet"])
            .args(of_trials)
            .args([program, "--"])
            .args(arguments)
            .env("WALFERRY_BIN", target("release").join("walferry")),
    )
}

/// The micro benchmarks: a message parsed, a row encoded.
///
/// # Errors
/// They do not build or fail.
pub fn micro() -> Result<()> {
    ensure(BUILD_TOOLS)?;
    let of_a_row = [
        "--package",
        "walferry-pgoutput",
        "--package",
        "walferry-avro",
    ];
    step::run("micro", cargo().arg("bench").args(of_a_row))
}
