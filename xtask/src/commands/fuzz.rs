//! `cargo xtask fuzz`: each fuzz target for a while, from the committed corpus.
//!
//! Owns: the order and the options. Never: writes into the committed corpus; what a run finds interesting stays under
//! `fuzz/target`, and an input that fails under `fuzz/artifacts`, with the command that repeats it on the terminal.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use walferry_stack::{BUILD_TOOLS, cache_folder, ensure, say};

use super::{cargo, root};
use crate::step;

/// Runs every target, or one, for so many seconds each.
///
/// # Errors
/// No nightly compiler, a target that does not build, or a failing input.
pub fn run(seconds: u32, only: Option<&str>) -> Result<()> {
    ensure(BUILD_TOOLS)?;
    let mut nightly = Command::new("rustup");
    nightly.args(["run", "nightly", "rustc", "--version"]);
    let found = nightly.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        bail!("no nightly compiler, which fuzzing needs; run: rustup toolchain install nightly");
    }
    let program = cargo_fuzz()?;
    let targets = targets()?;
    let chosen: Vec<&String> = targets
        .iter()
        .filter(|name| only.is_none_or(|only| only == name.as_str()))
        .collect();
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", targets.join(", "));
    }
    let mut failed = Vec::new();
    for name in chosen {
        if let Err(error) = fuzz(&program, name, seconds) {
            say(&format!("{name}: {error:#}"));
            failed.push(name.as_str());
        }
    }
    match failed.is_empty() {
        true => say("fuzz: no failing input"),
        false => bail!("failing inputs: {}", failed.join(", ")),
    }
    Ok(())
}

fn fuzz(program: &PathBuf, name: &str, seconds: u32) -> Result<()> {
    let found = root().join("fuzz/target/corpus").join(name);
    fs::create_dir_all(&found)?;
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .args(["run", name])
        .arg(found)
        .arg(root().join("fuzz/corpus").join(name))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .args(["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2048"]);
    step::run(&format!("fuzzing {name} for {seconds} s"), &mut command)
}

/// The targets, by name: the files of `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let files =
        fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let names = files
        .flatten()
        .filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// The program: where cargo has put it, else from the cache, else installed into the cache now.
fn cargo_fuzz() -> Result<PathBuf> {
    let runs = |program: &PathBuf| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null());
        command
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let home = cache_folder()?.join("cargo-fuzz");
    let candidates = [PathBuf::from("cargo-fuzz"), home.join("bin/cargo-fuzz")];
    if let Some(found) = candidates.iter().find(|program| runs(program)) {
        return Ok(found.clone());
    }
    let home: OsString = home.into();
    step::run(
        "installing cargo-fuzz, once, which takes minutes",
        cargo()
            .args(["install", "cargo-fuzz", "--locked", "--quiet", "--root"])
            .arg(&home),
    )?;
    Ok(PathBuf::from(home).join("bin/cargo-fuzz"))
}
