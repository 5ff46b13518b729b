//! The key of a table that is gone when its changes come, and whose whole row is its identity: neither the stream nor the catalog
//! tells what made its rows unique.
//!
//! Owns where it is sought: in what the table was written with before, in what the topic of its name was, in the table that has the
//! name now. Never: a key of which a column is missing.
//! Start reading at `Relations::key_of_gone`.

use walferry_event::{ReplicaIdentity, Table};

use crate::{encode::relations::Relations, error::Error};

impl Relations {
    /// Gives a table that is gone the key that its topic has.
    pub(super) fn key_of_gone(&mut self, table: &mut Table) -> Result<(), Error> {
        let relation = &table.relation;
        let silent = matches!(
            relation.replica_identity,
            ReplicaIdentity::Full | ReplicaIdentity::Nothing
        );
        let (oid, name) = (relation.oid, relation.qualified_name());
        if !silent || !table.key.is_empty() || self.servers.has_table(oid)? {
            return Ok(());
        }
        let mut keys = self.keys.of_table(oid, &name);
        let now = self.servers.key_of(&name)?;
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
