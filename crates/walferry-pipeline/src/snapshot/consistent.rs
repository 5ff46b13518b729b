//! The consistent snapshot on the encode thread: what the readers tell becomes records, marks and the cursor.
//!
//! Owns the order of rows' marks (`first`, `last_in_data_collection`, …) and the cursor of each range while it is read. Each row goes
//! straight from COPY's text to Avro. Never reads a table itself.
//! Invariants: the cursor behind a row is in the same Kafka transaction as the row, or a later one; a range is done only with
//! its last row. What is left when the snapshot is gone goes on as chunks beside the stream (`Outcome::Left`).

use std::{sync::Arc, time::Duration};

use tokio::time;
use walferry_event::{Datum, Lsn, Origin, Position, SnapshotMark};
use walferry_postgres::{CopyBlock, TableScan, parse_copy_row};

use crate::{
    clock::now_us,
    config::Config,
    encode::Encoder,
    error::Error,
    position::snapshot_progress::{Progress, TableState},
    snapshot::readers::{Anchor, Source, Told, Unit, start},
};

/// A consistent snapshot to take.
pub(crate) struct Task {
    pub(crate) config: Arc<Config>,
    pub(crate) anchor: Anchor,
    pub(crate) consistent_point: Lsn,
    pub(crate) sources: Vec<Source>,
    pub(crate) progress: Progress,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every row has been encoded.
    Complete,
    /// Something is left, to be read beside the stream.
    Left,
}

/// A row that is kept back until it is known whether it is the last one.
struct Kept {
    unit: Unit,
    line: Vec<u8>,
    first_in_table: bool,
    /// Its range was read to the end: with this row it is done.
    range_ended: bool,
}

/// One table's state on the encode thread.
struct Table {
    source_relation: walferry_event::Relation,
    job: usize,
    scan: Option<Arc<TableScan>>,
    begun: bool,
    ranges_open: usize,
    /// The last row of the table so far.
    kept: Option<Kept>,
}

/// The taking of it.
pub(crate) struct Run<'a> {
    encoder: &'a mut Encoder,
    progress: Progress,
    tables: Vec<Table>,
    consistent_point: Lsn,
    /// The first transaction that had not begun when the snapshot was made: the rows' `txId`, which is where Debezium puts
    /// the id of the transaction that reads.
    next_xid: u32,
    begun: bool,
    /// The last row of the table that ended last: `last_in_data_collection`, or `last` when nothing follows.
    tail: Option<Kept>,
    left: bool,
    /// When the rows that are written now were read, in microseconds since 1970.
    read_us: i64,
    /// The values of the row before, empty: room for those of the next.
    room: Vec<Datum<'static>>,
}

/// How often a wait for rows looks at the stop.
const LOOK: Duration = Duration::from_millis(100);

impl<'a> Run<'a> {
    /// Takes the snapshot. `stopped` ends it early; what is left goes on at the next start.
    pub(crate) fn run(
        encoder: &'a mut Encoder,
        task: Task,
        runtime: &tokio::runtime::Handle,
        alive: impl Fn(),
        stopped: impl Fn() -> bool,
    ) -> Result<(Progress, Outcome), Error> {
        let tables = task.sources.iter().map(|source| Table {
            source_relation: source.relation.clone(),
            job: source.job,
            scan: None,
            begun: false,
            ranges_open: 0,
            kept: None,
        });
        let mut run = Run {
            encoder,
            tables: tables.collect(),
            progress: task.progress,
            consistent_point: task.consistent_point,
            // In the log an id has 32 bits.
            next_xid: (task.anchor.visibility.xmax() & u64::from(u32::MAX)) as u32,
            begun: false,
            tail: None,
            left: false,
            read_us: now_us(),
            room: Vec::new(),
        };
        let relations: Vec<_> = task.sources.iter().map(|it| it.relation.clone()).collect();
        let config = &task.config;
        let (mut heard, halt) = runtime.block_on(async {
            start(
                task.anchor,
                config.source.connect.clone(),
                config.snapshot.clone(),
                config.errors.clone(),
                task.sources,
                config.publish.wire_bytes_max(),
                config.name.clone(),
            )
        });
        // The readers have begun meanwhile.
        run.encoder.relations().prepare(&relations);
        let outcome = loop {
            alive();
            if stopped() {
                break Err(Error::stopped());
            }
            let told = runtime.block_on(async { time::timeout(LOOK, heard.recv()).await });
            let step = match told {
                Err(_) => continue,
                Ok(None) => break run.finish(),
                Ok(Some(Told::Gone(reason))) => {
                    tracing::warn!(target: "audit", reason,
                        "the consistent snapshot ends early: what is left is read beside the stream");
                    run.left = true;
                    break run.finish();
                }
                Ok(Some(told)) => run.told(told),
            };
            if let Err(error) = step {
                break Err(error);
            }
        };
        halt.send_replace(true);
        let outcome = outcome.map(|()| match run.left {
            true => Outcome::Left,
            false => Outcome::Complete,
        })?;
        Ok((run.progress, outcome))
    }

    fn told(&mut self, told: Told) -> Result<(), Error> {
        match told {
            Told::Cut(table, scan, ranges) => {
                let job = &mut self.progress.tables[self.tables[table].job];
                job.shown.state = TableState::Running;
                job.shown.rows_estimated = scan.rows_estimated;
                job.left = ranges;
                let ranges = job.left.len();
                tracing::info!(target: "audit", table = job.shown.name, ranges, "snapshot of a table begins");
                self.tables[table].ranges_open = ranges;
                self.tables[table].scan = Some(scan);
                if ranges == 0 {
                    self.table_done(table)?;
                }
                Ok(())
            }
            Told::Rows(unit, block, permit) => {
                self.read_us = now_us();
                self.rows(&unit, &block)?;
                drop(permit);
                if self.encoder.builder.is_full() {
                    self.mark()?;
                }
                Ok(())
            }
            Told::Ended(unit) => self.range_ended(&unit),
            Told::Left(unit, reason) => {
                let name = self.tables[unit.table].source_relation.qualified_name();
                tracing::warn!(target: "audit", table = name, reason, "a range is left to be read beside the stream");
                self.left = true;
                self.tables[unit.table].ranges_open -= 1;
                Ok(())
            }
            Told::Skipped(table, reason) => {
                let name = self.tables[table].source_relation.qualified_name();
                tracing::warn!(target: "audit", table = name, reason, "a table is left to be read beside the stream");
                self.left = true;
                Ok(())
            }
            Told::Gone(_) => Ok(()),
            Told::Failed(error) => Err(Error::from(error)),
        }
    }

    fn rows(&mut self, unit: &Unit, block: &CopyBlock) -> Result<(), Error> {
        let table = &mut self.tables[unit.table];
        if !table.begun {
            // A table without rows gets its schema and its topic with its first change.
            let relation = table.source_relation.clone();
            self.encoder.relations().learn(relation);
        }
        let mut lines = block.lines().peekable();
        if let Some(kept) = table.kept.take() {
            self.write_kept(kept, SnapshotMark::Inner)?;
        }
        while let Some(line) = lines.next() {
            let first = !std::mem::replace(&mut self.tables[unit.table].begun, true);
            if lines.peek().is_some() {
                self.write_tail()?;
                let mark = self.place(first);
                self.write(unit.table, line, mark)?;
                if self.encoder.builder.is_full() {
                    self.advance(unit, line)?;
                    self.mark()?;
                }
            } else {
                self.tables[unit.table].kept = Some(Kept {
                    unit: unit.clone(),
                    line: line.to_vec(),
                    first_in_table: first,
                    range_ended: false,
                });
            }
        }
        // All but the row that is kept back.
        if let Some(line) = block.lines().nth_back(1) {
            self.advance(unit, line)?;
        }
        Ok(())
    }

    /// The mark of a row that is not the last one of its table.
    fn place(&mut self, first_in_table: bool) -> SnapshotMark {
        if !std::mem::replace(&mut self.begun, true) {
            SnapshotMark::First
        } else if first_in_table {
            SnapshotMark::FirstInTable
        } else {
            SnapshotMark::Inner
        }
    }

    fn write_kept(&mut self, kept: Kept, last: SnapshotMark) -> Result<(), Error> {
        self.write_tail()?;
        let mark = match last {
            SnapshotMark::Inner => self.place(kept.first_in_table),
            SnapshotMark::LastInTable if !std::mem::replace(&mut self.begun, true) => {
                SnapshotMark::First
            }
            last => last,
        };
        self.write(kept.unit.table, &kept.line, mark)?;
        self.advance(&kept.unit, &kept.line)?;
        if kept.range_ended {
            self.range_done(&kept.unit);
        }
        Ok(())
    }

    fn write(&mut self, table: usize, line: &[u8], snapshot: SnapshotMark) -> Result<(), Error> {
        let relation = &self.tables[table].source_relation;
        let mut scratch = Vec::new();
        let mut datums = emptied(std::mem::take(&mut self.room));
        parse_copy_row(line, &mut scratch, &mut datums).map_err(|error| {
            Error::from(error).context(format!("snapshot of table {}", relation.qualified_name()))
        })?;
        datums.truncate(relation.columns.len());
        let origin = Origin {
            commit_us: self.read_us,
            encoded_us: self.read_us,
            lsn: self.consistent_point,
            xid: self.next_xid,
            snapshot,
            ..Origin::default()
        };
        self.encoder.read_row(relation.oid, &datums, &origin)?;
        self.room = emptied(datums);
        self.progress.tables[self.tables[table].job].shown.rows += 1;
        Ok(())
    }

    /// The row of `line`, and every one before it in its range, is in the block.
    fn advance(&mut self, unit: &Unit, line: &[u8]) -> Result<(), Error> {
        let table = &self.tables[unit.table];
        let Some(scan) = &table.scan else {
            return Ok(());
        };
        let (mut scratch, mut row) = (Vec::new(), Vec::new());
        parse_copy_row(line, &mut scratch, &mut row)?;
        let key = scan.key_of(&row)?;
        let job = &mut self.progress.tables[table.job];
        if let Some(range) = job
            .left
            .iter()
            .position(|range| range.until == unit.range.until)
        {
            job.advance(range, key);
        }
        Ok(())
    }

    fn range_ended(&mut self, unit: &Unit) -> Result<(), Error> {
        let table = &mut self.tables[unit.table];
        table.ranges_open -= 1;
        let last = table.ranges_open == 0;
        let until = &unit.range.until;
        match table.kept.take_if(|kept| kept.unit.range.until == *until) {
            Some(mut kept) => {
                kept.range_ended = true;
                if last {
                    table.kept = Some(kept);
                } else {
                    self.write_kept(kept, SnapshotMark::Inner)?;
                }
            }
            None => self.range_done(unit),
        }
        if last {
            self.table_done(unit.table)?;
        }
        Ok(())
    }

    fn range_done(&mut self, unit: &Unit) {
        let job = &mut self.progress.tables[self.tables[unit.table].job];
        job.left.retain(|range| range.until != unit.range.until);
    }

    /// All ranges of a table were read: its last row waits to know whether it is the last of all.
    fn table_done(&mut self, table: usize) -> Result<(), Error> {
        if let Some(kept) = self.tables[table].kept.take() {
            self.write_tail()?;
            self.tail = Some(kept);
        } else {
            self.close(table);
        }
        self.mark_if_any()
    }

    /// The last row of the table that ended last is not the last of all any more. It is written before the mark of what
    /// follows is decided.
    fn write_tail(&mut self) -> Result<(), Error> {
        match self.tail.take() {
            Some(tail) => self.end_tail(tail, SnapshotMark::LastInTable),
            None => Ok(()),
        }
    }

    fn end_tail(&mut self, tail: Kept, mark: SnapshotMark) -> Result<(), Error> {
        let table = tail.unit.table;
        self.write_kept(tail, mark)?;
        self.close(table);
        Ok(())
    }

    fn close(&mut self, table: usize) {
        let job = &mut self.progress.tables[self.tables[table].job];
        if job.left.is_empty() {
            job.shown.state = TableState::Done;
            tracing::info!(target: "audit", table = job.shown.name, rows = job.shown.rows,
                "snapshot of a table is complete");
        }
    }

    /// Nothing more comes: rows that are kept back are written.
    fn finish(&mut self) -> Result<(), Error> {
        for table in 0..self.tables.len() {
            if let Some(kept) = self.tables[table].kept.take() {
                self.write_kept(kept, SnapshotMark::Inner)?;
            }
        }
        if let Some(tail) = self.tail.take() {
            let mark = if self.left {
                SnapshotMark::LastInTable
            } else {
                SnapshotMark::Last
            };
            self.end_tail(tail, mark)?;
        }
        self.left = !self.progress.finished();
        if !self.left {
            let rows: u64 = self
                .progress
                .tables
                .iter()
                .map(|table| table.shown.rows)
                .sum();
            tracing::info!(target: "audit", lsn = %self.consistent_point, rows, "snapshot complete");
        }
        self.mark()
    }

    fn mark_if_any(&mut self) -> Result<(), Error> {
        if self.encoder.builder.is_empty() {
            return Ok(());
        }
        self.mark()
    }

    /// Hands over what is encoded, with the cursor.
    fn mark(&mut self) -> Result<(), Error> {
        let progress = Arc::new(self.progress.clone());
        let position = Position::at(self.consistent_point);
        self.encoder.builder.snapshot(position, progress);
        self.encoder.seal(self.progress.finished())
    }
}

/// The same room, for values of another row.
fn emptied<'a>(datums: Vec<Datum<'_>>) -> Vec<Datum<'a>> {
    datums.into_iter().map_while(|_| None).collect()
}
