//! The key of a table that is gone when its changes come, and whose whole row is its identity: neither the stream nor the catalog
//! tells what made its rows unique.
//!
//! Owns where it is sought: in what the table was written with before, in what the topic of its name was, in the table that has the
//! name now. Never: a key of which a column is missing.
//! Start reading at `Relations::key_of_gone`.

use walferry_event::{ReplicaIdentity, Table};
use walferry_postgres::Catalog;

use crate::{
    config::Config, encode::relations::Relations, error::Error,
    position::published_record::MessageKey, tables::compile,
};

impl Relations {
    /// Gives a table that is gone the key that its topic has.
    pub(super) fn key_of_gone(&mut self, table: &mut Table) -> Result<(), Error> {
        let relation = &table.relation;
        let silent = matches!(
            relation.replica_identity,
            ReplicaIdentity::Full | ReplicaIdentity::Nothing
        );
        let Some(catalog) = self
            .catalog
            .as_ref()
            .filter(|_| silent && table.key.is_empty())
        else {
            return Ok(());
        };
        let (oid, name) = (relation.oid, relation.qualified_name());
        let there = self.runtime.block_on(catalog.column_numbers(oid))?;
        if !there.is_empty() {
            return Ok(());
        }
        let mut keys = self.keys.of_table(oid, &name);
        let now = self
            .runtime
            .block_on(key_of_name(&self.config, catalog, &name))?;
        keys.extend(now.map(|it| it.columns().to_vec()));
        let place = |column: &String| table.columns.iter().position(|it| it.name == *column);
        let all = |key: &Vec<String>| key.iter().map(place).collect::<Option<Vec<usize>>>();
        match keys.iter().find_map(all) {
            Some(key) => {
                // As those of its topic are: a key in another form would be another key to whoever compares bytes.
                for &at in &key {
                    table.columns[at].nullable = false;
                }
                table.key = key;
            }
            None => tracing::warn!(target: "audit", table = name, oid,
                "the table was dropped before its changes were read, and with its whole row as replica identity nothing tells its \
                 key: its records have none"),
        }
        Ok(())
    }
}

/// The message key of the table that has the name now; none when there is no such table, or it has none.
async fn key_of_name(
    config: &Config,
    catalog: &Catalog,
    name: &str,
) -> Result<Option<MessageKey>, walferry_postgres::Error> {
    let tables = catalog.tables().await?;
    let Some(info) = tables.iter().find(|it| it.qualified_name() == name) else {
        return Ok(None);
    };
    let described = async {
        let (relation, _) = compile::shape(config, catalog, info.oid).await?;
        catalog.table(&relation, config.key_rules()).await
    };
    match described.await {
        Ok(table) => Ok(Some(MessageKey::of(&table)).filter(|it| !it.columns().is_empty())),
        // It changes at this moment.
        Err(error) if error.is_stale() || error.sqlstate() == Some("42P01") => Ok(None),
        Err(error) => Err(error),
    }
}
