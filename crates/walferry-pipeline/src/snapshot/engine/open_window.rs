//! An open window: a chunk on its way, and how one of its rows is given.
//!
//! Owns `Open`. Never: decides when a chunk may be given; the engine does.

use walferry_event::{Datum, Lsn, Origin, RowRange, SnapshotMark};
use walferry_postgres::parse_copy_row;

use crate::{
    clock::now_us,
    encode::{Encoder, recent_transactions::Streamed},
    error::Error,
    snapshot::{chunk::Chunk, shape::Described, window::Window},
};

/// A chunk that is read, and what the stream touches meanwhile.
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) job: usize,
    pub(super) range: RowRange,
    pub(super) table: Described,
    pub(super) window: Window,
    pub(super) streamed: Streamed,
    pub(super) chunk: Option<Chunk>,
    pub(super) changed: bool,
}

/// Whether a later snapshot has to say which rows of a chunk without a key are gone.
pub(super) fn is_unclear(window: &Window, chunk: &Chunk) -> Result<bool, Error> {
    if !window.has_removals() {
        return Ok(false);
    }
    let columns = chunk.relation.columns.len();
    for line in chunk.blocks.iter().flat_map(|block| block.lines()) {
        let (mut scratch, mut row) = (Vec::new(), Vec::with_capacity(columns + 2));
        parse_copy_row(line, &mut scratch, &mut row)?;
        if window.is_unclear(&row[..columns], &chunk.visibility) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes a row into the block, as of now.
pub(super) fn read_row(
    encoder: &mut Encoder,
    oid: u32,
    row: &[Datum<'_>],
    at: Lsn,
) -> Result<bool, Error> {
    let now = now_us();
    let origin = Origin {
        commit_us: now,
        encoded_us: now,
        lsn: at,
        snapshot: SnapshotMark::Incremental,
        ..Origin::default()
    };
    encoder.read_row(oid, row, &origin)?;
    Ok(true)
}
