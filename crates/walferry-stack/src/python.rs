//! Python packages that judge what we make: fastavro our records, others our files.
//!
//! Owns: where they lie in the cache. Never: touches the machine's own Python packages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::cache::{install, say};
use super::tools::{PYTHON_TOOLS, ensure};

/// The version of fastavro that records are read with.
pub const FASTAVRO_VERSION: &str = "1.13.1";

/// The folder with fastavro, for `PYTHONPATH` of `python3`.
///
/// # Errors
/// Python is missing and may not be installed, or the download failed.
pub fn fastavro() -> Result<PathBuf> {
    python_package("fastavro", FASTAVRO_VERSION)
}

/// The folder with this version of a package, for `PYTHONPATH` of `python3`.
///
/// # Errors
/// As [`fastavro`].
pub fn python_package(name: &str, version: &str) -> Result<PathBuf> {
    ensure(PYTHON_TOOLS)?;
    install(&format!("{name}-{version}"), |folder| {
        say(&format!("fetching {name} {version}"));
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--target"])
            .arg(folder)
            .arg(format!("{name}=={version}"))
            .output()?;
        if !output.status.success() {
            bail!("pip: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    })
}
