//! A connector's configuration: the file, the overrides of the environment, and what the pipeline is told.
//!
//! Owns the keys, their defaults and every message about them. Never opens a connection.
//! Invariant: what comes out has been checked; an error names the file, the line, the key and what would be right.
//! Start reading at [`load`]; the keys are in `file`.

mod checked;
pub(crate) mod document;
pub(crate) mod draft;
mod explain;
mod file;
mod loaded;
mod overrides;
pub(crate) mod reload;
mod rules;
mod scalar;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use explain::explain;
use file::File;
pub(crate) use file::LogFormat;
pub(crate) use loaded::{Choices, Loaded};
pub(crate) use rules::Unreadable;

/// Loads one file, or every `*.toml` of a folder.
pub(crate) fn load_all(path: &Path, choices: &Choices) -> Result<Vec<Loaded>> {
    if !path.is_dir() {
        return Ok(vec![load(path, choices)?]);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .with_context(|| format!("{}: cannot be read", path.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|it| it == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("{}: the folder has no *.toml file", path.display());
    }
    let loaded = files
        .iter()
        .map(|file| load(file, choices))
        .collect::<Result<Vec<_>>>()?;
    for (index, one) in loaded.iter().enumerate() {
        let same = |other: &Loaded| other.pipeline.name == one.pipeline.name;
        if let Some(other) = loaded[..index].iter().position(same) {
            bail!(
                "{} and {}: both have the name {:?}; each connector needs its own",
                files[other].display(),
                files[index].display(),
                one.pipeline.name
            );
        }
        if one.listen != loaded[0].listen {
            bail!(
                "{} and {}: connectors of one process share one admin server, so admin.listen must be the same",
                files[0].display(),
                files[index].display()
            );
        }
    }
    Ok(loaded)
}

/// Loads one file, with the overrides of the environment.
pub(crate) fn load(path: &Path, choices: &Choices) -> Result<Loaded> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    from_text(&text, &path.display().to_string(), variables, choices)
}

/// Whether a text has known keys and values of their types.
pub(crate) fn parse(text: &str, place: &str) -> Result<()> {
    parsed(text, place).map(drop)
}

fn parsed(text: &str, place: &str) -> Result<File> {
    toml::from_str(text).map_err(|error| anyhow!(explain(text, place, &error)))
}

fn from_text(
    text: &str,
    place: &str,
    variables: Vec<(String, String)>,
    choices: &Choices,
) -> Result<Loaded> {
    // The file alone first, so that an error names its line.
    let file = parsed(text, place)?;
    let (keys, file) = overrides::apply(text, file, variables)?;
    let mut loaded = checked::checked(file, choices).with_context(|| place.to_owned())?;
    loaded.keys = keys;
    Ok(loaded)
}

#[cfg(test)]
mod tests;
