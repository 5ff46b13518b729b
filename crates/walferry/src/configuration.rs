//! A connector's configuration: the file, the overrides of the environment, and what the pipeline is told.
//!
//! Owns the keys, their defaults and every message about them. Never opens a connection.
//! Invariant: what comes out has been checked; an error names the file, the line, the key and what would be right.
//! Start reading at [`load`]; the keys are in `file`.

mod checked;
pub(crate) mod document;
mod file;
mod overrides;
pub(crate) mod reload;
mod scalar;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

pub(crate) use checked::NAME_MAX;
use file::File;
pub(crate) use file::LogFormat;
use walferry_event::Secret;

/// One connector, ready to run.
#[derive(Clone)]
pub(crate) struct Loaded {
    /// For the pipeline.
    pub(crate) pipeline: walferry_pipeline::Config,
    /// Where the admin server listens.
    pub(crate) listen: std::net::SocketAddr,
    /// What control verbs have to show; none: they are switched off.
    pub(crate) token: Option<Secret>,
    /// How the log is written; none: text on a terminal, else JSON.
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged.
    pub(crate) log_level: String,
    /// The keys that are set, in the file or by the environment.
    pub(crate) keys: toml::Table,
}

/// Command-line choices that are not in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// Take over a slot that exists while there is no checkpoint.
    pub(crate) adopt_slot: bool,
    /// Read every table beside the stream of that slot.
    pub(crate) adopt_with_snapshot: bool,
    /// Make the topics agree with all tables again, or with those that are named; then end.
    pub(crate) resync: Option<Vec<String>>,
}

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

/// `file:line: key: what is wrong`, with the nearest known key when one is unknown.
fn explain(text: &str, place: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line_number = text[..start].matches('\n').count() + 1;
    let line = text.lines().nth(line_number - 1).unwrap_or_default();
    let key = match line.split_once('=') {
        Some((key, _)) if is_key(key.trim()) => format!("{}: ", key.trim()),
        _ => String::new(),
    };
    let number = match key.ends_with("_ms: ") {
        true => "a number of milliseconds",
        false => "a whole number",
    };
    let mut message = with_nearest(&without_text(error.message()));
    for name in ["u64", "u32", "i32"] {
        message = message.replace(&format!("expected {name}"), &format!("expected {number}"));
    }
    message = message.replace("expected a sequence", "expected a list");
    // A dot in a key goes down a level, and the names of Kafka's settings have dots.
    let dotted = key.trim_end_matches(": ");
    if message.starts_with("unknown key") && dotted.contains('.') && !dotted.contains(['"', '\'']) {
        message.push_str(&format!(
            "; where {dotted} is the name of a setting of Kafka's, put it in quotes: \"{dotted}\""
        ));
    }
    format!("{place}:{line_number}: {key}{message}")
}

/// Whether what is before a `=` is a key, and not a part of a value.
fn is_key(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    text.chars().all(allowed)
}

/// The message without the text that stands where another type is expected: it may be a secret in a wrong place.
fn without_text(message: &str) -> String {
    const BEGIN: &str = "string \"";
    const END: &str = "\", expected";
    match (message.find(BEGIN), message.rfind(END)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}a text{}", &message[..from], &message[to + 1..])
        }
        _ => message.to_owned(),
    }
}

/// Adds the nearest known name to serde's "unknown field".
fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some(unknown), true) = (quoted.next(), message.starts_with("unknown field")) else {
        return message.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    let nearest = known
        .iter()
        .max_by(|a, b| {
            let near = |known: &str| strsim::jaro_winkler(unknown, known);
            near(a).total_cmp(&near(b))
        })
        .copied();
    match nearest {
        Some(nearest) => format!(
            "unknown key {unknown:?}; did you mean {nearest:?}? The keys here are {}",
            known.join(", ")
        ),
        None => format!("unknown key {unknown:?}"),
    }
}

/// Asks a secret once, so that one that is not there is told at the start.
fn readable(key: &str, secret: &Secret) -> Result<()> {
    match secret.read() {
        Ok(_) => Ok(()),
        Err(reason) => bail!("{key}: {reason}"),
    }
}

#[cfg(test)]
mod tests;
