//! One step of a command: said, run, timed, judged.
//!
//! Owns: the words on the terminal around a step. Never: decides what comes next.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use walferry_stack::say;

/// Runs a program to its end with our own input and output.
///
/// # Errors
/// It does not start, or ends with another status than 0.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    say(what);
    let began = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{program} did not start"))?;
    if !status.success() {
        bail!("{what}: {program} ended with {status}");
    }
    say(&format!(
        "{what}: done in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Runs a program to its end and returns what it wrote to standard output.
///
/// # Errors
/// It does not start, or ends with another status than 0.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String> {
    command.stderr(std::process::Stdio::inherit());
    let output = command
        .output()
        .with_context(|| format!("{what}: did not start"))?;
    if !output.status.success() {
        bail!("{what}: ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{what}: wrote what is not text"))
}
