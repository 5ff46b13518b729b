//! One chunk, read while the stream runs.
//!
//! Owns the sessions that read chunks and the wait for a snapshot that sees what was streamed. Never: judges a row.
//! Invariant: the snapshot of a chunk sees every transaction that was streamed before its window was opened.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time;
use walferry_event::{Datum, Lsn, Relation, RowKey, RowRange};
use walferry_postgres::{
    Catalog, Contents, CopyBlock, Replaced, SnapshotReader, TableName, TableScan, Visibility,
    parse_copy_row,
};

use crate::{
    config::{Config, InForce},
    encode::recent_transactions::Streamed,
    error::Error,
    kept::taken_or_opened,
    snapshot::{
        base,
        readers::{last_key, pace},
    },
    tables::compile,
};

/// What to read.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) table: u32,
    pub(crate) range: RowRange,
    pub(crate) rows_max: u64,
    pub(crate) bytes_max: usize,
    pub(crate) condition: Option<String>,
    /// What rows of a table without a key have to be as old as.
    pub(crate) base: Option<String>,
    /// What the range is of.
    pub(crate) contents: Option<Contents>,
    /// What was streamed before the window was opened.
    pub(crate) streamed: Streamed,
    /// Transactions that ran when the table was added: the stream has only the later part of what they change.
    pub(crate) added_at: Option<Visibility>,
}

/// What came of a reading.
pub(crate) enum Read {
    /// Rows.
    Chunk(Box<Chunk>),
    /// Nothing was read: the range is of other contents than the table has now.
    Replaced(Replaced, Contents),
}

/// What was read.
pub(crate) struct Chunk {
    pub(crate) relation: Relation,
    pub(crate) scan: TableScan,
    pub(crate) contents: Contents,
    pub(crate) blocks: Vec<CopyBlock>,
    /// The last key that was read; nothing when the range was read to its end.
    pub(crate) end: Option<RowKey>,
    pub(crate) visibility: Visibility,
    /// When the stream has passed this, it has brought everything that the snapshot sees.
    pub(crate) wal_insert: Lsn,
}

/// What was read of a range of keys.
pub(crate) struct KeyChunk {
    /// The last key that was read; nothing when the range was read to its end.
    pub(crate) end: Option<RowKey>,
    /// When the stream has passed this, it has brought everything that the snapshot sees.
    pub(crate) wal_insert: Lsn,
}

/// Why keys were not read: the server, or else whoever took them.
pub(crate) struct KeyError {
    /// What the server said.
    pub(crate) cause: Option<walferry_postgres::Error>,
    taker: Option<Error>,
}

impl From<walferry_postgres::Error> for KeyError {
    fn from(error: walferry_postgres::Error) -> KeyError {
        KeyError {
            cause: Some(error),
            taker: None,
        }
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Error {
        match (error.cause, error.taker) {
            (Some(cause), _) => cause.into(),
            (None, Some(taker)) => taker,
            (None, None) => Error::internal("keys could not be read"),
        }
    }
}

/// The sessions between two chunks.
#[derive(Clone)]
pub(crate) struct Sessions {
    config: InForce,
    idle: Arc<Mutex<Vec<Session>>>,
}

struct Session {
    catalog: Catalog,
    reader: SnapshotReader,
}

/// Pauses between two snapshots that do not see everything yet.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// After so long, the wait is told in the log.
const WAIT_TOLD: Duration = Duration::from_secs(2);

impl Sessions {
    pub(crate) fn new(config: InForce) -> Sessions {
        Sessions {
            config,
            idle: Arc::default(),
        }
    }

    fn take(&self) -> Option<Session> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    async fn open(&self) -> Result<Session, walferry_postgres::Error> {
        let config = self.config.now();
        let connect = &config.source.connect;
        let timeout = config.snapshot.statement_timeout_ms;
        Ok(Session {
            catalog: Catalog::connect(connect).await?,
            reader: SnapshotReader::connect(connect, timeout).await?,
        })
    }

    /// Reads a chunk. A session that failed, or did not read its rows to the end, is not used again.
    pub(crate) async fn read(&self, order: &Order) -> Result<Read, walferry_postgres::Error> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        let (read, whole) = read(&session, &self.config.now(), order).await?;
        if whole {
            self.keep(session);
        }
        Ok(read)
    }

    /// Reads the rows of a range, of which only these columns are wanted, and gives them to `each`. The end of what was read;
    /// nothing when the table is not this version of the relation.
    pub(crate) async fn keys(
        &self,
        order: &Order,
        relation: &Relation,
        columns: &[usize],
        each: impl FnMut(&[Datum<'_>]) -> Result<(), Error>,
    ) -> Result<Option<KeyChunk>, KeyError> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        let chunk = read_keys(&session, &self.config.now(), order, relation, columns, each).await?;
        self.keep(session);
        Ok(chunk)
    }

    /// What a table looks like now, and what its snapshot would read.
    pub(crate) async fn describe(
        &self,
        table: &str,
    ) -> Result<Option<(u32, bool)>, walferry_postgres::Error> {
        let config = self.config.now();
        let catalog = Catalog::connect(&config.source.connect).await?;
        let tables = catalog.tables().await?;
        let Some(info) = tables.iter().find(|it| it.qualified_name() == table) else {
            return Ok(None);
        };
        let publication = catalog.publication(&config.source.publication).await?;
        let published = publication.is_some_and(|it| crate::tables::publication::lists(&it, info));
        Ok(Some((info.oid, published)))
    }

    /// What the stream would call the table, how it is read, and what its ranges are of.
    pub(crate) async fn shape(
        &self,
        table: u32,
    ) -> Result<(Relation, TableScan, Contents), walferry_postgres::Error> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        let (relation, filter) =
            compile::shape(&self.config.now(), &session.catalog, table).await?;
        let scan = session.reader.scan(&relation).await?;
        let contents = session.reader.contents(&scan, filter.as_deref()).await?;
        self.keep(session);
        Ok((relation, scan, contents.of_cursor()))
    }

    /// Whether a condition is one expression over the table, which does nothing but look at a row.
    pub(crate) async fn check(
        &self,
        table: &TableName,
        condition: &str,
    ) -> Result<(), walferry_postgres::Error> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        session.catalog.check_condition(table, condition).await?;
        self.keep(session);
        Ok(())
    }

    /// What rows of a table without a key have to be as old as, for a snapshot that begins now; and where that is in the log.
    pub(crate) async fn base(&self) -> Result<(String, Lsn), walferry_postgres::Error> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        let (seen, at) = base::base(&self.config.now().source.connect, &session.reader).await?;
        self.keep(session);
        Ok((seen.to_string(), at))
    }

    /// Lets the server flush its WAL: a transaction that does nothing but end.
    pub(crate) async fn nudge(&self) -> Result<(), walferry_postgres::Error> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        session.reader.nudge().await?;
        self.keep(session);
        Ok(())
    }

    /// Where the WAL ends now.
    pub(crate) async fn wal_insert(&self) -> Result<Lsn, walferry_postgres::Error> {
        let session = taken_or_opened(&mut self.take(), self.open()).await?;
        let end = session.reader.wal_insert().await?;
        self.keep(session);
        Ok(end)
    }

    fn keep(&self, session: Session) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(session);
    }

    /// The transactions that run now.
    pub(crate) async fn running(&self) -> Result<Visibility, walferry_postgres::Error> {
        let reader = SnapshotReader::connect(&self.config.now().source.connect, 0).await?;
        reader.visibility().await
    }
}

async fn read(
    session: &Session,
    config: &Config,
    order: &Order,
) -> Result<(Read, bool), walferry_postgres::Error> {
    let Session { catalog, reader } = session;
    let (relation, row_filter) = compile::shape(config, catalog, order.table).await?;
    let mut scan = reader.scan(&relation).await?;
    let (visibility, wal_insert) = snapshot(reader, order, &scan).await?;
    // The snapshot keeps the table as it is.
    let contents = reader.contents(&scan, row_filter.as_deref()).await?;
    let contents = contents.of_cursor();
    let of = order.contents.as_ref();
    if let Some(why) = of.and_then(|it| it.replaced(&contents)) {
        reader.leave().await?;
        return Ok((Read::Replaced(why, contents), true));
    }
    reader.expect_shape(&relation).await?;
    let base = order.base.as_deref().filter(|_| !scan.has_key());
    let asked = [row_filter.as_deref(), order.condition.as_deref()];
    scan.condition = condition(asked, base, &visibility);
    let mut chunk = Chunk {
        relation,
        scan,
        contents,
        blocks: Vec::new(),
        end: None,
        visibility,
        wal_insert,
    };
    let (mut rows, mut bytes) = (0, 0);
    let mut copy = reader
        .copy(&chunk.scan, &order.range, Some(order.rows_max))
        .await?;
    while let Some(block) = copy.next().await {
        let block = block?;
        let lines = block.rows() as u64;
        rows += lines;
        bytes += block.bytes();
        chunk.end = Some(last_key(&chunk.scan, &block)?);
        chunk.blocks.push(block);
        if bytes >= order.bytes_max {
            // What is not read any more would fill the memory.
            return Ok((Read::Chunk(Box::new(chunk)), false));
        }
        pace(
            config.snapshot.rows_per_second_max,
            config.snapshot.readers,
            lines,
        )
        .await;
    }
    if rows < order.rows_max {
        chunk.end = None;
    }
    reader.leave().await?;
    Ok((Read::Chunk(Box::new(chunk)), true))
}

async fn read_keys(
    session: &Session,
    config: &Config,
    order: &Order,
    relation: &Relation,
    columns: &[usize],
    mut each: impl FnMut(&[Datum<'_>]) -> Result<(), Error>,
) -> Result<Option<KeyChunk>, KeyError> {
    let Session { catalog, reader } = session;
    let (now, row_filter) = compile::shape(config, catalog, order.table).await?;
    if now != *relation {
        return Ok(None);
    }
    let mut scan = reader.scan(relation).await?.of_columns(columns);
    scan.condition = row_filter;
    let (_, wal_insert) = snapshot(reader, order, &scan).await?;
    let contents = reader.contents(&scan, scan.condition.as_deref()).await?;
    let of = order.contents.as_ref();
    if of.is_some_and(|it| it.replaced(&contents).is_some()) {
        reader.leave().await?;
        return Ok(None);
    }
    // Rows that are ordered by where they lie may be moved from a part that is not read yet to one that was: those are read at once.
    let rows_max = scan.has_key().then_some(order.rows_max);
    let mut copy = reader.copy(&scan, &order.range, rows_max).await?;
    let (mut rows, mut end) = (0, None);
    while let Some(block) = copy.next().await {
        let block = block?;
        let mut lines = 0;
        for line in block.lines() {
            let (mut scratch, mut row) = (Vec::new(), Vec::new());
            parse_copy_row(line, &mut scratch, &mut row)?;
            each(&row[..relation.columns.len()]).map_err(|error| KeyError {
                cause: None,
                taker: Some(error),
            })?;
            lines += 1;
        }
        end = Some(last_key(&scan, &block)?);
        rows += lines;
        let snapshot = &config.snapshot;
        pace(snapshot.rows_per_second_max, snapshot.readers, lines).await;
    }
    reader.leave().await?;
    let end = end.filter(|_| rows_max.is_some_and(|max| rows >= max));
    Ok(Some(KeyChunk { end, wal_insert }))
}

/// A snapshot that sees everything that was streamed before the window was opened.
async fn snapshot(
    reader: &SnapshotReader,
    order: &Order,
    scan: &TableScan,
) -> Result<(Visibility, Lsn), walferry_postgres::Error> {
    let begun = time::Instant::now();
    let (mut pause, mut told) = (PAUSE_MIN, false);
    loop {
        let moment = reader.enter_now(scan).await?;
        let unseen = !order.streamed.all_seen(&moment.visibility);
        let half_streamed = order.added_at.as_ref().is_some_and(|added| {
            let running = added.running();
            running
                .iter()
                .any(|xid| moment.visibility.running().contains(xid))
        });
        if !unseen && !half_streamed {
            return Ok((moment.visibility, moment.wal_insert));
        }
        reader.leave().await?;
        if !told && begun.elapsed() >= WAIT_TOLD {
            told = true;
            tracing::info!(
                table = scan.relation.qualified_name(),
                running = ?moment.visibility.running(),
                "a chunk waits for transactions that were streamed or had begun before the table was added, and have not ended"
            );
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The condition of a chunk: the row filter of the publication and what was asked for. Without a key, a row that came after
/// the base is left to the stream: it is told by the transaction that wrote it. Where ids have wrapped, that cannot be
/// told, and a row twice is better than none.
fn condition(asked: [Option<&str>; 2], base: Option<&str>, now: &Visibility) -> Option<String> {
    let mut parts: Vec<String> = asked
        .into_iter()
        .flatten()
        .map(|sql| match sql.contains("--") {
            true => format!("({sql}\n)"), // A comment ends with its line.
            false => format!("({sql})"),
        })
        .collect();
    let base: Option<Visibility> = base.and_then(|text| text.parse().ok());
    if let Some(base) = base.filter(|_| now.xmax() < 1 << 32) {
        parts.push(format!("xmin::text::bigint < {}", base.xmax()));
        let running: Vec<String> = base.running().iter().map(u64::to_string).collect();
        if !running.is_empty() {
            let running = running.join(", ");
            parts.push(format!("xmin::text::bigint NOT IN ({running})"));
        }
    }
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

#[cfg(test)]
mod tests;
