//! What is published of each table, in a form that can be compared with what it was: a table that was replaced, taken out of the
//! publication and put back, or whose partitions are others, is told from one that stayed.
//!
//! Owns the questions. Never: judges a difference.
//! Invariants: a table's entry in the publication has an oid that it loses when it is taken out, also when it is put back before
//! anybody looks; a publication has another `version` after each ALTER; nothing here waits for a lock on a table.
//! Source: PostgreSQL documentation, `pg_publication`, `pg_publication_rel`, `pg_publication_namespace`, `pg_inherits`.
//!
//! Start reading at [`Catalog::publishes`].

use walferry_event::Lsn;

use super::{Catalog, value};
use crate::Error;

/// The publication as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationVersion {
    /// `pg_publication.oid`.
    pub oid: u32,
    /// The transaction that wrote its row.
    pub version: String,
    /// Whose it is: a change of that alone is one of `version` too.
    pub owner: u32,
    /// Which of insert, update, delete and truncate it publishes: `iudt`.
    pub operations: String,
}

/// One table of the publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// `pg_class.oid`.
    pub table: u32,
    /// Oid of the entry that brings it: of the table, of an ancestor, of its schema or, when it publishes all, of the publication.
    pub entry: u32,
    /// Nothing chose it by its name, so that it has been published since it was created, unless it was another's before.
    pub by_itself: bool,
    /// Where its schema brings it: the transaction that put it there.
    pub moved: Option<i64>,
    /// It is as it was created: never renamed, moved or rewritten.
    pub untouched: bool,
    /// The number of the last of its columns that its column list leaves out; 0 without a list. A new column has a higher number than
    /// any before it.
    pub unlisted: i16,
}

/// A partition with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The table above all.
    pub root: u32,
    /// `pg_class.oid`.
    pub oid: u32,
    /// Its file; another one after TRUNCATE, or when its rows were written anew.
    pub file: u32,
    /// It belongs to another server, so that its changes are never streamed.
    pub foreign: bool,
    /// Its changes are not in the WAL, so that they are never streamed.
    pub unlogged: bool,
    /// It was created as this very partition, so that it had no rows before it was one.
    pub born: bool,
}

impl Catalog {
    /// A text that is another one when a table, a partition or something of a publication has come, gone or changed. Cheap: it
    /// is asked all the time.
    pub async fn tables_version(&self, publication: &str) -> Result<String, Error> {
        let schemas = match self.server_version {
            150_000.. => {
                "(SELECT pg_catalog.sum(oid::bigint) FROM pg_catalog.pg_publication_namespace)"
            }
            _ => "0",
        };
        let question = format!(
            "SELECT pg_catalog.concat_ws('/',
                (SELECT pg_catalog.concat(pg_catalog.count(*), ' ',
                        pg_catalog.sum(pg_catalog.hashint8((oid::bigint << 31) + xmin::text::bigint)::bigint))
                 FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'f') AND relpersistence <> 't'),
                (SELECT pg_catalog.concat(pg_catalog.count(*), ' ',
                        pg_catalog.sum(pg_catalog.hashint8((inhrelid::bigint << 31) + xmin::text::bigint)::bigint))
                 FROM pg_catalog.pg_inherits),
                (SELECT pg_catalog.concat(pg_catalog.count(*), ' ',
                        pg_catalog.sum(pg_catalog.hashint8((indexrelid::bigint << 31) + xmin::text::bigint)::bigint))
                 FROM pg_catalog.pg_index WHERE indisunique),
                (SELECT pg_catalog.concat(oid, ' ', xmin) FROM pg_catalog.pg_publication WHERE pubname = $1),
                (SELECT pg_catalog.concat(pg_catalog.count(*), ' ', pg_catalog.sum(oid::bigint))
                 FROM pg_catalog.pg_publication_rel),
                {schemas})"
        );
        let doing = "asking whether tables have changed";
        let row = self.one(doing, &question, &[&publication]).await?;
        value(doing, &row, 0)
    }

    /// The publication, and what it lists.
    pub async fn publishes(
        &self,
        publication: &str,
    ) -> Result<Option<(PublicationVersion, Vec<Member>)>, Error> {
        const QUESTION: &str = "\
            SELECT oid, xmin::text, pubowner,
                   pg_catalog.concat(CASE WHEN pubinsert THEN 'i' END, CASE WHEN pubupdate THEN 'u' END,
                                     CASE WHEN pubdelete THEN 'd' END, CASE WHEN pubtruncate THEN 't' END)
            FROM pg_catalog.pg_publication WHERE pubname = $1";
        let doing = &format!("asking what publication {publication:?} publishes");
        let rows = self.all(doing, QUESTION, &[&publication]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let version = PublicationVersion {
            oid: value(doing, row, 0)?,
            version: value(doing, row, 1)?,
            owner: value(doing, row, 2)?,
            operations: value(doing, row, 3)?,
        };
        let schema = match self.server_version {
            150_000.. => {
                "(SELECT n.oid FROM pg_catalog.pg_publication_namespace n
                  WHERE n.pnpubid = p.oid AND n.pnnspid = c.relnamespace)"
            }
            _ => "NULL::oid",
        };
        let unlisted = match self.server_version {
            150_000.. => {
                "coalesce((SELECT pg_catalog.max(x.attnum) FROM pg_catalog.pg_publication_rel r
                           JOIN pg_catalog.pg_attribute x ON x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped
                                AND x.attgenerated = '' AND x.attnum <> ALL (r.prattrs)
                           WHERE r.prpubid = p.oid AND r.prrelid = c.oid), 0::int2)"
            }
            _ => "0::int2",
        };
        let question = format!(
            "SELECT c.oid, coalesce(l.entry, {schema}, p.oid), l.entry IS NULL, c.xmin = a.xmin,
                    CASE WHEN l.entry IS NULL AND {schema} IS NOT NULL THEN
                        (SELECT d.xmin::text::bigint FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
                           AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass) END,
                    {unlisted}
             FROM pg_catalog.pg_publication p
             CROSS JOIN LATERAL pg_catalog.pg_get_publication_tables(p.pubname::text) t
             JOIN pg_catalog.pg_class c ON c.oid = t.relid
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tableoid'
             CROSS JOIN LATERAL (
                 SELECT coalesce(
                     (SELECT r.oid FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid),
                     (SELECT r.oid FROM pg_catalog.pg_publication_rel r
                      JOIN pg_catalog.pg_partition_ancestors(c.oid) s ON s.relid = r.prrelid
                      WHERE c.relispartition AND r.prpubid = p.oid ORDER BY r.oid LIMIT 1)) AS entry) l
             WHERE p.pubname = $1"
        );
        let mut members = Vec::new();
        for row in self.all(doing, &question, &[&publication]).await? {
            members.push(Member {
                table: value(doing, &row, 0)?,
                entry: value(doing, &row, 1)?,
                by_itself: value(doing, &row, 2)?,
                untouched: value(doing, &row, 3)?,
                moved: value(doing, &row, 4)?,
                unlisted: value(doing, &row, 5)?,
            });
        }
        Ok(Some((version, members)))
    }

    /// The partitions with rows of these tables. One that CREATE TABLE … PARTITION OF has made was made one by the same transaction
    /// and the same command, which counts as two at most; what fills a table first and attaches it then takes more. Where somebody
    /// has tried to take it out since, and that was rolled back, the number of the command is that one's: it was attached.
    pub async fn leaves(&self, roots: &[u32]) -> Result<Vec<Leaf>, Error> {
        const QUESTION: &str = "\
            WITH RECURSIVE edge AS (
                SELECT i.inhparent, i.inhrelid,
                       i.xmin = a.xmin AND i.xmax::text = '0' AND a.xmax::text = '0'
                       AND i.cmin::text::bigint - a.cmin::text::bigint BETWEEN 0 AND 2 AS born
                FROM pg_catalog.pg_inherits i
                JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = 'tableoid'
                WHERE NOT i.inhdetachpending),
            tree (root, oid, born) AS (
                SELECT e.inhparent, e.inhrelid, e.born FROM edge e WHERE e.inhparent = ANY ($1)
                UNION ALL
                SELECT t.root, e.inhrelid, t.born AND e.born FROM tree t JOIN edge e ON e.inhparent = t.oid)
            SELECT t.root, c.oid, c.relfilenode, c.relkind = 'f', c.relpersistence = 'u', t.born
            FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.relkind <> 'p'";
        let doing = "asking for partitions";
        let mut leaves = Vec::new();
        for row in self.all(doing, QUESTION, &[&roots]).await? {
            leaves.push(Leaf {
                root: value(doing, &row, 0)?,
                oid: value(doing, &row, 1)?,
                file: value(doing, &row, 2)?,
                foreign: value(doing, &row, 3)?,
                unlogged: value(doing, &row, 4)?,
                born: value(doing, &row, 5)?,
            });
        }
        Ok(leaves)
    }

    /// Where the WAL ends now: every commit that anybody has seen is before it.
    pub async fn wal_insert(&self) -> Result<Lsn, Error> {
        let doing = "asking for the end of the WAL";
        let question = "SELECT pg_catalog.pg_current_wal_insert_lsn()::text";
        let text: String = value(doing, &self.one(doing, question, &[]).await?, 0)?;
        text.parse()
            .map_err(|error| Error::protocol(format!("{doing}: {error}")))
    }

    /// The SQL condition that rows of a partition fit, and no others of the tables above it; none when it is no partition.
    pub async fn partition_condition(&self, leaf: u32) -> Result<Option<String>, Error> {
        let doing = "asking which rows belong to a partition";
        let question = "SELECT pg_catalog.pg_get_partition_constraintdef($1)";
        let row = self.one(doing, question, &[&leaf]).await?;
        value(doing, &row, 0)
    }
}
