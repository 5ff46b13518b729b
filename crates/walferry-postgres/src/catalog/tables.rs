//! Which tables there are, and what may be done with them.
//!
//! Owns [`TableInfo`]. Never: lists the server's own schemas, temporary tables or foreign tables.
//! Source: PostgreSQL documentation, `pg_class`, `pg_index`.

use walferry_event::ReplicaIdentity;

use super::{Catalog, value};
use crate::{
    Error,
    quote::{quote_ident, quote_table},
    session::unexpected,
};

/// Schema and name of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Schema name.
    pub schema: String,
    /// Table name.
    pub name: String,
}

/// What sort of table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// Has rows of its own.
    Table,
    /// Has partitions, no rows.
    Partitioned,
    /// A partition with rows.
    Partition,
    /// A partition that has partitions itself.
    PartitionedPartition,
}

/// A user's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema name.
    pub schema: String,
    /// Table name.
    pub name: String,
    /// What old rows will carry.
    pub replica_identity: ReplicaIdentity,
    /// What sort of table it is.
    pub kind: RelationKind,
    /// Primary key, or without one the columns of the replica identity index, in the order of the key.
    pub key_columns: Vec<String>,
    /// Rows by the planner's statistics, over all partitions; 0 when unknown.
    pub rows_estimated: i64,
    /// Whether we may add it to a publication.
    pub owned: bool,
    /// Whether we may read it: all of it or, once that was looked at, the columns that are read.
    pub can_select: bool,
    /// The columns that we may read, where we may not read all of it.
    pub columns_granted: Vec<String>,
    /// The columns that are read, where the settings say which.
    pub columns_read: Vec<String>,
    /// Whether its changes are not in the WAL, so that there is nothing to stream.
    pub unlogged: bool,
    /// Whether its row level security would hide rows from us, so that PostgreSQL refuses to let us read it.
    pub guarded: bool,
}

impl TableInfo {
    /// `schema.table`, unquoted.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The command that lets a role read what is read of it.
    pub fn grant_select(&self, role: &str) -> String {
        let names: Vec<String> = self.columns_read.iter().map(|it| quote_ident(it)).collect();
        let columns = match names.is_empty() {
            true => String::new(),
            false => format!(" ({})", names.join(", ")),
        };
        let table = quote_table(&self.schema, &self.name);
        format!("GRANT SELECT{columns} ON {table} TO {}", quote_ident(role))
    }

    /// Its name.
    pub fn table_name(&self) -> TableName {
        TableName {
            schema: self.schema.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether it is a stream of its own: with `partitions_root` the partitioned table and not its partitions, otherwise
    /// the partitions. An unlogged table never is.
    pub fn followed(&self, partitions_root: bool) -> bool {
        let kind = match self.kind {
            RelationKind::Table => true,
            RelationKind::Partitioned => partitions_root,
            RelationKind::Partition => !partitions_root,
            RelationKind::PartitionedPartition => false,
        };
        kind && !self.unlogged
    }
}

impl Catalog {
    /// Those of the tables that have a file with something in it; an empty table has none, nor has a partitioned one.
    pub async fn filled(&self, oids: &[u32]) -> Result<Vec<u32>, Error> {
        const QUESTION: &str = "\
            SELECT oid FROM pg_catalog.pg_class
            WHERE oid = ANY ($1) AND pg_catalog.pg_relation_size(oid) > 0";
        let doing = "asking which tables have rows";
        let rows = self.all(doing, QUESTION, &[&oids]).await?;
        rows.iter().map(|row| value(doing, row, 0)).collect()
    }

    /// `schema.table` as a command has it; nothing when there is none.
    pub async fn quoted_name(&self, oid: u32) -> Result<Option<String>, Error> {
        const QUESTION: &str = "\
            SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = $1";
        let doing = "asking for the name of a table";
        let rows = self.all(doing, QUESTION, &[&oid]).await?;
        rows.first().map(|row| value(doing, row, 0)).transpose()
    }

    /// The foreign tables that are partitions, each with its root and by name.
    pub async fn foreign_partitions(&self) -> Result<Vec<(String, String)>, Error> {
        const QUESTION: &str = "\
            SELECT rn.nspname || '.' || r.relname, n.nspname || '.' || c.relname
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
            JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
            WHERE c.relkind = 'f' AND c.relispartition
            ORDER BY 1, 2";
        let doing = "asking for foreign partitions";
        let mut found = Vec::new();
        for row in self.all(doing, QUESTION, &[]).await? {
            found.push((value(doing, &row, 0)?, value(doing, &row, 1)?));
        }
        Ok(found)
    }

    /// Whether replication brings changes into this server, or has brought some.
    pub async fn has_origins(&self) -> Result<bool, Error> {
        const QUESTION: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_origin)";
        let doing = "asking for replication origins";
        value(doing, &self.one(doing, QUESTION, &[]).await?, 0)
    }

    /// Every user's table of the database, by name.
    pub async fn tables(&self) -> Result<Vec<TableInfo>, Error> {
        const QUESTION: &str = "\
            SELECT c.oid, n.nspname::text, c.relname::text, c.relreplident::text, c.relkind = 'p', c.relispartition,
                   coalesce(k.names, '{}'),
                   CASE WHEN c.relkind = 'p' THEN
                       (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)
                        FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid
                        WHERE t.isleaf)
                   ELSE greatest(c.reltuples, 0) END::bigint,
                   pg_catalog.pg_has_role(c.relowner, 'USAGE'),
                   pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                       AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
                   c.relpersistence = 'u',
                   pg_catalog.row_security_active(c.oid),
                   CASE WHEN pg_catalog.has_table_privilege(c.oid, 'SELECT') THEN '{}' ELSE
                       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                               AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                               AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')) END
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN LATERAL (
                SELECT (SELECT pg_catalog.array_agg(a.attname::text ORDER BY p.place)
                        FROM pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS p (attnum, place)
                        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.attnum
                        WHERE p.place <= i.indnkeyatts) AS names
                FROM pg_catalog.pg_index i
                WHERE i.indrelid = c.oid AND i.indisvalid AND (i.indisprimary OR i.indisreplident)
                ORDER BY i.indisprimary DESC LIMIT 1) k ON true
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
              AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
            ORDER BY 2, 3";
        let doing = "listing the tables";
        let mut tables = Vec::new();
        for row in self.all(doing, QUESTION, &[]).await? {
            let identity: String = value(doing, &row, 3)?;
            let kind = match (value(doing, &row, 4)?, value(doing, &row, 5)?) {
                (false, false) => RelationKind::Table,
                (true, false) => RelationKind::Partitioned,
                (false, true) => RelationKind::Partition,
                (true, true) => RelationKind::PartitionedPartition,
            };
            tables.push(TableInfo {
                oid: value(doing, &row, 0)?,
                schema: value(doing, &row, 1)?,
                name: value(doing, &row, 2)?,
                replica_identity: identity_of(doing, &identity)?,
                kind,
                key_columns: value(doing, &row, 6)?,
                rows_estimated: value(doing, &row, 7)?,
                owned: value(doing, &row, 8)?,
                can_select: value(doing, &row, 9)?,
                unlogged: value(doing, &row, 10)?,
                guarded: value(doing, &row, 11)?,
                columns_granted: value(doing, &row, 12)?,
                columns_read: Vec::new(),
            });
        }
        Ok(tables)
    }
}

pub(super) fn identity_of(doing: &str, code: &str) -> Result<ReplicaIdentity, Error> {
    code.bytes()
        .next()
        .and_then(ReplicaIdentity::from_code)
        .ok_or_else(|| unexpected(doing, &format!("replica identity {code:?}")))
}
