//! How fast tables can be read: a bounded piece of the largest ones, read and encoded as a snapshot would.
//!
//! Owns the bounds. Never: reads a whole table, holds a snapshot for longer than one piece takes.

use std::time::{Duration, Instant};

use serde::Serialize;
use walferry_event::{Origin, RowRange, SnapshotMark};
use walferry_postgres::{Catalog, SnapshotReader, TableFacts, TableInfo, parse_copy_row};

use walferry_pipeline::{
    config::Config, encode::change_records::Change, error::Error, tables::compile,
};

use super::encoding::Encoding;

/// Tables that are sampled: the largest.
const TABLES_MAX: usize = 3;
/// Of each of them: whichever comes first.
const ROWS_MAX: u64 = 50_000;
const BYTES_MAX: u64 = 32 << 20;
const TIME_MAX: Duration = Duration::from_secs(5);
/// The server's limit for one statement, should it not send anything at all.
const STATEMENT_MS: u64 = 15_000;

/// What a snapshot would have to read of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableSize {
    /// `schema.table`.
    pub name: String,
    /// By the planner's statistics, else by pages.
    pub rows_estimated: u64,
    /// On the server, TOAST included.
    pub bytes: u64,
    /// Columns of the message key.
    pub key: Vec<String>,
    /// What a piece of it came to, if one was read.
    pub sample: Option<Sample>,
}

/// A piece of a table that was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Rows that were read.
    pub rows: u64,
    /// Their text.
    pub text_bytes: u64,
    /// Their records in Avro.
    pub avro_bytes: u64,
    /// Seconds that reading and encoding took.
    pub seconds: f64,
}

/// Sizes of the tables, and pieces of the largest ones.
pub(super) async fn sizes(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<Vec<TableSize>, Error> {
    let oids: Vec<u32> = tables.iter().map(|it| it.oid).collect();
    let facts = catalog.table_facts(&oids).await?;
    let bytes = |oid: u32| {
        let of = |it: &&TableFacts| it.oid == oid;
        facts
            .iter()
            .find(of)
            .map_or(0, |it| it.bytes.unsigned_abs())
    };
    let mut sizes: Vec<(&TableInfo, TableSize)> = tables
        .iter()
        .map(|table| {
            let size = TableSize {
                name: table.qualified_name(),
                rows_estimated: table.rows_estimated.unsigned_abs(),
                bytes: bytes(table.oid),
                key: table.key_columns.clone(),
                sample: None,
            };
            (table, size)
        })
        .collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(size.bytes));
    let readable =
        |it: &&mut (&TableInfo, TableSize)| it.0.can_select && !it.0.guarded && it.1.bytes > 0;
    for (table, size) in sizes.iter_mut().filter(readable).take(TABLES_MAX) {
        let (rows, sample) = piece(config, catalog, table).await?;
        if size.rows_estimated == 0 {
            size.rows_estimated = rows;
        }
        size.sample = Some(sample);
    }
    Ok(sizes.into_iter().map(|(_, size)| size).collect())
}

/// Rows of the table as its size tells, and what the first of them came to.
async fn piece(
    config: &Config,
    catalog: &Catalog,
    table: &TableInfo,
) -> Result<(u64, Sample), Error> {
    let relation = compile::described(config, catalog, table).await?.relation;
    let mut encoding = Encoding::new(config, catalog);
    encoding.learn(&relation).await?;
    // A session of its own: one that is left in the middle of a table is of no more use.
    let reader = SnapshotReader::connect(&config.source.connect, STATEMENT_MS).await?;
    let scan = reader.scan(&relation).await?;
    reader.enter_now(&scan).await?;
    let begun = Instant::now();
    let mut sample = Sample::default();
    let whole = RowRange::default();
    let mut blocks = reader.copy(&scan, &whole, Some(ROWS_MAX)).await?;
    let mut scratch = Vec::new();
    while let Some(block) = blocks.next().await {
        let block = block?;
        for line in block.lines() {
            let mut row = Vec::with_capacity(relation.columns.len());
            parse_copy_row(line, &mut scratch, &mut row)?;
            // Where a row lies stands behind its columns.
            row.truncate(relation.columns.len());
            let origin = Origin {
                snapshot: SnapshotMark::Inner,
                ..Origin::default()
            };
            let encoded = encoding.encode(relation.oid, Change::Read(&row), &origin)?;
            sample.rows += 1;
            sample.text_bytes += line.len() as u64 + 1;
            sample.avro_bytes += encoded.map_or(0, |it| it.bytes);
        }
        if sample.text_bytes >= BYTES_MAX || begun.elapsed() >= TIME_MAX {
            break;
        }
    }
    sample.seconds = begun.elapsed().as_secs_f64();
    Ok((scan.rows_estimated.max(sample.rows), sample))
}
