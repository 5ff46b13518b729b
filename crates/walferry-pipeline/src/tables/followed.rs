//! The tables that `source.tables` chooses, as they are now.
//!
//! Owns the choice by name and by what a table is. Never: changes the publication.
//! Start reading at `select`.

use walferry_event::Code;
use walferry_postgres::{Catalog, TableInfo};

use crate::{
    config::{Config, Source, selection::Selection},
    error::Error,
    tables::{grants, left_out},
};

/// Why the server cannot leave out what replication brought in, if that is asked of it.
pub fn origin_unknown(source: &Source, server_version: u32) -> Option<String> {
    let unknown = source.origin_none && server_version < walferry_postgres::ORIGIN_VERSION;
    unknown.then(|| {
        format!(
            "source.origin = \"none\" needs PostgreSQL 16, and this is version {}: set it to \"any\"",
            server_version / 10_000
        )
    })
}

/// The tables that the globs choose. A table that is named outright and does not exist is an error.
pub async fn select(config: &Config, catalog: &Catalog) -> Result<Vec<TableInfo>, Error> {
    let source = &config.source;
    let selection = Selection::new(&source.tables);
    let tables = catalog.tables().await?;
    let names: Vec<String> = tables.iter().map(TableInfo::qualified_name).collect();
    if let Some(missing) = selection.missing(&names).first() {
        return Err(left_out::absent(source, catalog, missing).await);
    }
    let tables = followed(source, tables);
    if tables.is_empty() {
        return Err(Error::invalid(
            Code::NoTables,
            format!(
                "source.tables = {:?} matches no table in database {:?}",
                source.tables, source.connect.database
            ),
        ));
    }
    grants::with_columns(config, catalog, tables).await
}

/// Whether the rows of all these tables can be read, and every one of them.
pub(crate) fn readable(config: &Config, tables: &[TableInfo]) -> Result<(), Error> {
    for table in tables {
        let name = table.qualified_name();
        let role = walferry_postgres::quote_ident(&config.source.connect.user);
        if !table.can_select {
            return Err(Error::invalid(
                Code::TableUnreadable,
                format!(
                    "table {name}: its rows may not be read: {}; or set snapshot.mode = \"never\", or take the table out of \
                 source.tables",
                    table.grant_select(&config.source.connect.user)
                ),
            ));
        }
        if table.guarded {
            return Err(Error::invalid(
                Code::RowSecurity,
                format!(
                    "table {name}: row level security hides rows of it from role {role}, so that a snapshot would not have all of \
                 them: ALTER ROLE {role} BYPASSRLS; or set snapshot.mode = \"never\", or take the table out of source.tables"
                ),
            ));
        }
    }
    Ok(())
}

/// The tables that the globs choose now, be it none.
pub(crate) async fn chosen(config: &Config, catalog: &Catalog) -> Result<Vec<TableInfo>, Error> {
    let tables = followed(&config.source, catalog.tables().await?);
    grants::with_columns(config, catalog, tables).await
}

pub(crate) fn followed(source: &Source, mut tables: Vec<TableInfo>) -> Vec<TableInfo> {
    let selection = Selection::new(&source.tables);
    tables.retain(|table| {
        selection.includes(&table.qualified_name()) && table.followed(source.partitions_root)
    });
    tables.sort_by_key(TableInfo::qualified_name);
    tables
}
