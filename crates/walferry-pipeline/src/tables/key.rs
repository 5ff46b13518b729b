//! The key of a table's messages, when the configuration chooses another than the catalog.
//!
//! Owns the check that deletes can be published under it. Never: looks at what other tables of the topic have.

use walferry_event::{Code, Table};

use crate::{config::Config, error::Error};

/// Replaces the key by the configured one.
pub(crate) fn choose_key(config: &Config, table: &mut Table) -> Result<(), Error> {
    let name = table.relation.qualified_name();
    let Some(key) = config.table(&name).and_then(|t| t.key.as_ref()) else {
        return Ok(());
    };
    table.key = key
        .iter()
        .map(|column| {
            table
                .columns
                .iter()
                .position(|c| c.name == *column)
                .ok_or_else(|| {
                    Error::invalid(Code::TableOption, format!(
                        "table {name}: key column {column:?} of the configuration does not exist"
                    ))
                })
        })
        .collect::<Result<_, _>>()?;
    let columns = &table.relation.columns;
    // Without an identity no old row ever comes, so a key has nothing to lie within.
    let anywhere =
        config.key_rules().outside_identity || columns.iter().all(|column| !column.in_identity);
    if !anywhere && !table.key.iter().all(|&i| columns[i].in_identity) {
        return Err(Error::invalid(
            Code::TableOption,
            format!(
                "table {name}: the configured key is not part of the replica identity, so deletes could not be published \
             under it; ALTER TABLE … REPLICA IDENTITY FULL, or choose other key columns"
            ),
        ));
    }
    Ok(())
}
