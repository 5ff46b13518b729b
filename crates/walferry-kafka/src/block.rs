//! A block of encoded records: one arena of bytes, and where in it each record's key and value lie.
//!
//! Owns the bytes, and for records that a broker may refuse what becomes of them then. No allocation per
//! record of usual size; topics are named once per block. The buffers of a block go back to their
//! [`BlockPool`] when it is dropped, because large buffers that are allocated by one thread and freed by another leave
//! the allocator with more than it was asked for.
//! Invariant: every span of a record lies within the arena, so sending a record cannot fail to find its bytes.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use crate::Refusal;

/// Names and values of a record's headers.
pub type Headers = Box<[(Box<str>, Vec<u8>)]>;

/// What becomes of a record that the broker refuses for good, and of those that stand with it.
#[derive(Debug)]
pub enum Verdict {
    /// Publishing ends with this error.
    Stop(String),
    /// They are left out.
    Skip,
    /// Another takes their place: a dead letter.
    Replace(OwnedRecord),
    /// The batch is given up for this reason: whoever begins again at the checkpoint knows what to do at this place.
    Restart(String),
}

/// Decides on a refused record. Asked again when the one that took its place is refused as well: how often it was asked
/// before.
pub type Judge = Box<dyn Fn(&Refusal, u32) -> Verdict + Send + Sync>;

/// Records of one change, of which the broker may refuse one.
pub(crate) struct Watched {
    pub(crate) records: Range<usize>,
    pub(crate) judge: Judge,
    held_bytes: usize,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("records", &self.records)
            .field("held_bytes", &self.held_bytes)
            .finish_non_exhaustive()
    }
}

/// Encoded records in the order in which they are to be published.
#[derive(Debug, Default)]
pub struct RecordBlock {
    arena: Vec<u8>,
    topics: Vec<Arc<str>>,
    records: Vec<Record>,
    watched: Vec<Watched>,
    pool: Option<Arc<BlockPool>>,
}

/// Buffers of blocks that are done with, for the next ones.
#[derive(Debug)]
pub struct BlockPool {
    spare: Mutex<Vec<(Vec<u8>, Vec<Record>)>>,
    spare_max: usize,
    block_bytes: usize,
}

impl BlockPool {
    /// A pool for blocks of about `block_bytes`, which keeps `spare_max` of them at most.
    pub fn new(block_bytes: usize, spare_max: usize) -> Arc<BlockPool> {
        Arc::new(BlockPool {
            spare: Mutex::new(Vec::new()),
            spare_max,
            block_bytes,
        })
    }

    /// An empty block.
    pub fn block(self: &Arc<BlockPool>) -> RecordBlock {
        let (arena, records) = self
            .spare()
            .pop()
            .unwrap_or_else(|| (Vec::with_capacity(self.block_bytes), Vec::new()));
        RecordBlock {
            arena,
            records,
            topics: Vec::new(),
            watched: Vec::new(),
            pool: Some(self.clone()),
        }
    }

    /// Keeps the buffers of a block, unless there are enough, or they have grown far beyond a block's size.
    fn take_back(&self, mut arena: Vec<u8>, mut records: Vec<Record>) {
        let usual = self.block_bytes..=2 * self.block_bytes;
        if !usual.contains(&arena.capacity()) {
            return;
        }
        arena.clear();
        records.clear();
        let mut spare = self.spare();
        if spare.len() < self.spare_max {
            spare.push((arena, records));
        }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<(Vec<u8>, Vec<Record>)>> {
        // Buffers are pushed and popped whole.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RecordBlock {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.take_back(
                std::mem::take(&mut self.arena),
                std::mem::take(&mut self.records),
            );
        }
    }
}

#[derive(Debug)]
struct Record {
    topic: u32,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    headers: Option<Headers>,
}

/// One record of a block.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Where it goes.
    pub topic: &'a str,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Option<&'a [(Box<str>, Vec<u8>)]>,
}

/// One record on its own.
#[derive(Clone, Debug)]
pub struct OwnedRecord {
    /// Where it goes.
    pub topic: Arc<str>,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Option<Headers>,
}

impl OwnedRecord {
    /// The record as if it stood in a block.
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            topic: &self.topic,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self.headers.as_deref(),
        }
    }
}

impl RecordRef<'_> {
    /// Bytes of its value.
    pub(crate) fn value_len(&self) -> usize {
        self.value.map_or(0, <[u8]>::len)
    }
}

impl RecordBlock {
    /// An empty block of no pool.
    pub fn new() -> RecordBlock {
        RecordBlock::default()
    }

    /// Hands out what the block holds and leaves it empty. A block that is at least half full goes with its buffers; a
    /// smaller one is copied, so that it occupies what it holds.
    pub fn take(&mut self) -> RecordBlock {
        if self.arena.len() >= self.arena.capacity() / 2 {
            let next = self.pool.as_ref().map(BlockPool::block);
            return std::mem::replace(self, next.unwrap_or_default());
        }
        let taken = RecordBlock {
            arena: self.arena.as_slice().to_vec(),
            topics: std::mem::take(&mut self.topics),
            records: self.records.drain(..).collect(),
            watched: std::mem::take(&mut self.watched),
            pool: None,
        };
        self.arena.clear();
        taken
    }

    /// Where keys and values are written before [`RecordBlock::push`] names their spans.
    pub fn arena_mut(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Writes bytes to the arena. Where they stand.
    pub fn append(&mut self, bytes: &[u8]) -> Range<u32> {
        let end = |arena: &Vec<u8>| {
            u32::try_from(arena.len()).expect("frames and blocks are bounded far below 4 GiB")
        };
        let start = end(&self.arena);
        self.arena.extend_from_slice(bytes);
        start..end(&self.arena)
    }

    /// The index of a topic in this block.
    pub fn topic(&mut self, topic: &Arc<str>) -> u32 {
        let known = self.topics.iter().position(|t| Arc::ptr_eq(t, topic));
        let index = known.unwrap_or_else(|| {
            self.topics.push(topic.clone());
            self.topics.len() - 1
        });
        u32::try_from(index).expect("a block has far fewer topics than 2^32")
    }

    /// Adds a record whose bytes stand in the arena already.
    pub fn push(
        &mut self,
        topic: u32,
        key: Option<Range<u32>>,
        value: Option<Range<u32>>,
        headers: Option<Headers>,
    ) {
        let end = self.arena.len();
        for span in [&key, &value].into_iter().flatten() {
            assert!(
                span.start <= span.end && span.end as usize <= end,
                "a record's span lies outside its block"
            );
        }
        assert!(
            (topic as usize) < self.topics.len(),
            "a record's topic is not in its block"
        );
        self.records.push(Record {
            topic,
            key,
            value,
            headers,
        });
    }

    /// Takes back everything after the first `records` records and `bytes` bytes.
    pub fn truncate(&mut self, records: usize, bytes: usize) {
        self.records.truncate(records);
        self.arena.truncate(bytes);
        self.watched.retain(|it| it.records.end <= records);
    }

    /// Says what becomes of `records`, which stand or fall together, when the broker refuses one of them for good. The
    /// judge holds so many bytes.
    pub fn may_be_refused(&mut self, records: Range<usize>, held_bytes: usize, judge: Judge) {
        self.watched.push(Watched {
            records,
            judge,
            held_bytes,
        });
    }

    /// What was said of the record at `index`.
    pub(crate) fn watched(&self, index: usize) -> Option<&Watched> {
        // In the order of their records.
        let at = self.watched.partition_point(|it| it.records.end <= index);
        self.watched
            .get(at)
            .filter(|it| it.records.contains(&index))
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Tells of each topic of these records how many there are of it, in runs.
    pub(crate) fn count(&self, records: Range<usize>, tell: &mut impl FnMut(&Arc<str>, u64)) {
        for run in self.records[records].chunk_by(|left, right| left.topic == right.topic) {
            tell(&self.topics[run[0].topic as usize], run.len() as u64);
        }
    }

    /// These records in runs of so many at most, each of one topic and with or without headers.
    pub(crate) fn runs(
        &self,
        records: Range<usize>,
        records_max: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let alike = |left: &Record, right: &Record| {
            left.topic == right.topic && left.headers.is_none() == right.headers.is_none()
        };
        let mut start = records.start;
        self.records[records]
            .chunk_by(alike)
            .flat_map(move |it| it.chunks(records_max))
            .map(move |run| {
                let end = start + run.len();
                std::mem::replace(&mut start, end)..end
            })
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Memory that it occupies, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let held: usize = self.watched.iter().map(|it| it.held_bytes).sum();
        self.arena.capacity() + self.records.capacity() * size_of::<Record>() + held
    }

    /// The record at `index`.
    pub fn record(&self, index: usize) -> RecordRef<'_> {
        let record = &self.records[index];
        let bytes = |span: &Range<u32>| &self.arena[span.start as usize..span.end as usize];
        RecordRef {
            topic: &self.topics[record.topic as usize],
            key: record.key.as_ref().map(bytes),
            value: record.value.as_ref().map(bytes),
            headers: record.headers.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let mut block = RecordBlock::new();
        let topic: Arc<str> = "t".into();
        block.arena_mut().extend(b"keyvalue");
        let index = block.topic(&topic);
        block.push(index, Some(0..3), Some(3..8), None);
        block.push(index, Some(0..3), None, None);
        let (first, second) = (block.record(0), block.record(1));
        assert_eq!(
            (first.topic, first.key, first.value),
            ("t", Some(&b"key"[..]), Some(&b"value"[..]))
        );
        assert_eq!(second.value, None);
        block.truncate(1, 8);
        assert_eq!(block.len(), 1);
    }

    #[test]
    fn runs_are_of_one_topic_and_of_one_kind() {
        let mut block = RecordBlock::new();
        let topics = ["a", "b"].map(|name| block.topic(&name.into()));
        for (topic, with_headers) in [(0, false), (0, false), (0, false), (1, false), (1, true)] {
            let headers = with_headers.then(Headers::default);
            block.push(topics[topic], None, None, headers);
        }
        let runs: Vec<_> = block.runs(1..5, 1 << 10).collect();
        assert_eq!(runs, [1..3, 3..4, 4..5]);
        let runs: Vec<_> = block.runs(0..4, 2).collect();
        assert_eq!(runs, [0..2, 2..3, 3..4]);
    }

    #[test]
    fn a_pool_gives_the_buffers_of_dropped_blocks_out_again_up_to_its_bound() {
        let pool = BlockPool::new(64, 1);
        let mut blocks = [pool.block(), pool.block()];
        let place = blocks[0].arena_mut().as_ptr();
        blocks[0].arena_mut().extend(b"bytes of before");
        drop(blocks);
        let mut again = pool.block();
        assert_eq!((again.arena_mut().as_ptr(), again.bytes()), (place, 0));
        again.arena_mut().resize(1000, 0);
        drop(again);
        assert!(
            pool.spare().is_empty(),
            "what has grown too large, and more than one, is not kept"
        );
    }

    #[test]
    fn what_is_taken_occupies_what_it_holds() {
        let pool = BlockPool::new(1 << 16, 4);
        let mut block = pool.block();
        for bytes in [100, 1 << 15, 0] {
            let topic = block.topic(&"t".into());
            block.arena_mut().resize(bytes, 7);
            block.push(topic, None, Some(0..bytes as u32), None);
            let taken = block.take();
            assert_eq!((taken.len(), taken.bytes()), (1, bytes));
            assert_eq!(taken.record(0).value.map(<[u8]>::len), Some(bytes));
            assert!(
                taken.memory_bytes() <= 2 * bytes + 1024,
                "{bytes}: {}",
                taken.memory_bytes()
            );
            assert!(block.is_empty() && block.bytes() == 0);
        }
    }

    #[test]
    #[should_panic(expected = "outside its block")]
    fn a_span_beyond_the_arena_is_refused() {
        let mut block = RecordBlock::new();
        let index = block.topic(&"t".into());
        block.push(index, None, Some(0..1), None);
    }
}
