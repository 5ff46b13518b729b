//! Which columns of a table are read, where the role may not read all of them.
//!
//! Owns that question. Never: grants anything.
//! Invariant: a table counts as readable only when each column that a snapshot, a resync or an audit reads of it may be read.

use walferry_postgres::{Catalog, TableInfo};

use crate::{config::Config, error::Error, tables::options};

/// The tables, of which those count as readable whose columns that are read may be read. Rows without a key are told by where they
/// lie, for which the whole table has to be readable.
pub(crate) async fn with_columns(
    config: &Config,
    catalog: &Catalog,
    mut tables: Vec<TableInfo>,
) -> Result<Vec<TableInfo>, Error> {
    let keyed = |it: &&mut TableInfo| !it.can_select && !it.key_columns.is_empty();
    for table in tables.iter_mut().filter(keyed) {
        let wanted = match options::wanted(config, catalog, table).await {
            Ok(wanted) => wanted,
            Err(error) if error.is_away() || error.is_diverged() => return Err(error),
            // An option that cannot be carried out is told by whoever looks at options.
            Err(_) => continue,
        };
        let read = match wanted.publish.what.columns {
            Some(listed) => {
                table.columns_read = listed.clone();
                listed
            }
            None => {
                let publication = &config.source.publication;
                let relation = catalog.published_relation(publication, table.oid).await?;
                relation.columns.into_iter().map(|it| it.name).collect()
            }
        };
        table.can_select = read.iter().all(|it| table.columns_granted.contains(it));
    }
    Ok(tables)
}
