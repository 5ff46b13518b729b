//! `walferry resync`: the connector with one task, to make its topics agree with the tables again; then it ends.
//!
//! Owns the words at the end. Never: decides anything; the pipeline does, by its recovery table.
//! Invariant: it ends with 0 only when every table has been read and the checkpoint says so.

use std::path::Path;

use anyhow::anyhow;
use walferry_pipeline::TableState;

use super::run::connectors;
use crate::{
    Failure,
    configuration::{self, Choices},
    tell,
};

pub(crate) fn run(path: &Path, tables: Vec<String>) -> Result<(), Failure> {
    let choices = Choices {
        resync: Some(tables),
        ..Choices::default()
    };
    let loaded = configuration::load(path, &choices).map_err(|error| Failure::usage(&error))?;
    let statuses = connectors(vec![loaded], None)?;
    let tables = statuses.iter().flat_map(|it| it.report().snapshot);
    let tables = tables.map(|it| it.table);
    let mut whole = true;
    for table in tables {
        whole &= table.state == TableState::Done;
        let state = match table.state {
            TableState::Done => "",
            _ => ", not finished",
        };
        tell(&format!(
            "{}: {} rows, {} deletes{state}",
            table.name, table.rows, table.deletes
        ));
    }
    if whole {
        return Ok(());
    }
    Err(anyhow!(
        "stopped before the end: `walferry resync` or `walferry run` goes on where it stands"
    )
    .into())
}
