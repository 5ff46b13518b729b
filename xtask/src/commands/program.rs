//! `cargo xtask demo`, `bench`, `chaos` and `history`: programs of the testkit, built for speed, on servers of their own.
//!
//! Owns: that everything they need is there first. Never: what they do; see `crates/walferry-testkit/src/bin`.

use anyhow::Result;
use walferry_testkit::stack::{self, BUILD_TOOLS, POSTGRES_MAJOR_DEFAULT, SERVER_TOOLS};

use super::{cargo, target};
use crate::step;

/// Builds Walferry and the program in release mode and runs it.
///
/// # Errors
/// Something is missing and cannot be had, does not build, or the program fails.
pub fn run(program: &str, arguments: &[String]) -> Result<()> {
    stack::ensure(BUILD_TOOLS)?;
    stack::ensure(SERVER_TOOLS)?;
    stack::fetch(&[POSTGRES_MAJOR_DEFAULT])?;
    let of_testkit = [
        "--release",
        "--package",
        "walferry-testkit",
        "--features",
        "full",
        "--bin",
    ];
    step::run(
        "building the program",
        cargo().args(["build", "--quiet", "--release", "--package", "walferry"]),
    )?;
    step::run(
        &format!("building {program}"),
        cargo()
            .args(["build", "--quiet"])
            .args(of_testkit)
            .arg(program),
    )?;
    step::run(
        program,
        cargo()
            .args(["run", "--quiet"])
            .args(of_testkit)
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
    stack::ensure(BUILD_TOOLS)?;
    let of_a_row = [
        "--package",
        "walferry-pgoutput",
        "--package",
        "walferry-avro",
    ];
    step::run("micro", cargo().arg("bench").args(of_a_row))
}
