//! `walferry replay`: what has come of the dead letters, table by table.
//!
//! Owns the words that are printed. Exit status 1 says that letters wait.

use std::path::Path;

use serde_json::json;
use walferry_operations::replay::{Replay, ReplayReport, replay};

use super::{load, wait};
use crate::{Failure, print};

pub(crate) fn run(path: &Path, what: Replay, as_json: bool) -> Result<(), Failure> {
    let loaded = load(path)?;
    let report = wait(replay(&loaded.pipeline, what))??;
    let text = match as_json {
        true => format!("{:#}\n", json!(report)),
        false => text(&report),
    };
    print(text.as_bytes())?;
    match report.is_done() {
        true => Ok(()),
        false => Err(Failure::told()),
    }
}

fn text(report: &ReplayReport) -> String {
    let mut text = String::new();
    for (table, it) in &report.tables {
        text.push_str(&format!("{table}: {} replayed", it.replayed));
        if it.waiting > 0 {
            text.push_str(&format!(", {} waiting", it.waiting));
        }
        if it.left > 0 {
            text.push_str(&format!(", {} left behind", it.left));
        }
        if let Some(reason) = &it.reason {
            text.push_str(&format!(": {reason}"));
        }
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("no dead letter waits\n");
    }
    text
}
