//! `cargo xtask compat`: Walferry beside a live Debezium, over the corpus of `walferry-trials`.
//!
//! Owns: that everything is built and fetched first, and where the document goes. Never: compares; see `walferry-trials`.

use anyhow::Result;
use walferry_stack::{BUILD_TOOLS, POSTGRES_MAJOR_DEFAULT, SERVER_TOOLS, ensure, fetch};

use super::{cargo, root, target};
use crate::step;

/// Builds Walferry and the program, without optimisation because nothing is measured, and runs it.
///
/// # Errors
/// Something is missing and cannot be had, does not build, or a difference is not one of the reviewed list.
pub fn run(arguments: &[String]) -> Result<()> {
    ensure(BUILD_TOOLS)?;
    ensure(SERVER_TOOLS)?;
    fetch(&[POSTGRES_MAJOR_DEFAULT])?;
    step::run(
        "building the programs",
        cargo()
            .args(["build", "--quiet", "--package", "walferry"])
            .args(["--package", "walferry-trials", "--bin", "walferry"])
            .args(["--bin", PROGRAM]),
    )?;
    let debug = target("debug");
    step::run(
        PROGRAM,
        std::process::Command::new(debug.join(PROGRAM))
            .arg("--document")
            .arg(root().join("docs/COMPAT.md"))
            .args(arguments)
            .env("WALFERRY_BIN", debug.join("walferry")),
    )
}

const PROGRAM: &str = "walferry-compat";
