//! Questions about publications, and their making and changing.
//!
//! Owns [`PublicationInfo`] and its DDL. Never: widens a publication that it was not asked to.
//! Invariant: names of tables enter a command quoted, with their schema.
//! Source: PostgreSQL documentation, `pg_publication`, `pg_publication_tables`, CREATE PUBLICATION.

use super::{Catalog, TableName, value};
use crate::{
    Error,
    quote::{quote_ident, quote_table},
};

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationInfo {
    /// Whether it publishes every table.
    pub all_tables: bool,
    /// Whether a partition's changes are published under its partitioned table.
    pub via_root: bool,
    /// Whether inserts are published.
    pub inserts: bool,
    /// Whether updates are published.
    pub updates: bool,
    /// Whether deletes are published.
    pub deletes: bool,
    /// Whether truncates are published.
    pub truncates: bool,
    /// What is published now: with `via_root` partitioned tables, otherwise their partitions.
    pub tables: Vec<TableName>,
}

/// What a publication publishes of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedTable {
    /// The columns, when there is a column list (PostgreSQL 15).
    pub columns: Option<Vec<String>>,
    /// The row filter as an SQL expression, when there is one (PostgreSQL 15).
    pub row_filter: Option<String>,
}

impl Catalog {
    /// The publication of that name.
    pub async fn publication(&self, name: &str) -> Result<Option<PublicationInfo>, Error> {
        const QUESTION: &str = "\
            SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate
            FROM pg_catalog.pg_publication WHERE pubname = $1";
        const TABLES: &str = "\
            SELECT schemaname::text, tablename::text FROM pg_catalog.pg_publication_tables
            WHERE pubname = $1 ORDER BY 1, 2";
        let doing = &format!("asking for publication {name:?}");
        let rows = self.all(doing, QUESTION, &[&name]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut tables = Vec::new();
        for table in self.all(doing, TABLES, &[&name]).await? {
            tables.push(TableName {
                schema: value(doing, &table, 0)?,
                name: value(doing, &table, 1)?,
            });
        }
        Ok(Some(PublicationInfo {
            all_tables: value(doing, row, 0)?,
            via_root: value(doing, row, 1)?,
            inserts: value(doing, row, 2)?,
            updates: value(doing, row, 3)?,
            deletes: value(doing, row, 4)?,
            truncates: value(doing, row, 5)?,
            tables,
        }))
    }

    /// What a publication publishes of the table `oid`: its column list and row filter. `None` when it does not publish it.
    pub async fn published(&self, name: &str, oid: u32) -> Result<Option<PublishedTable>, Error> {
        let doing = &format!("asking what publication {name:?} publishes of a table");
        if self.server_version < 150_000 {
            const OLD: &str = "\
                SELECT 1 FROM pg_catalog.pg_get_publication_tables($1) AS t (oid) WHERE t.oid = $2";
            let rows = self.all(doing, OLD, &[&name, &oid]).await?;
            return Ok(rows.first().map(|_| PublishedTable::default()));
        }
        // The function lists every column when there is no list, so the list is told by the table behind it: the one of
        // the table itself or, with publish_via_partition_root, of an ancestor.
        const NEW: &str = "\
            SELECT r.listed, t.attnames::text[], t.rowfilter
            FROM pg_catalog.pg_publication_tables t
            JOIN pg_catalog.pg_class c ON c.oid = $2
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN LATERAL (
                SELECT pg_catalog.count(pr.prattrs) > 0 AS listed
                FROM pg_catalog.pg_publication_rel pr
                JOIN pg_catalog.pg_publication p ON p.oid = pr.prpubid
                WHERE p.pubname = $1 AND (pr.prrelid = $2
                      OR pr.prrelid IN (SELECT a.relid FROM pg_catalog.pg_partition_ancestors($2) a))) r
            WHERE t.pubname = $1 AND t.schemaname = n.nspname AND t.tablename = c.relname";
        let rows = self.all(doing, NEW, &[&name, &oid]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let listed: bool = value(doing, row, 0)?;
        let columns: Option<Vec<String>> = value(doing, row, 1)?;
        Ok(Some(PublishedTable {
            columns: columns.filter(|_| listed),
            row_filter: value(doing, row, 2)?,
        }))
    }

    /// Creates a publication of these tables. With `via_root`, a partition's changes come under its partitioned table.
    pub async fn create_publication(
        &self,
        name: &str,
        tables: &[TableName],
        via_root: bool,
    ) -> Result<(), Error> {
        let list = table_list(tables);
        let of = if tables.is_empty() {
            String::new()
        } else {
            format!(" FOR TABLE {list}")
        };
        let command = format!(
            "CREATE PUBLICATION {}{of} WITH (publish_via_partition_root = {via_root})",
            quote_ident(name)
        );
        self.command(&format!("creating publication {name:?}"), &command)
            .await
    }

    /// Makes these the tables of a publication.
    pub async fn set_publication_tables(
        &self,
        name: &str,
        tables: &[TableName],
    ) -> Result<(), Error> {
        self.alter_publication(name, "SET", tables).await
    }

    /// Adds tables to a publication.
    pub async fn add_publication_tables(
        &self,
        name: &str,
        tables: &[TableName],
    ) -> Result<(), Error> {
        self.alter_publication(name, "ADD", tables).await
    }

    async fn alter_publication(
        &self,
        name: &str,
        verb: &str,
        tables: &[TableName],
    ) -> Result<(), Error> {
        let list = table_list(tables);
        let command = format!(
            "ALTER PUBLICATION {} {verb} TABLE {list}",
            quote_ident(name)
        );
        self.command(
            &format!("changing the tables of publication {name:?}"),
            &command,
        )
        .await
    }

    /// Drops a publication, if it exists.
    pub async fn drop_publication(&self, name: &str) -> Result<(), Error> {
        let command = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(name));
        self.command(&format!("dropping publication {name:?}"), &command)
            .await
    }
}

fn table_list(tables: &[TableName]) -> String {
    let quoted: Vec<String> = tables
        .iter()
        .map(|table| quote_table(&table.schema, &table.name))
        .collect();
    quoted.join(", ")
}
