//! What is told of tables and roles to people who set a connector up: how large a table is, and what a role may.
//!
//! Owns [`TableFacts`] and [`NamedRole`]. Never judges an answer; changes nothing.
//! Source: PostgreSQL documentation, `pg_class`, `pg_roles`, "Database Object Size Functions".

use super::{Catalog, value};
use crate::Error;

/// A table with its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Bytes of its rows on the server, TOAST included, indexes not.
    pub bytes: i64,
    /// Partitions with rows; none for a table that has no partitions.
    pub partitions: Option<i64>,
    /// Whether row level security hides rows of it from a role that is not the owner and has no BYPASSRLS.
    pub row_security: bool,
}

/// A role that may not be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedRole {
    /// Whether it may use replication (as a superuser may).
    pub replication: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Whether row level security does not hold for it.
    pub bypasses_row_security: bool,
}

impl Catalog {
    /// Size and row security of these tables; one that is gone is left out.
    pub async fn table_facts(&self, oids: &[u32]) -> Result<Vec<TableFacts>, Error> {
        const QUESTION: &str = "\
            SELECT c.oid,
                   CASE WHEN c.relkind = 'p' THEN
                       (SELECT coalesce(sum(pg_catalog.pg_table_size(t.relid)), 0)::bigint
                        FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf)
                   ELSE pg_catalog.pg_table_size(c.oid) END,
                   CASE WHEN c.relkind = 'p' THEN
                       (SELECT count(*) FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf AND t.relid <> c.oid) END,
                   c.relrowsecurity
            FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1)";
        let doing = "asking how large the tables are";
        let rows = self.all(doing, QUESTION, &[&oids]).await?;
        let of = |row| {
            // A table that is dropped meanwhile has no size.
            let bytes: Option<i64> = value(doing, row, 1)?;
            Ok(TableFacts {
                oid: value(doing, row, 0)?,
                bytes: bytes.unwrap_or_default(),
                partitions: value(doing, row, 2)?,
                row_security: value(doing, row, 3)?,
            })
        };
        rows.iter().map(of).collect()
    }

    /// What the role of that name may; none when there is no such role.
    pub async fn role_named(&self, name: &str) -> Result<Option<NamedRole>, Error> {
        const QUESTION: &str = "\
            SELECT rolreplication OR rolsuper, rolcanlogin, rolbypassrls OR rolsuper
            FROM pg_catalog.pg_roles WHERE rolname = $1";
        let doing = "asking for a role";
        let rows = self.all(doing, QUESTION, &[&name]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(NamedRole {
            replication: value(doing, row, 0)?,
            login: value(doing, row, 1)?,
            bypasses_row_security: value(doing, row, 2)?,
        }))
    }
}
