//! Gathers records into blocks, puts marks behind them, and hands full blocks to the publisher.
//!
//! Owns the block under construction and the position of what was handed over. Never parses and never publishes.
//! Invariant: each record of a handed-over block stands before a mark, so a batch can end behind every block.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use metrics::Counter;
use walferry_event::{Lsn, Position};
use walferry_kafka::{BlockPool, RecordBlock};

use crate::{
    encode::{
        block::{
            BLOCK_BYTES, BLOCK_ROOM_BYTES, EncodedBlock, Mark, Memory, SPARE_BLOCKS_MAX, Times,
        },
        passage::Clock,
    },
    position::{
        snapshot_progress::Progress,
        table_positions::{Events, Held, TablePositions},
    },
    status::latency::work::Work,
};

/// The block under construction, and where it goes.
pub(crate) struct Builder {
    records: RecordBlock,
    marks: Vec<Mark>,
    idle: Option<Held>,
    urgent: bool,
    course: TablePositions,
    /// How far snapshots have come, for the next mark.
    carried: Option<Arc<Progress>>,
    /// The last mark stands inside a transaction, perhaps in a block that was handed over: its end needs a mark too, or
    /// the publisher waits for it.
    unfinished: bool,
    memory: Memory,
    runtime: tokio::runtime::Handle,
    output: mpsc::SyncSender<EncodedBlock>,
    /// Bytes of records that were handed over.
    passed_bytes: Counter,
    /// How long what is encoded has been on its way.
    pub(super) clock: Clock,
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
        passed_bytes: Counter,
    ) -> Builder {
        let pool = BlockPool::new(BLOCK_BYTES + BLOCK_ROOM_BYTES, SPARE_BLOCKS_MAX);
        Builder {
            records: pool.block(),
            marks: Vec::new(),
            idle: None,
            urgent: false,
            course: TablePositions::new(start),
            carried: None,
            unfinished: false,
            memory,
            runtime,
            output,
            passed_bytes,
            clock: Clock::default(),
        }
    }

    /// Where new records are written.
    pub(crate) fn records(&mut self) -> &mut RecordBlock {
        &mut self.records
    }

    /// Adds a record that is encoded already.
    pub(crate) fn record(&mut self, topic: &Arc<str>, key: &[u8], value: &[u8]) {
        let (key, value) = (self.records.append(key), self.records.append(value));
        let topic = self.records.topic(topic);
        self.records.push(topic, Some(key), Some(value), None);
    }

    /// What has been handed over or stands marked in the block: the stream's copies of it are dropped.
    pub(crate) fn course(&mut self) -> &mut TablePositions {
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
        let times = (self.course.position() != before).then_some(Times {
            commit_us,
            sent_us: self.clock.sent_us,
        });
        let marked = self.marks.last().map_or(0, |mark| mark.records_end);
        if !self.unfinished && marked == self.records.len() && self.carried.is_none() {
            // A transaction without records of ours: it moves the position, but opens no Kafka transaction.
            self.idle = Some(self.course.held());
            return;
        }
        self.mark(true, times, xid);
    }

    /// Inside a transaction, `ordinal` of whose changes stand in the block, with so many `events`.
    pub(crate) fn inside(
        &mut self,
        commit_lsn: Lsn,
        ordinal: u64,
        xid: u32,
        events: Option<Arc<Events>>,
    ) {
        if self.course.inside(commit_lsn, ordinal, events) {
            self.mark(false, None, xid);
        }
    }

    /// Rows of a snapshot stand in the block, and this is how far it has come.
    pub(crate) fn snapshot(&mut self, position: Position, progress: Arc<Progress>) {
        self.course.snapshot(position);
        self.carried = Some(progress);
        self.mark(true, None, 0);
    }

    /// Whether a block would hold a position at most.
    pub(crate) fn is_idle(&self) -> bool {
        self.marks.is_empty() && self.records.is_empty()
    }

    /// The stream has moved on to `lsn` without anything for us; `urgent` when the server waits for its confirmation.
    pub(crate) fn idle(&mut self, lsn: Lsn, urgent: bool) {
        self.urgent |= urgent;
        if self.course.idle(lsn) {
            self.idle = Some(self.course.held());
        }
    }

    /// Whoever committed waits until that is confirmed.
    pub(crate) fn urge(&mut self) {
        self.urgent = true;
    }

    fn mark(&mut self, whole: bool, times: Option<Times>, xid: u32) {
        self.idle = None;
        self.unfinished = !whole;
        self.marks.push(Mark {
            records_end: self.records.len(),
            bytes_end: self.records.bytes() as u64,
            held: self.course.held(),
            whole,
            times,
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
        self.passed_bytes.increment(records.bytes() as u64);
        let encoded = Instant::now();
        let passage = self.clock.encoded(encoded);
        let permit =
            (!records.is_empty()).then(|| self.memory.take(records.memory_bytes(), &self.runtime));
        let block = EncodedBlock {
            records: Arc::new(records),
            marks: std::mem::take(&mut self.marks),
            idle: self.idle.take(),
            urgent: std::mem::take(&mut self.urgent),
            pause,
            permit,
            passage,
        };
        let sent = self.output.send(block);
        self.clock.waited(Work {
            kafka: encoded.elapsed(),
            ..Work::default()
        });
        sent.map_err(|_| PublisherGone)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::publish::batch::Batch;

    struct Bench {
        runtime: tokio::runtime::Runtime,
        output: mpsc::Receiver<EncodedBlock>,
        builder: Builder,
    }

    fn bench() -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (input, output) = mpsc::sync_channel(8);
        let start = Held::at(Position::at(Lsn(1)));
        let memory = Memory::new(1 << 20);
        let builder = Builder::new(
            start,
            memory,
            runtime.handle().clone(),
            input,
            Counter::noop(),
        );
        Bench {
            runtime,
            output,
            builder,
        }
    }

    fn record(builder: &mut Builder) {
        let block = builder.records();
        block.arena_mut().push(7);
        let topic = block.topic(&"t".into());
        block.push(topic, None, Some(0..1), None);
    }

    fn end(commit_lsn: u64) -> Position {
        Position {
            commit_lsn: Lsn(commit_lsn),
            end_lsn: Lsn(commit_lsn + 10),
            ordinal: None,
        }
    }

    /// What the publisher would do with the block: whether the batch can be committed when nothing more waits.
    fn complete(batch: &mut Batch, block: &EncodedBlock) -> bool {
        for mark in &block.marks {
            batch.add(1, mark.cut(), Instant::now());
        }
        block.pause && batch.complete()
    }

    #[test]
    fn a_commit_that_comes_alone_completes_the_batch_that_its_changes_are_in() {
        let mut bench = bench();
        let mut batch = Batch::new(1 << 20, Duration::from_millis(200));
        record(&mut bench.builder);
        bench.builder.inside(Lsn(20), 1, 7, None);
        bench.builder.seal(false).unwrap();
        assert!(!complete(&mut batch, &bench.output.recv().unwrap()));
        bench.builder.commit(end(20), 5, 7);
        bench.builder.seal(true).unwrap();
        let block = bench.output.recv().unwrap();
        assert!(complete(&mut batch, &block));
        assert_eq!(block.marks[0].held.position, end(20));
        let commit_us = block.marks[0].times.map(|it| it.commit_us);
        assert_eq!(commit_us, Some(5), "it is counted");
        drop(bench.runtime);
    }

    #[test]
    fn a_transaction_without_records_moves_the_position_and_marks_nothing() {
        let mut bench = bench();
        bench.builder.commit(end(20), 5, 7);
        bench.builder.seal(true).unwrap();
        let block = bench.output.recv().unwrap();
        assert!(block.marks.is_empty());
        assert_eq!(block.idle.unwrap().position, end(20));
        record(&mut bench.builder);
        bench.builder.commit(end(40), 5, 8);
        bench.builder.commit(end(60), 5, 9);
        bench.builder.seal(true).unwrap();
        let block = bench.output.recv().unwrap();
        assert_eq!(block.marks.len(), 1);
        assert_eq!(block.idle.unwrap().position, end(60));
        drop(bench.runtime);
    }
}
