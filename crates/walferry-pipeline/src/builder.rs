//! Gathers records into blocks, puts marks behind them, and hands full blocks to the publisher.
//!
//! Owns the block under construction and the position of what was handed over. Never parses and never publishes.
//! Invariant: each record of a handed-over block stands before a mark, so a batch can end behind every block.

use std::sync::{Arc, mpsc};

use walferry_event::{Lsn, Position};
use walferry_kafka::{BlockPool, RecordBlock};

use crate::{
    batch::Cut,
    block::{BLOCK_BYTES, BLOCK_ROOM_BYTES, EncodedBlock, Mark, Memory, SPARE_BLOCKS_MAX},
    course::{Course, Held},
    snapshot::Progress,
};

/// The block under construction, and where it goes.
pub(crate) struct Builder {
    records: RecordBlock,
    marks: Vec<Mark>,
    idle: Option<Held>,
    urgent: bool,
    course: Course,
    /// How far snapshots have come, for the next mark.
    carried: Option<Arc<Progress>>,
    memory: Memory,
    runtime: tokio::runtime::Handle,
    output: mpsc::SyncSender<EncodedBlock>,
}

/// The publisher has gone; it says itself why.
#[derive(Debug)]
pub(crate) struct PublisherGone;

impl Builder {
    pub(crate) fn new(
        start: Held,
        memory: Memory,
        runtime: tokio::runtime::Handle,
        output: mpsc::SyncSender<EncodedBlock>,
    ) -> Builder {
        let pool = BlockPool::new(BLOCK_BYTES + BLOCK_ROOM_BYTES, SPARE_BLOCKS_MAX);
        Builder {
            records: pool.block(),
            marks: Vec::new(),
            idle: None,
            urgent: false,
            course: Course::new(start),
            carried: None,
            memory,
            runtime,
            output,
        }
    }

    /// Where new records are written.
    pub(crate) fn records(&mut self) -> &mut RecordBlock {
        &mut self.records
    }

    /// What has been handed over or stands marked in the block: the stream's copies of it are dropped.
    pub(crate) fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    /// Whether the block has reached its size.
    pub(crate) fn is_full(&self) -> bool {
        self.records.bytes() >= BLOCK_BYTES
    }

    /// Whether no record stands in the block.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// This is how far snapshots have come, with the next mark.
    pub(crate) fn carry(&mut self, progress: Arc<Progress>) {
        self.carried = Some(progress);
    }

    /// A transaction ends here. One that every table has seen before is not told of.
    pub(crate) fn commit(&mut self, position: Position, commit_us: i64, xid: u32) {
        let before = self.course.position();
        if !self.course.commit(position) {
            return;
        }
        // One that only tables that catch up have not seen was counted when it came first.
        let commit_us = (self.course.position() != before).then_some(commit_us);
        let nothing_new = self.marks.last().map_or(self.records.is_empty(), |m| {
            m.records_end == self.records.len() && m.cut.whole
        });
        if nothing_new {
            // A transaction without records of ours: it moves the position, but opens no Kafka transaction.
            self.idle = Some(self.course.held());
            return;
        }
        self.mark(true, commit_us, xid);
    }

    /// Inside a transaction, `ordinal` of whose changes stand in the block.
    pub(crate) fn inside(&mut self, commit_lsn: Lsn, ordinal: u64, xid: u32) {
        if self.course.inside(commit_lsn, ordinal) {
            self.mark(false, None, xid);
        }
    }

    /// Rows of a snapshot stand in the block, and this is how far it has come.
    pub(crate) fn snapshot(&mut self, position: Position, progress: Arc<Progress>) {
        self.course.snapshot(position);
        self.carried = Some(progress);
        self.mark(true, None, 0);
    }

    /// The stream has moved on to `lsn` without anything for us; `urgent` when the server waits for its confirmation.
    pub(crate) fn idle(&mut self, lsn: Lsn, urgent: bool) {
        self.urgent |= urgent;
        if self.course.idle(lsn) {
            self.idle = Some(self.course.held());
        }
    }

    fn mark(&mut self, whole: bool, commit_us: Option<i64>, xid: u32) {
        self.idle = None;
        let Held { position, parked } = self.course.held();
        self.marks.push(Mark {
            records_end: self.records.len(),
            bytes_end: self.records.bytes() as u64,
            cut: Cut { position, whole },
            parked,
            commit_us,
            xid,
            snapshot: self.carried.take(),
        });
    }

    /// Hands the block over, when there is anything in it or a pause to tell of. Waits for memory.
    pub(crate) fn seal(&mut self, pause: bool) -> Result<(), PublisherGone> {
        if self.marks.is_empty() && self.idle.is_none() && !self.urgent && !pause {
            return Ok(());
        }
        let records = self.records.take();
        let permit =
            (!records.is_empty()).then(|| self.memory.take(records.memory_bytes(), &self.runtime));
        let block = EncodedBlock {
            records: Arc::new(records),
            marks: std::mem::take(&mut self.marks),
            idle: self.idle.take(),
            urgent: std::mem::take(&mut self.urgent),
            pause,
            permit,
        };
        self.output.send(block).map_err(|_| PublisherGone)
    }
}
