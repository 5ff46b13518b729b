//! Rules that hold for keys of every section.
//!
//! Owns: the words for a key that is missing, 0, or a secret that cannot be read.

use anyhow::{Context, Result, bail};
use walferry_event::Secret;
use walferry_pipeline::config::Policy;

use super::file;

/// A secret that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    key: String,
    reason: String,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.key, self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// The value of a key without a default.
pub(super) fn required<T>(key: &str, value: Option<T>) -> Result<T> {
    value.with_context(|| format!("{key} is missing: it has no default"))
}

/// A number above 0.
pub(super) fn positive(key: &str, value: u64) -> Result<u64> {
    if value == 0 {
        bail!("{key} must be above 0");
    }
    Ok(value)
}

/// What is done with a change that cannot be encoded or published.
pub(super) fn policy(policy: file::Policy) -> Policy {
    match policy {
        file::Policy::Stop => Policy::Stop,
        file::Policy::DeadLetter => Policy::DeadLetter,
        file::Policy::Skip => Policy::Skip,
        file::Policy::Park => Policy::Park,
    }
}

/// Asks a secret once, so that one that is not there is told at the start.
pub(super) fn readable(key: &str, secret: &Secret) -> Result<()> {
    match secret.read() {
        Ok(_) => Ok(()),
        Err(reason) => bail!(Unreadable {
            key: key.to_owned(),
            reason,
        }),
    }
}
