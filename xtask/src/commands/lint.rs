//! `cargo xtask lint`: what a reviewer should not have to say.
//!
//! Owns: the list of checks. Invariant: one that fails does not keep the others from being run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use walferry_stack::{BUILD_TOOLS, cache_folder, ensure, say};

use super::{cargo, docs, root};
use crate::house::{self, Tree};
use crate::step;

type Check = fn() -> Result<()>;

/// Runs every check.
///
/// # Errors
/// At least one found something; the message names them.
pub fn run() -> Result<()> {
    ensure(BUILD_TOOLS)?;
    let checks: [(&str, Check); 7] = [
        ("formatting", formatting),
        ("house rules", house_rules),
        ("clippy", clippy),
        ("fuzz targets", fuzz_targets),
        ("documentation", documentation),
        ("generated documents", docs::check),
        ("dependencies", dependencies),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check() {
            say(&format!("{name}: {error:#}"));
            failed.push(name);
        }
    }
    match failed.is_empty() {
        true => say("lint: clean"),
        false => bail!("not clean: {}", failed.join(", ")),
    }
    Ok(())
}

fn formatting() -> Result<()> {
    step::run("formatting", cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let options = [
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    step::run("clippy", cargo().arg("clippy").args(options))
}

/// They are a workspace of their own, which nothing else builds.
fn fuzz_targets() -> Result<()> {
    let manifest = root().join("fuzz/Cargo.toml");
    step::run(
        "fuzz targets",
        cargo()
            .args(["check", "--locked", "--manifest-path"])
            .arg(manifest),
    )
}

fn documentation() -> Result<()> {
    let options = [
        "--workspace",
        "--no-deps",
        "--all-features",
        "--document-private-items",
    ];
    step::run(
        "documentation",
        cargo()
            .arg("doc")
            .args(options)
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn house_rules() -> Result<()> {
    let findings = house::examine(&root())?;
    let faults = findings.iter().filter(|finding| finding.is_fault()).count();
    for finding in &findings {
        say(&finding.to_string());
    }
    if faults > 0 {
        bail!("{faults} house rules are broken");
    }
    let (files, arrows) = house::size(&Tree::read(&root())?);
    say(&format!(
        "house rules: kept; {arrows} imports between {files} files, none in a circle or up a floor"
    ));
    Ok(())
}

/// Licences, banned crates and sources are decided by files here; advisories need a database from the network,
/// so that a machine that cannot reach it is told so and not failed.
fn dependencies() -> Result<()> {
    let deny = cargo_deny()?;
    let check = |subjects: &[&str]| {
        let mut command = Command::new(&deny);
        command
            .args(["--all-features", "check"])
            .args(subjects)
            .current_dir(root());
        command
    };
    step::run("dependencies", &mut check(&["bans", "licenses", "sources"]))?;
    let fetched = Command::new(&deny)
        .args(["fetch", "db"])
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !fetched {
        say("advisories: not checked, because their database cannot be fetched from here");
        return Ok(());
    }
    step::run("advisories", &mut check(&["--disable-fetch", "advisories"]))
}

/// The program: where cargo has put it, else from the cache, else installed into the cache now.
fn cargo_deny() -> Result<PathBuf> {
    let runs = |program: &PathBuf| {
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let home = cache_folder()?.join("cargo-deny");
    let candidates = [PathBuf::from("cargo-deny"), home.join("bin/cargo-deny")];
    if let Some(found) = candidates.iter().find(|program| runs(program)) {
        return Ok(found.clone());
    }
    step::run(
        "installing cargo-deny, once, which takes minutes",
        cargo()
            .args(["install", "cargo-deny", "--locked", "--quiet", "--root"])
            .arg(&home),
    )?;
    Ok(home.join("bin/cargo-deny"))
}
