//! Python with fastavro, the second judge of our records.
//!
//! Owns: the version, and where it lies in the cache. Never: touches the machine's own Python packages.

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
    ensure(PYTHON_TOOLS)?;
    install(&format!("fastavro-{FASTAVRO_VERSION}"), |folder| {
        say(&format!("fetching fastavro {FASTAVRO_VERSION}"));
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--target"])
            .arg(folder)
            .arg(format!("fastavro=={FASTAVRO_VERSION}"))
            .output()?;
        if !output.status.success() {
            bail!("pip: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    })
}
