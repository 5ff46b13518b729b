//! The consistent snapshot: rows that were there before the slot, read from the snapshot that its creation exported.
//!
//! Owns the order of tables and rows and their marks (`first`, `last_in_data_collection`, …). Runs on the encode thread,
//! because each row goes straight from COPY text to Avro. Never moves the start of the stream: that is the slot's
//! consistent point.
//! Invariant: the cursor (rows per table) is in the same Kafka transaction as its rows.

use std::sync::Arc;

use serde::Serialize;
use walferry_event::{Datum, Lsn, Origin, Position, Relation, SnapshotMark};
use walferry_postgres::{ConnectConfig, SnapshotReader, parse_copy_row};

use crate::{
    encode::{Encoder, now_us},
    error::Error,
    status::Status,
};

/// How far a snapshot has come: the `snapshot` field of the checkpoint record, and of `/status`.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// Where the stream will start: the rows are as of here.
    pub consistent_point: Lsn,
    /// Whether every row has been published.
    pub finished: bool,
    /// Per table.
    pub tables: Vec<TableProgress>,
}

/// How far the snapshot of one table has come.
#[derive(Clone, Debug, Serialize)]
pub struct TableProgress {
    /// `schema.table`.
    pub name: String,
    /// Rows encoded.
    pub rows: u64,
    /// Rows as the planner's statistics have it; 0 when unknown.
    pub rows_estimated: u64,
    /// `waiting`, `running` or `done`.
    pub state: TableState,
}

/// The state of one table's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// Not begun.
    Waiting,
    /// Being read.
    Running,
    /// Read.
    Done,
}

/// A table to read.
pub(crate) struct Source {
    /// As the stream would describe it.
    pub(crate) relation: Relation,
    /// From the planner's statistics.
    pub(crate) rows_estimated: u64,
}

/// A snapshot to take.
pub(crate) struct Task {
    pub(crate) connect: ConnectConfig,
    pub(crate) snapshot_name: String,
    pub(crate) consistent_point: Lsn,
    /// The first transaction that had not begun when the snapshot was made: the rows' `txId`, which is where Debezium puts
    /// the id of the transaction that reads.
    pub(crate) next_xid: u64,
    pub(crate) tables: Vec<Source>,
}

/// The row that was read last. It is written when it is known whether another one follows.
struct Pending {
    table: usize,
    line: Vec<u8>,
    first_of_all: bool,
    first_in_table: bool,
}

/// Reads every table and encodes its rows.
pub(crate) struct Run<'a> {
    encoder: &'a mut Encoder,
    status: &'a Status,
    runtime: tokio::runtime::Handle,
    task: Task,
    progress: Progress,
    pending: Option<Pending>,
    begun: bool,
    spare: Vec<u8>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        encoder: &'a mut Encoder,
        status: &'a Status,
        runtime: tokio::runtime::Handle,
        task: Task,
    ) -> Run<'a> {
        let tables = task.tables.iter().map(|source| TableProgress {
            name: source.relation.qualified_name(),
            rows: 0,
            rows_estimated: source.rows_estimated,
            state: TableState::Waiting,
        });
        let progress = Progress {
            consistent_point: task.consistent_point,
            finished: false,
            tables: tables.collect(),
        };
        Run {
            encoder,
            status,
            runtime,
            task,
            progress,
            pending: None,
            begun: false,
            spare: Vec::new(),
        }
    }

    /// Reads all tables. `stopped` ends it early; the rows that were published stay, and a later start begins anew.
    pub(crate) fn run(mut self, stopped: impl Fn() -> bool) -> Result<(), Error> {
        let runtime = self.runtime.clone();
        let begun = SnapshotReader::begin(&self.task.connect, &self.task.snapshot_name);
        let reader = runtime.block_on(begun)?;
        for table in 0..self.task.tables.len() {
            self.table(&reader, table, &stopped)?;
        }
        if let Some(last) = self.pending.take() {
            self.write(last, SnapshotMark::Last)?;
        }
        self.progress.finished = true;
        self.mark()?;
        tracing::info!(target: "audit", lsn = %self.task.consistent_point,
            rows = self.progress.tables.iter().map(|t| t.rows).sum::<u64>(), "snapshot complete");
        Ok(())
    }

    fn table(
        &mut self,
        reader: &SnapshotReader,
        table: usize,
        stopped: &impl Fn() -> bool,
    ) -> Result<(), Error> {
        let relation = self.task.tables[table].relation.clone();
        let name = relation.qualified_name();
        tracing::info!(target: "audit", table = name, "snapshot of a table begins");
        self.progress.tables[table].state = TableState::Running;
        let runtime = self.runtime.clone();
        let mut rows = runtime.block_on(reader.copy(&relation))?;
        let mut first_in_table = true;
        while let Some(block) = runtime.block_on(rows.next()) {
            let block = block?;
            if first_in_table {
                // A table without rows gets its schema and its topic with its first change.
                self.encoder.relations().learn(relation.clone());
            }
            for line in block.lines() {
                self.row(table, line, std::mem::take(&mut first_in_table))?;
            }
            if self.encoder.builder.is_full() {
                self.mark()?;
            }
            if stopped() {
                return Err(Error::stopped());
            }
        }
        self.progress.tables[table].state = TableState::Done;
        tracing::info!(target: "audit", table = name, "snapshot of a table is complete");
        self.mark()
    }

    /// Keeps a row back until the next one, or the end, says which mark it gets.
    fn row(&mut self, table: usize, line: &[u8], first_in_table: bool) -> Result<(), Error> {
        if let Some(before) = self.pending.take() {
            let last_in_table = before.table != table;
            let mark = match (before.first_of_all, before.first_in_table) {
                (true, _) => SnapshotMark::First,
                _ if last_in_table => SnapshotMark::LastInTable,
                (_, true) => SnapshotMark::FirstInTable,
                _ => SnapshotMark::Inner,
            };
            self.write(before, mark)?;
        }
        let mut kept = std::mem::take(&mut self.spare);
        kept.clear();
        kept.extend_from_slice(line);
        self.pending = Some(Pending {
            table,
            line: kept,
            first_of_all: !std::mem::replace(&mut self.begun, true),
            first_in_table,
        });
        Ok(())
    }

    fn write(&mut self, row: Pending, snapshot: SnapshotMark) -> Result<(), Error> {
        let relation = &self.task.tables[row.table].relation;
        let mut scratch = Vec::new();
        let mut datums: Vec<Datum<'_>> = Vec::with_capacity(relation.columns.len());
        parse_copy_row(&row.line, &mut scratch, &mut datums).map_err(|error| {
            Error::from(error).context(format!("snapshot of table {}", relation.qualified_name()))
        })?;
        let now = now_us();
        let origin = Origin {
            commit_us: now,
            encoded_us: now,
            lsn: self.task.consistent_point,
            // In the log an id has 32 bits.
            xid: (self.task.next_xid & u64::from(u32::MAX)) as u32,
            snapshot,
            ..Origin::default()
        };
        self.encoder.read_row(relation.oid, &datums, &origin)?;
        let progress = &mut self.progress.tables[row.table];
        progress.rows += 1;
        self.spare = row.line;
        Ok(())
    }

    /// Hands over what is encoded, with the cursor.
    fn mark(&mut self) -> Result<(), Error> {
        let progress = Arc::new(self.progress.clone());
        self.status.set_snapshot(progress.clone());
        let connector = self.status.name().to_owned();
        for table in &progress.tables {
            let labels = [
                ("connector", connector.clone()),
                ("table", table.name.clone()),
            ];
            metrics::counter!("walferry_snapshot_rows_total", &labels).absolute(table.rows);
            let estimated = table.rows_estimated.max(table.rows).max(1);
            let ratio = match table.state {
                TableState::Done => 1.0,
                _ => table.rows as f64 / estimated as f64,
            };
            metrics::gauge!("walferry_snapshot_progress_ratio", &labels).set(ratio);
        }
        let position = Position::at(self.task.consistent_point);
        self.encoder.builder.snapshot(position, progress);
        self.encoder.seal(self.progress.finished)
    }
}
