//! `cargo xtask docs`: the documents that the program writes about itself.
//!
//! Owns: which they are. Invariant: what lies in `docs/` is what the code says, which tests and lint hold.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use walferry_stack::{BUILD_TOOLS, ensure, say};

use super::{cargo, root};
use crate::step;

/// Subcommand of `walferry docs`, and the file that holds its output.
const DOCUMENTS: [(&str, &str); 3] = [
    ("config", "docs/CONFIG.md"),
    ("errors", "docs/ERRORS.md"),
    ("metrics", "docs/METRICS.md"),
];

/// Writes the documents.
///
/// # Errors
/// The program does not build or a file cannot be written.
pub fn write() -> Result<()> {
    ensure(BUILD_TOOLS)?;
    for (path, text) in generated()? {
        fs::write(&path, text)?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Compares the documents with what the program writes.
///
/// # Errors
/// One is missing or differs, or the program does not build.
pub fn check() -> Result<()> {
    for (path, text) in generated()? {
        if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            bail!(
                "{} is out of date; run `cargo xtask docs` and commit it",
                path.display()
            );
        }
    }
    say("generated documents: up to date");
    Ok(())
}

fn generated() -> Result<Vec<(PathBuf, String)>> {
    DOCUMENTS
        .into_iter()
        .map(|(subject, path)| {
            let mut command = cargo();
            command.args([
                "run",
                "--quiet",
                "--package",
                "walferry",
                "--",
                "docs",
                subject,
            ]);
            Ok((
                root().join(path),
                step::output(&format!("walferry docs {subject}"), &mut command)?,
            ))
        })
        .collect()
}
