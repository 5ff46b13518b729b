//! Relations that are chosen and cannot be followed: why, in words.
//!
//! Owns the words. Never: decides what is followed.

use walferry_event::Code;
use walferry_postgres::Catalog;

use crate::{
    config::{Source, selection::Selection},
    error::Error,
};

/// Why a table that is named outright is none of those that can be followed.
pub(crate) async fn absent(source: &Source, catalog: &Catalog, name: &str) -> Error {
    let relations = catalog.relations().await.unwrap_or_default();
    let found = relations.iter().find(|it| it.qualified == name);
    Error::invalid(
        Code::TableKind,
        match found {
            Some(it) if !it.is_table => format!(
                "{name:?} of source.tables is {}, which has no changes of its own: name the tables behind it, or take it out of \
             source.tables",
                it.sort
            ),
            _ => format!(
                "table {name:?} of source.tables does not exist in database {:?}: correct the name or source.url, create it, or \
             take it out of source.tables",
                source.connect.database
            ),
        },
    )
}

/// Says in the log which chosen tables are left out for what they are.
pub(crate) async fn tell(source: &Source, catalog: &Catalog) -> Result<(), Error> {
    let selection = Selection::new(&source.tables);
    for it in catalog.relations().await? {
        if it.unlogged && selection.includes(&it.qualified) {
            tracing::warn!(
                table = it.qualified,
                "the table is left out: it is unlogged, so its changes are not in the WAL (ALTER TABLE … SET LOGGED)"
            );
        }
    }
    Ok(())
}
