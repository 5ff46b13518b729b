//! What commands read: configurations and texts.
//!
//! Owns: which faults of them are the command line's (exit status 2).

use std::{io::Read, path::Path};

use anyhow::Context;

use crate::{
    Failure,
    configuration::{self, Choices, Loaded},
};

/// One connector's configuration.
pub(super) fn load(path: &Path) -> Result<Loaded, Failure> {
    configuration::load(path, &Choices::default()).map_err(|error| Failure::configuration(&error))
}

/// The text of a file, or of standard input for `-`.
pub(super) fn text_of(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    if path == Path::new("-") {
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("reading standard input")?;
    } else {
        text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot be read", path.display()))
            .map_err(|error| Failure::usage(&error))?;
    }
    Ok(text)
}
