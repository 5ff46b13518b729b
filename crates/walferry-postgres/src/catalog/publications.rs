//! Questions about publications, and their making and changing.
//!
//! Owns [`PublicationInfo`] and its DDL. Never: widens a publication that it was not asked to.
//! Invariant: names of tables enter a command quoted, with their schema.
//! Source: PostgreSQL documentation, `pg_publication`, `pg_publication_tables`, CREATE PUBLICATION.

use tokio::time;

use super::{ANSWER_MAX, Catalog, TableName, value};
use crate::{
    Error, condition,
    kind::Kind,
    quote::{quote_ident, quote_table},
};

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationInfo {
    /// Whether we may change it.
    pub owned: bool,
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
    /// The oids of what is published now: with `via_root` of partitioned tables, otherwise of their partitions.
    pub tables: Vec<u32>,
}

/// What a publication publishes of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedTable {
    /// The columns, when there is a column list (PostgreSQL 15).
    pub columns: Option<Vec<String>>,
    /// The row filter as an SQL expression, when there is one (PostgreSQL 15).
    pub row_filter: Option<String>,
}

/// A table to publish, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The table.
    pub table: TableName,
    /// Its columns and rows; a server before PostgreSQL 15 knows only all of them.
    pub what: PublishedTable,
}

impl Publish {
    /// All of the table.
    pub fn whole(table: TableName) -> Publish {
        Publish {
            table,
            what: PublishedTable::default(),
        }
    }

    /// As CREATE PUBLICATION and ALTER PUBLICATION have it behind `TABLE`. The table alone: without ONLY its heirs would be
    /// published too, chosen or not. The filter ends its line, so that a comment in it does not swallow what follows.
    pub fn sql(&self) -> String {
        let table = quote_table(&self.table.schema, &self.table.name);
        let mut sql = format!("ONLY {table}");
        if let Some(columns) = &self.what.columns {
            let names: Vec<String> = columns.iter().map(|name| quote_ident(name)).collect();
            sql.push_str(&format!(" ({})", names.join(", ")));
        }
        if let Some(filter) = &self.what.row_filter {
            let end = if filter.contains("--") { "\n" } else { "" };
            sql.push_str(&format!(" WHERE ({filter}{end})"));
        }
        sql
    }
}

impl Catalog {
    /// The publication of that name.
    pub async fn publication(&self, name: &str) -> Result<Option<PublicationInfo>, Error> {
        const QUESTION: &str = "\
            SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate,
                   pg_catalog.pg_has_role(pubowner, 'USAGE')
            FROM pg_catalog.pg_publication WHERE pubname = $1";
        const TABLES: &str = "\
            SELECT t.relid FROM pg_catalog.pg_get_publication_tables($1) t";
        let doing = &format!("asking for publication {name:?}");
        let rows = self.all(doing, QUESTION, &[&name]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut tables = Vec::new();
        for table in self.all(doing, TABLES, &[&name]).await? {
            tables.push(value(doing, &table, 0)?);
        }
        Ok(Some(PublicationInfo {
            owned: value(doing, row, 6)?,
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
            // The function alone ends with an error when there is no such publication.
            const OLD: &str = "\
                SELECT 1 FROM pg_catalog.pg_publication p
                CROSS JOIN LATERAL pg_catalog.pg_get_publication_tables(p.pubname::text) AS t (oid)
                WHERE p.pubname = $1 AND t.oid = $2";
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
        tables: &[Publish],
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
        let doing = format!("creating publication {name:?}");
        self.define(&doing, &command).await.map_err(stale)
    }

    /// Runs a command that defines something. Its commit does not wait for a synchronous standby: where our own walsender
    /// counts as one, nobody else would ever confirm it.
    async fn define(&self, doing: &str, command: &str) -> Result<(), Error> {
        let command = format!("SET LOCAL synchronous_commit = local; {command}");
        self.command(doing, &command).await
    }

    /// Adds tables to a publication.
    pub async fn add_publication_tables(
        &self,
        name: &str,
        tables: &[Publish],
    ) -> Result<(), Error> {
        let (publication, list) = (quote_ident(name), table_list(tables));
        let command = format!("ALTER PUBLICATION {publication} ADD TABLE {list}");
        let doing = format!("adding tables to publication {name:?}");
        self.define(&doing, &command).await.map_err(stale)
    }

    /// Publishes other columns or rows of a table that is in the publication, from one moment on.
    pub async fn change_published(&self, name: &str, to: &Publish) -> Result<(), Error> {
        let command = change_sql(name, to);
        let doing = format!("changing what publication {name:?} publishes of a table");
        self.define(&doing, &command).await.map_err(stale)
    }

    /// Whether an expression can be evaluated over a table or, with `columns`, over these columns of it alone. Nothing is
    /// evaluated.
    pub async fn check_filter(
        &self,
        table: &TableName,
        columns: Option<&[&str]>,
        filter: &str,
    ) -> Result<(), Error> {
        let alias = quote_ident(&table.name);
        let full = quote_table(&table.schema, &table.name);
        let from = match columns {
            None => format!("{full} AS {alias}"),
            Some(columns) => {
                let names: Vec<String> = columns.iter().map(|name| quote_ident(name)).collect();
                format!("(SELECT {} FROM {full}) AS {alias}", names.join(", "))
            }
        };
        let question = format!("SELECT 1 FROM {from} WHERE ({filter}\n)");
        let doing = format!(
            "reading the row filter of table {}.{}",
            table.schema, table.name
        );
        if let Err(reason) = condition::functions(filter) {
            return Err(Error::settings(format!("{doing}: {reason}")));
        }
        match time::timeout(ANSWER_MAX, self.client.prepare(&question)).await {
            Ok(answer) => answer
                .map(drop)
                .map_err(|error| Error::client(&doing, error)),
            Err(_) => Err(Error::late(&doing, ANSWER_MAX.as_millis() as u64)),
        }
    }

    /// Whether two expressions over a table are the same to the server: it prints a filter in another form than it was given.
    pub async fn same_filter(
        &self,
        table: &TableName,
        one: &str,
        other: &str,
    ) -> Result<bool, Error> {
        if one == other {
            return Ok(true);
        }
        let (one, other) = (
            self.plan_of(table, one).await?,
            self.plan_of(table, other).await?,
        );
        Ok(one == other)
    }

    /// The plan that would compute an expression; its text has the expression as the server understands it.
    async fn plan_of(&self, table: &TableName, expression: &str) -> Result<Vec<String>, Error> {
        let full = quote_table(&table.schema, &table.name);
        let doing = &format!(
            "comparing row filters of table {}.{}",
            table.schema, table.name
        );
        let question =
            format!("EXPLAIN (VERBOSE, COSTS OFF) SELECT ({expression}\n) FROM ONLY {full}");
        let rows = self.all(doing, &question, &[]).await?;
        rows.iter().map(|row| value(doing, row, 0)).collect()
    }

    /// Drops a publication, if it exists.
    pub async fn drop_publication(&self, name: &str) -> Result<(), Error> {
        let command = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(name));
        self.command(&format!("dropping publication {name:?}"), &command)
            .await
    }
}

/// A table that a command names was listed a moment before: when it is not there (42P01, 42704), or is published already
/// (42710), it is the list that is old.
fn stale(error: Error) -> Error {
    match error.sqlstate() {
        Some("42P01" | "42704" | "42710") => error.of_kind(Kind::Stale),
        _ => error,
    }
}

/// One command after the other in one transaction: the server has no single one for it.
pub fn change_sql(publication: &str, to: &Publish) -> String {
    let publication = quote_ident(publication);
    let table = quote_table(&to.table.schema, &to.table.name);
    let sql = to.sql();
    format!(
        "ALTER PUBLICATION {publication} DROP TABLE ONLY {table}; ALTER PUBLICATION {publication} ADD TABLE {sql};"
    )
}

fn table_list(tables: &[Publish]) -> String {
    let tables: Vec<String> = tables.iter().map(Publish::sql).collect();
    tables.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_filter_are_part_of_the_command() {
        let mut publish = Publish {
            table: TableName {
                schema: "a b".into(),
                name: "t".into(),
            },
            what: PublishedTable::default(),
        };
        assert_eq!(publish.sql(), "ONLY \"a b\".\"t\"");
        publish.what = PublishedTable {
            columns: Some(vec!["id".into(), "x\"y".into()]),
            row_filter: Some("id > 1".into()),
        };
        let sql = "ONLY \"a b\".\"t\" (\"id\", \"x\"\"y\") WHERE (id > 1)";
        assert_eq!(publish.sql(), sql);
        assert_eq!(
            change_sql("p", &publish),
            format!(
                "ALTER PUBLICATION \"p\" DROP TABLE ONLY \"a b\".\"t\"; ALTER PUBLICATION \"p\" ADD TABLE {sql};"
            )
        );
        publish.what.row_filter = Some("true -- all".into());
        assert!(publish.sql().ends_with("-- all\n)"));
    }
}
