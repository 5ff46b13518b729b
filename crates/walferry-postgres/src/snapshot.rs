//! Reading the rows of tables: from the snapshot that a slot's creation exported, or from one of our own while the stream runs.
//!
//! Owns [`SnapshotReader`] (a session that enters one snapshot after the other), [`TableScan`] (a table's order and how it is
//! cut), [`Contents`] (what a range of a table belongs to), [`Visibility`] (whose changes a snapshot sees) and COPY out of it.
//! Never: decides what to read, or when.
//! Invariants: every row between `enter` and `leave` is of one snapshot; a session writes nothing.
//! Source: PostgreSQL documentation, "Snapshot Synchronization Functions", COPY, `pg_snapshot`.
//!
//! Start reading at [`SnapshotReader`], then `scan`.

mod contents;
mod copy;
mod order;
mod questions;
mod scan;
mod visibility;

use walferry_event::{Lsn, Relation, RelationColumn, RowKey, RowRange};

use crate::{
    ConnectConfig, Error, catalog, kind::Kind, quote::quote_literal, session::unexpected,
    session_settings::BYTES_AS_THEY_ARE,
};

pub use contents::{Contents, Replaced};
pub use copy::{CopyBlock, CopyRows};
pub use scan::TableScan;
pub use visibility::Visibility;

use questions::Questions;

/// A session that reads rows.
pub struct SnapshotReader {
    session: Questions,
    place: String,
    row_bytes_max: u64,
}

/// The rows of pages come in the order in which they lie from a scan of the pages alone, which is not sorted; an index that fits
/// a condition would give them in its own.
const BY_PLACE: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; \
    SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = on; SET LOCAL enable_tidscan = on";

/// A snapshot that was entered while the stream runs.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Whose changes it sees.
    pub visibility: Visibility,
    /// Every transaction whose changes it sees has its commit record before this.
    pub wal_insert: Lsn,
}

impl SnapshotReader {
    /// Opens a session whose statements may take `statement_timeout_ms` each; 0 for any time.
    ///
    /// # Errors
    /// Nobody answers, or TLS or the log-in is refused.
    pub async fn connect(
        config: &ConnectConfig,
        statement_timeout_ms: u64,
    ) -> Result<SnapshotReader, Error> {
        let reader = SnapshotReader {
            session: Questions(catalog::open(config).await?),
            place: config.place(),
            row_bytes_max: config.message_bytes_max,
        };
        // Rows of a page range come in its order only from one process that begins at its beginning.
        let settings = format!(
            "SET statement_timeout = {statement_timeout_ms}; SET max_parallel_workers_per_gather = 0; \
             SET synchronize_seqscans = off; {BYTES_AS_THEY_ARE}"
        );
        reader
            .session
            .command("setting up a reader", &settings)
            .await?;
        Ok(reader)
    }

    /// Begins a transaction in an exported snapshot.
    ///
    /// # Errors
    /// The session that exported the snapshot has ended, or has done something else since.
    pub async fn enter(&self, snapshot_name: &str) -> Result<(), Error> {
        let begin = format!(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            quote_literal(snapshot_name)
        );
        self.session
            .command("entering the exported snapshot", &begin)
            .await
    }

    /// Begins a transaction in a snapshot of now, and keeps the table as it is for as long as that lasts. The lock comes first: a
    /// rewrite between a snapshot and the first reading would hide rows from it.
    pub async fn enter_now(&self, scan: &TableScan) -> Result<Moment, Error> {
        let doing = "taking a snapshot";
        self.begin_locked(scan).await?;
        // The snapshot is taken before the statement runs, and the WAL's end is looked at while it runs: so each commit
        // that the snapshot sees is before that end. The end of flushed WAL would not do, because an asynchronous commit is
        // visible before it is flushed.
        let rows = self
            .session
            .rows(
                doing,
                "SELECT pg_catalog.pg_current_snapshot()::text, (CASE WHEN pg_catalog.pg_is_in_recovery() \
                 THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text",
            )
            .await?;
        let [Some(visibility), Some(lsn)] = rows.first().map_or(&[][..], Vec::as_slice) else {
            return Err(unexpected(doing, "no snapshot"));
        };
        Ok(Moment {
            visibility: visibility.parse()?,
            wal_insert: lsn
                .parse()
                .map_err(|error| Error::protocol(format!("{doing}: {error}")))?,
        })
    }

    /// Where the WAL ends now: every commit that anybody has seen is before it.
    pub async fn wal_insert(&self) -> Result<Lsn, Error> {
        let doing = "asking for the end of the WAL";
        let question = "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() \
             THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text";
        let lsn = self.session.text(doing, question).await?;
        lsn.parse()
            .map_err(|error| Error::protocol(format!("{doing}: {error}")))
    }

    /// Begins a transaction whose snapshot is no older than its lock on the table.
    async fn begin_locked(&self, scan: &TableScan) -> Result<(), Error> {
        const TRIES_MAX: u32 = 5;
        let doing = &format!("locking table {}", scan.relation.qualified_name());
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
        for _ in 0..TRIES_MAX {
            self.session.command(doing, begin).await?;
            self.lock(scan).await?;
            if !scan.columns_only || self.is_as_locked(doing, scan).await? {
                return Ok(());
            }
            self.leave().await?;
        }
        let message = format!("{doing}: it was rewritten a moment ago");
        Err(Error::new(Kind::Stale, message))
    }

    /// Whether the files that the snapshot knows are those that are locked: a lock by reading comes behind the snapshot.
    async fn is_as_locked(&self, doing: &str, scan: &TableScan) -> Result<bool, Error> {
        let oid = scan.relation.oid;
        let question = format!(
            "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_class c
             WHERE (c.oid = {oid} OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree({oid}) t)) AND c.relkind = 'r'
               AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode"
        );
        Ok(self.session.text(doing, &question).await? == "0")
    }

    /// Keeps the table, and what is read with it, from being rewritten, truncated or dropped until the transaction ends. Who may read
    /// some columns alone may not lock it by name, but a reading locks it as well.
    pub async fn lock(&self, scan: &TableScan) -> Result<(), Error> {
        let doing = format!("locking table {}", scan.relation.qualified_name());
        if scan.columns_only {
            let question = format!("SELECT {} FROM {} LIMIT 0", scan.columns(), scan.from());
            return self.session.command(&doing, &question).await;
        }
        let command = format!("LOCK TABLE {} IN ACCESS SHARE MODE", scan.from());
        self.session.command(&doing, &command).await
    }

    /// What the snapshot that was entered sees.
    pub async fn visibility(&self) -> Result<Visibility, Error> {
        let doing = "asking for the snapshot";
        self.session
            .text(doing, "SELECT pg_catalog.pg_current_snapshot()::text")
            .await?
            .parse()
    }

    /// Exports the snapshot that was entered, for as long as this transaction lives.
    pub async fn export(&self) -> Result<String, Error> {
        let doing = "exporting a snapshot";
        self.session
            .text(doing, "SELECT pg_catalog.pg_export_snapshot()")
            .await
    }

    /// Ends the transaction; its locks are let go.
    pub async fn leave(&self) -> Result<(), Error> {
        self.session.command("ending a read", "ROLLBACK").await
    }

    /// Transactions that were begun since the oldest one that `visibility` waits for: what its holder keeps vacuum from.
    pub async fn age(&self, visibility: &Visibility) -> Result<u64, Error> {
        let doing = "asking for the next transaction id";
        let next = self
            .session
            .text(
                doing,
                "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text",
            )
            .await?;
        let next: u64 = next.parse().map_err(|_| unexpected(doing, "no number"))?;
        Ok(next.saturating_sub(visibility.xmin()))
    }

    /// Takes a transaction id and lets it go: its end is flushed soon, and the WAL before it.
    pub async fn nudge(&self) -> Result<(), Error> {
        let question = "SELECT pg_catalog.pg_current_xact_id()::text";
        self.session
            .text("having the WAL flushed", question)
            .await
            .map(drop)
    }

    /// How a table is ordered and how large it is. Needs no transaction.
    pub async fn scan(&self, relation: &Relation) -> Result<TableScan, Error> {
        scan::describe(&self.session, relation).await
    }

    /// What the table's rows are read from now; it stays so while the table is locked.
    ///
    /// # Errors
    /// The table is not as `scan` has it any more, or its policies would hide rows from the role.
    pub async fn contents(
        &self,
        scan: &TableScan,
        filter: Option<&str>,
    ) -> Result<Contents, Error> {
        contents::ask(&self.session, scan, filter).await
    }

    /// An error that says so when the relation's columns are not as the snapshot has them.
    pub async fn expect_shape(&self, relation: &Relation) -> Result<(), Error> {
        let doing = format!("reading table {}", relation.qualified_name());
        let question = format!(
            "SELECT attname, atttypid FROM pg_catalog.pg_attribute
             WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped",
            relation.oid
        );
        let rows = self.session.rows(&doing, &question).await?;
        let is_there = |it: &RelationColumn| {
            let type_oid = it.type_oid.to_string();
            rows.iter().any(|row| match row.as_slice() {
                [Some(name), Some(of)] => *name == it.name && *of == type_oid,
                _ => false,
            })
        };
        if relation.columns.iter().all(is_there) {
            return Ok(());
        }
        let message = format!("{doing}: its columns were changed a moment ago");
        Err(Error::new(Kind::Stale, message))
    }

    /// Keys that cut `range` into parts of about `chunk_rows` rows.
    pub async fn cut(
        &self,
        scan: &TableScan,
        range: &RowRange,
        chunk_rows: u64,
    ) -> Result<Vec<RowKey>, Error> {
        let Some(command) = scan.cut_command(range, chunk_rows) else {
            return Ok(scan.cut_pages(range, chunk_rows));
        };
        let mut keys = Vec::new();
        let mut rows = self.copy_command(scan, &command).await?;
        while let Some(block) = rows.next().await {
            for line in block?.lines() {
                keys.push(scan.parse_key_line(line)?);
            }
        }
        Ok(keys)
    }

    /// The rows of `range`, in order; no more than `rows_max` of them when that is given.
    pub async fn copy(
        &self,
        scan: &TableScan,
        range: &RowRange,
        rows_max: Option<u64>,
    ) -> Result<CopyRows, Error> {
        self.copy_command(scan, &scan.copy_command(range, rows_max))
            .await
    }

    /// Every row of a table that fits its condition, in any order: the relation's columns, in theirs.
    pub async fn copy_all(&self, scan: &TableScan) -> Result<CopyRows, Error> {
        self.copy_command(scan, &scan.copy_all_command()).await
    }

    async fn copy_command(&self, scan: &TableScan, command: &str) -> Result<CopyRows, Error> {
        let table = scan.relation.qualified_name();
        let doing = format!(
            "reading table {table} for the snapshot, from {}",
            self.place
        );
        if !scan.has_key() {
            self.session.command(&doing, BY_PLACE).await?;
        }
        let stream = self.session.copy_out(&doing, command).await?;
        Ok(CopyRows::new(stream, doing, self.row_bytes_max))
    }
}
