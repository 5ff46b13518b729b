//! The readers of the consistent snapshot: sessions in the snapshot that the slot's creation exported.
//!
//! Owns the anchor (a session that holds the snapshot and re-exports it, so that a reader may come back), the queue of ranges, and the
//! readers' tasks. Each range is read in a transaction of its own, so that a table's lock is not held for longer than that. Never:
//! encodes; writes a cursor.
//! Invariant: a reader that begins a range anew goes on behind the last row that it has handed over.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time,
};
use tracing::Instrument;
use walferry_event::{Relation, RowKey, RowRange};
use walferry_postgres::{
    Contents, CopyBlock, SnapshotReader, TableScan, Visibility, parse_copy_row,
};

use crate::{
    config::{ConnectConfig, Errors, Snapshot},
    error::Passing,
    kept::taken_or_opened,
    retry::{self, Retry},
};

/// A table to read.
pub(crate) struct Source {
    /// As the stream would describe it.
    pub(crate) relation: Relation,
    /// Which of its rows are published, as SQL.
    pub(crate) condition: Option<String>,
    /// What it was read from before the slot was created.
    pub(crate) contents: Contents,
    /// What is left of it, and its number among all of the progress.
    pub(crate) left: Vec<RowRange>,
    pub(crate) job: usize,
}

/// What a reader has to say, in the order in which it holds for its range.
pub(crate) enum Told {
    /// A table was cut into these ranges.
    Cut(usize, Arc<TableScan>, Vec<RowRange>),
    /// Rows of a range, in order.
    Rows(Unit, CopyBlock, OwnedSemaphorePermit),
    /// A range was read to its end.
    Ended(Unit),
    /// A table cannot be read in this snapshot at all: it is left for the chunks beside the stream.
    Skipped(usize, String),
    /// A range cannot be read in this snapshot any more: it is left for the chunks beside the stream.
    Left(Unit, String),
    /// The snapshot is gone or has to be let go: all that is left is for the chunks beside the stream.
    Gone(String),
    /// Nothing can read it.
    Failed(walferry_postgres::Error),
}

/// A range of a table. Ends are told apart by `until`, which stays the same while `after` moves.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) table: usize,
    pub(crate) range: RowRange,
}

/// What all readers share.
struct Shared {
    connect: ConnectConfig,
    config: Snapshot,
    errors: Errors,
    snapshot_name: String,
    sources: Vec<Source>,
    queue: Mutex<Queue>,
    told: mpsc::Sender<Told>,
    memory: Arc<Semaphore>,
    memory_kib: u32,
    stop: watch::Receiver<bool>,
}

#[derive(Default)]
struct Queue {
    next_table: usize,
    units: VecDeque<(Arc<TableScan>, Unit)>,
}

/// Messages that wait for the encoder; their rows are bounded in bytes beside.
const TOLD_MAX: usize = 16;
/// How often the age of the snapshot is looked at.
const AGE_EVERY: Duration = Duration::from_secs(2);

/// The session that holds the snapshot for as long as it is needed.
pub(crate) struct Anchor {
    reader: SnapshotReader,
    pub(crate) snapshot_name: String,
    pub(crate) visibility: Visibility,
}

impl Anchor {
    /// Enters the snapshot that the slot's creation exported and exports it anew.
    pub(crate) async fn hold(
        reader: SnapshotReader,
        exported: &str,
    ) -> Result<Anchor, walferry_postgres::Error> {
        reader.enter(exported).await?;
        Ok(Anchor {
            visibility: reader.visibility().await?,
            snapshot_name: reader.export().await?,
            reader,
        })
    }
}

/// Starts the readers; what they tell comes out of the channel, which ends when all have ended.
pub(crate) fn start(
    anchor: Anchor,
    connect: ConnectConfig,
    config: Snapshot,
    errors: Errors,
    sources: Vec<Source>,
    memory_bytes: u64,
    connector: String,
) -> (mpsc::Receiver<Told>, watch::Sender<bool>) {
    let (told, heard) = mpsc::channel(TOLD_MAX);
    let (halt, stop) = watch::channel(false);
    let memory_kib = u32::try_from(memory_bytes / 1024)
        .unwrap_or(u32::MAX)
        .max(1);
    let readers = config.readers;
    let shared = Arc::new(Shared {
        connect,
        config,
        errors,
        snapshot_name: anchor.snapshot_name.clone(),
        sources,
        queue: Mutex::default(),
        told,
        memory: Arc::new(Semaphore::new(memory_kib as usize)),
        memory_kib,
        stop,
    });
    let span = tracing::Span::current();
    let watch = watch_age(anchor, shared.clone(), connector);
    let watching = tokio::spawn(watch.instrument(span.clone()));
    let readers = async move {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..readers.max(1) {
            tasks.spawn(read_all(shared.clone()).instrument(tracing::Span::current()));
        }
        while tasks.join_next().await.is_some() {}
        watching.abort();
    };
    tokio::spawn(readers.instrument(span));
    (heard, halt)
}

/// Holds the snapshot, and lets it go when it is too old: vacuum waits for it.
async fn watch_age(anchor: Anchor, shared: Arc<Shared>, connector: String) {
    let gauge = metrics::gauge!("walferry_snapshot_xmin_age", "connector" => connector);
    // The anchor's own transaction sees no new ids.
    let mut asking = None;
    loop {
        let age = ask_age(&shared.connect, &mut asking, &anchor.visibility).await;
        let held = anchor.reader.visibility().await;
        let reason = match (held, age) {
            (Err(error), _) => Some(format!(
                "the session that holds the snapshot was lost: {error}"
            )),
            (Ok(_), Ok(age)) => {
                gauge.set(age as f64);
                let limit = shared.config.xmin_age_max;
                limit.filter(|&max| age > max).map(|max| {
                    format!("it is {age} transactions old, more than snapshot.xmin_age_max = {max}")
                })
            }
            (Ok(_), Err(_)) => None,
        };
        if let Some(reason) = reason {
            gauge.set(0.0);
            let _ = shared.told.send(Told::Gone(reason)).await;
            return;
        }
        time::sleep(AGE_EVERY).await;
    }
}

async fn ask_age(
    connect: &ConnectConfig,
    asking: &mut Option<SnapshotReader>,
    visibility: &Visibility,
) -> Result<u64, walferry_postgres::Error> {
    let open = taken_or_opened(asking, SnapshotReader::connect(connect, 0)).await?;
    let age = open.age(visibility).await?;
    *asking = Some(open);
    Ok(age)
}

async fn read_all(shared: Arc<Shared>) {
    let mut retry = shared.errors.retry();
    let mut open: Option<SnapshotReader> = None;
    let mut unit: Option<(Arc<TableScan>, Unit)> = None;
    loop {
        if *shared.stop.borrow() {
            return;
        }
        let error = match shared.step(&mut open, &mut unit, &mut retry).await {
            Ok(true) => continue,
            Ok(false) => return,
            Err(error) => error,
        };
        open = None;
        let told = if is_gone(&error) {
            Told::Gone(error.to_string())
        } else if is_of_table(&error) && unit.is_some() {
            // What is in the way of this table alone. When it or a column is gone, the stream knows its new shape, and a
            // snapshot from before does not.
            match unit.take() {
                Some((_, unit)) => Told::Left(unit, error.to_string()),
                None => continue,
            }
        } else if error.may_pass() || error.is_shut_out() || cancelled(&error) {
            match retry.failed(error.is_outage() || error.is_shut_out()) {
                Some(pause) => {
                    tracing::warn!(%error, "a reader of the snapshot begins its range anew");
                    retry::pause(pause, None, &mut shared.stop.clone()).await;
                    continue;
                }
                None => Told::Failed(error),
            }
        } else {
            Told::Failed(error)
        };
        let ends = !matches!(told, Told::Left(..));
        if shared.told.send(told).await.is_err() || ends {
            return;
        }
    }
}

/// The exported snapshot is not there any more, which concerns every table: from PostgreSQL 17 on it is an undefined object.
fn is_gone(error: &walferry_postgres::Error) -> bool {
    matches!(error.sqlstate(), Some("22023" | "55000" | "42704"))
}

/// An error that the reading of one table has, and that trying again does not mend; other tables may be read.
///
/// | class | of |
/// |---|---|
/// | 0A, 54 | what the server cannot do, or not with so much |
/// | 22 | a value that an expression, a cast or the client's encoding does not take |
/// | 2F, 38, 39, P0 | a function that a condition or an output calls |
/// | 42 | a table, a column or a function that is not there, or not ours to use; row level security |
/// | XX001, XX002 | rows or indexes that are damaged |
pub fn is_of_table(error: &walferry_postgres::Error) -> bool {
    const CLASSES: [&str; 10] = [
        "0A", "22", "2F", "38", "39", "42", "54", "P0", "XX001", "XX002",
    ];
    let of = |code: &str| CLASSES.iter().any(|class| code.starts_with(class));
    error.is_stale() || !error.may_pass() && error.sqlstate().is_some_and(of)
}

/// A statement was cancelled by a person, a timeout, or a standby's conflict.
pub(super) fn cancelled(error: &walferry_postgres::Error) -> bool {
    matches!(
        error.sqlstate(),
        Some("57014" | "40001" | "25P03" | "55P03" | "57P01")
    )
}

impl Shared {
    /// Takes a range if none is open, and reads it. `false` when there is none left.
    async fn step(
        &self,
        open: &mut Option<SnapshotReader>,
        unit: &mut Option<(Arc<TableScan>, Unit)>,
        retry: &mut Retry,
    ) -> Result<bool, walferry_postgres::Error> {
        let reader = match open {
            Some(reader) => reader,
            None => open.insert(
                SnapshotReader::connect(&self.connect, self.config.statement_timeout_ms).await?,
            ),
        };
        if unit.is_none() {
            *unit = self.next(reader).await?;
        }
        let Some((scan, reading)) = unit else {
            return Ok(false);
        };
        let scan = scan.clone();
        if !self.read(reader, &scan, reading, retry).await? {
            return Ok(false);
        }
        *unit = None;
        Ok(true)
    }

    /// The next range; a table that is due is cut first.
    async fn next(
        &self,
        reader: &SnapshotReader,
    ) -> Result<Option<(Arc<TableScan>, Unit)>, walferry_postgres::Error> {
        let mut queue = self.queue.lock().await;
        loop {
            if let Some(unit) = queue.units.pop_front() {
                return Ok(Some(unit));
            }
            let table = queue.next_table;
            let Some(source) = self.sources.get(table) else {
                return Ok(None);
            };
            let (scan, ranges) = match self.cut(reader, source).await {
                Ok(cut) => cut,
                Err(error) if is_of_table(&error) && !is_gone(&error) => {
                    reader.leave().await?;
                    queue.next_table += 1;
                    let told = Told::Skipped(table, error.to_string());
                    if self.told.send(told).await.is_err() {
                        return Ok(None);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            queue.next_table += 1;
            for range in &ranges {
                let range = range.clone();
                queue.units.push_back((scan.clone(), Unit { table, range }));
            }
            // Told under the lock, so that no row of the table is told before.
            if self
                .told
                .send(Told::Cut(table, scan, ranges))
                .await
                .is_err()
            {
                return Ok(None);
            }
        }
    }

    /// How a table is read, and the ranges that it is cut into.
    async fn cut(
        &self,
        reader: &SnapshotReader,
        source: &Source,
    ) -> Result<(Arc<TableScan>, Vec<RowRange>), walferry_postgres::Error> {
        let mut scan = reader.scan(&source.relation).await?;
        scan.condition.clone_from(&source.condition);
        let scan = Arc::new(scan);
        let mut ranges = source.left.clone();
        let contents = reader.contents(&scan, source.condition.as_deref()).await?;
        if scan.is_empty() && contents.files == source.contents.files {
            ranges.clear();
        } else if ranges.len() == 1 {
            reader.enter(&self.snapshot_name).await?;
            let keys = reader
                .cut(&scan, &ranges[0], self.config.chunk_rows)
                .await?;
            reader.leave().await?;
            ranges = ranges[0].cut(keys);
        }
        Ok((scan, ranges))
    }

    /// Reads one range. `false` when nobody listens any more.
    async fn read(
        &self,
        reader: &SnapshotReader,
        scan: &TableScan,
        unit: &mut Unit,
        retry: &mut Retry,
    ) -> Result<bool, walferry_postgres::Error> {
        reader.enter(&self.snapshot_name).await?;
        // Asked behind the lock, which is held until the range is read: a truncate or a rewrite of the table from before it is
        // not in our snapshot, so that there would be rows that it does not see.
        reader.lock(scan).await?;
        let source = &self.sources[unit.table];
        let contents = reader.contents(scan, source.condition.as_deref()).await?;
        if let Some(why) = source.contents.hidden(&contents) {
            reader.leave().await?;
            let told = Told::Left(unit.clone(), format!("{why} since the snapshot was taken"));
            return Ok(self.told.send(told).await.is_ok());
        }
        let mut rows = reader.copy(scan, &unit.range, None).await?;
        while let Some(block) = rows.next().await {
            let block = block?;
            let kib = u32::try_from(block.bytes() / 1024 + 1)
                .unwrap_or(u32::MAX)
                .min(self.memory_kib);
            let Ok(permit) = self.memory.clone().acquire_many_owned(kib).await else {
                return Ok(false);
            };
            let behind = last_key(scan, &block)?;
            let lines = block.rows() as u64;
            let told = Told::Rows(unit.clone(), block, permit);
            if self.told.send(told).await.is_err() {
                return Ok(false);
            }
            retry.reset();
            unit.range.after = Some(behind);
            pace(self.config.rows_per_second_max, self.config.readers, lines).await;
        }
        drop(rows);
        reader.leave().await?;
        Ok(self.told.send(Told::Ended(unit.clone())).await.is_ok())
    }
}

/// Waits as long as so many rows may take of one of the readers.
pub(super) async fn pace(rows_per_second_max: Option<u64>, readers: u32, rows: u64) {
    if let Some(rate) = rows_per_second_max {
        let seconds = rows as f64 * f64::from(readers.max(1)) / rate.max(1) as f64;
        time::sleep(Duration::from_secs_f64(seconds)).await;
    }
}

/// The key of a block's last row.
pub(super) fn last_key(
    scan: &TableScan,
    block: &CopyBlock,
) -> Result<RowKey, walferry_postgres::Error> {
    let (mut scratch, mut row) = (Vec::new(), Vec::new());
    if let Some(line) = block.lines().next_back() {
        parse_copy_row(line, &mut scratch, &mut row)?;
    }
    scan.key_of(&row)
}
