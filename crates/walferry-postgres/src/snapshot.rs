//! Rows as they were when a slot was created.
//!
//! Owns [`SnapshotReader`]: a read-only transaction in an exported snapshot, and COPY out of it. Never: decides what to read.
//! Invariant: every row of a reader is of one snapshot.
//! Source: PostgreSQL documentation, "Snapshot Synchronization Functions" and COPY.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio_postgres::{Client, CopyOutStream};
use walferry_event::Relation;

use crate::{
    ConnectConfig, Error, catalog,
    quote::{quote_ident, quote_literal, quote_table},
};

/// A transaction that sees one snapshot.
pub struct SnapshotReader {
    client: Client,
    place: String,
}

impl SnapshotReader {
    /// Opens a connection of its own and enters the snapshot that a slot's creation exported.
    ///
    /// # Errors
    /// The connection fails, or the session that exported the snapshot has done something else since or ended.
    pub async fn begin(
        config: &ConnectConfig,
        snapshot_name: &str,
    ) -> Result<SnapshotReader, Error> {
        let client = catalog::open(config).await?;
        let begin = format!(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            quote_literal(snapshot_name)
        );
        client
            .batch_execute(&begin)
            .await
            .map_err(|error| Error::client("entering the exported snapshot", error))?;
        Ok(SnapshotReader {
            client,
            place: config.place(),
        })
    }

    /// Which transactions the snapshot sees.
    ///
    /// # Errors
    /// The connection fails, or the server says it in another form than its documentation.
    pub async fn visibility(&self) -> Result<Visibility, Error> {
        let doing = "asking which transactions the snapshot sees";
        let question = "SELECT pg_catalog.pg_current_snapshot()::text";
        let row = self
            .client
            .query_one(question, &[])
            .await
            .map_err(|error| Error::client(doing, error))?;
        let text: String = row.get(0);
        Visibility::parse(&text).ok_or_else(|| {
            Error::protocol(format!("{doing}: expected xmin:xmax:xip, found {text:?}"))
        })
    }

    /// Every row of a table: the relation's columns, in their order.
    pub async fn copy(&self, relation: &Relation) -> Result<CopyRows, Error> {
        self.copy_where(relation, None).await
    }

    /// The rows of a table that fit `condition`, an SQL expression as a publication's row filter is one.
    pub async fn copy_where(
        &self,
        relation: &Relation,
        condition: Option<&str>,
    ) -> Result<CopyRows, Error> {
        let table = relation.qualified_name();
        let doing = format!(
            "reading table {table} for the snapshot, from {}",
            self.place
        );
        let kind = "SELECT c.relkind = 'p' FROM pg_catalog.pg_class c WHERE c.oid = $1";
        let partitioned = self
            .client
            .query_opt(kind, &[&relation.oid])
            .await
            .map_err(|error| Error::client(&doing, error))?
            .is_some_and(|row| row.get(0));
        let command = copy_command(relation, partitioned, condition);
        let stream = self
            .client
            .copy_out(&command)
            .await
            .map_err(|error| Error::client(&doing, error))?;
        Ok(CopyRows {
            stream: Box::pin(stream),
            doing,
            ended: false,
        })
    }
}

/// Which transactions a snapshot sees, as `pg_current_snapshot()` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visibility {
    /// No transaction from here on is seen.
    pub xmax: u64,
    /// Nor are these, which are below it.
    pub unseen: Vec<u64>,
}

impl Visibility {
    fn parse(text: &str) -> Option<Visibility> {
        let mut parts = text.split(':');
        parts.next()?.parse::<u64>().ok()?;
        let xmax = parts.next()?.parse().ok()?;
        let unseen = parts.next()?.split(',').filter(|it| !it.is_empty());
        Some(Visibility {
            xmax,
            unseen: unseen.map(|it| it.parse().ok()).collect::<Option<_>>()?,
        })
    }
}

/// A table's children by inheritance are tables of their own in the stream; its partitions are not.
fn copy_command(relation: &Relation, partitioned: bool, condition: Option<&str>) -> String {
    let columns: Vec<String> = relation
        .columns
        .iter()
        .map(|column| quote_ident(&column.name))
        .collect();
    let only = if partitioned { "" } else { "ONLY " };
    let table = quote_table(&relation.schema, &relation.name);
    let condition = condition.map_or(String::new(), |condition| format!(" WHERE ({condition})"));
    format!(
        "COPY (SELECT {} FROM {only}{table}{condition}) TO STDOUT",
        columns.join(", ")
    )
}

/// The rows of one table.
pub struct CopyRows {
    stream: Pin<Box<CopyOutStream>>,
    doing: String,
    ended: bool,
}

impl CopyRows {
    /// The next rows; nothing after the last or after an error.
    pub async fn next(&mut self) -> Option<Result<CopyBlock, Error>> {
        if self.ended {
            return None;
        }
        let mut block = CopyBlock::default();
        while block.bytes.len() < BLOCK_BYTES {
            match self.stream.next().await {
                Some(Ok(row)) => block.push(&row),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(Error::client(&self.doing, error)));
                }
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        (!block.bytes.is_empty()).then_some(Ok(block))
    }
}

/// Rows are gathered to blocks of about this size.
const BLOCK_BYTES: usize = 128 << 10;

/// Several rows, for [`parse_copy_row`](crate::parse_copy_row).
#[derive(Clone, Debug, Default)]
pub struct CopyBlock {
    /// Whole lines; each ends with a newline, and holds no other.
    bytes: BytesMut,
}

impl CopyBlock {
    fn push(&mut self, row: &Bytes) {
        if self.bytes.is_empty() {
            self.bytes.reserve(BLOCK_BYTES + row.len());
        }
        self.bytes.extend_from_slice(row);
    }

    /// Each row without its newline.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        // A row without columns is an empty line; a block without rows is never handed out.
        whole.split(|&byte| byte == b'\n')
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::RelationColumn;

    use super::*;

    #[test]
    fn visibility_reads_what_the_server_writes() {
        let read = |text| Visibility::parse(text).map(|it| (it.xmax, it.unseen));
        assert_eq!(read("10:20:10,14,15"), Some((20, vec![10, 14, 15])));
        assert_eq!(read("10:10:"), Some((10, vec![])));
        for text in ["", "10", "10:20", "10:x:", "10:20:1,x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_copy_names_its_columns_and_leaves_children_out() {
        let column = |name: &str| RelationColumn {
            name: name.into(),
            type_oid: 23,
            type_modifier: -1,
            in_identity: false,
        };
        let relation = Relation {
            oid: 1,
            schema: "s".into(),
            name: "t\"t".into(),
            replica_identity: walferry_event::ReplicaIdentity::Default,
            columns: vec![column("a"), column("B b")],
        };
        assert_eq!(
            copy_command(&relation, false, None),
            "COPY (SELECT \"a\", \"B b\" FROM ONLY \"s\".\"t\"\"t\") TO STDOUT"
        );
        assert_eq!(
            copy_command(&relation, true, Some("a > 1")),
            "COPY (SELECT \"a\", \"B b\" FROM \"s\".\"t\"\"t\" WHERE (a > 1)) TO STDOUT"
        );
    }

    #[test]
    fn a_block_gives_back_its_rows() {
        let mut block = CopyBlock::default();
        for row in [&b"1\ta\n"[..], b"\n", b"3\t\\n\n"] {
            block.push(&Bytes::copy_from_slice(row));
        }
        let lines: Vec<&[u8]> = block.lines().collect();
        assert_eq!(lines, [&b"1\ta"[..], b"", b"3\t\\n"]);
    }
}
