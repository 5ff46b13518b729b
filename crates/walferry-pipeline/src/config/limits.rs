//! The sizes that have to agree from the socket to Kafka, derived in one place and asserted together.
//!
//! Owns `Limits`. What librdkafka's own queue and readers take follows from `record` in `walferry-kafka`'s `sizes`.
//! Invariants: `wire + queue + encoded <= memory`, an eighth is left for what is not counted; `batch <= memory / 4`, because a
//! batch may grow to twice its budget and is kept until its outcome is known; `record <= frame`, so that what Kafka would take
//! is not refused on the wire; `frame` is never above what PostgreSQL can send.
//!
//! A row that is larger than all this goes alone: it is read, encoded and sent while nothing else is in flight. One whose
//! message is above `frame` is not kept: its head is read, its values are passed over on the socket, and its table's policy
//! decides.

/// Parts of `memory_bytes_max`.
const PARTS: u64 = 8;
const WIRE_PARTS: u64 = 1;
const QUEUE_PARTS: u64 = 1;
const ENCODED_PARTS: u64 = 5;
/// A batch takes this part of the memory at most.
const BATCH_PART: u64 = 4;
/// PostgreSQL's text of a value may be twice as long as the value, and an update may bring the old row, too: a message that is
/// longer than this many times the largest record belongs to no record that Kafka would take.
const FRAME_PER_RECORD: u64 = 4;
/// The least that a message may have, however small records are.
const FRAME_BYTES_MIN: u64 = 16 << 20;
/// PostgreSQL builds no longer message (`MaxAllocSize`), and what frames it is short.
const FRAME_BYTES_MAX: u64 = (1 << 30) + (1 << 10);

const _: () = assert!(WIRE_PARTS + QUEUE_PARTS + ENCODED_PARTS < PARTS);
const _: () = assert!(2 * (PARTS / BATCH_PART) <= ENCODED_PARTS);
const _: () = assert!(FRAME_BYTES_MIN < FRAME_BYTES_MAX);
const _: () = assert!(
    walferry_kafka::RECORD_BYTES_DEFAULT * FRAME_PER_RECORD <= FRAME_BYTES_MAX
        && walferry_kafka::RECORD_BYTES_DEFAULT >= FRAME_BYTES_MIN
);

/// The limits in force, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Received and not yet decoded.
    pub(crate) wire: u64,
    /// Records that librdkafka holds.
    pub(crate) queue: u64,
    /// Encoded and waiting, or published and not yet committed.
    pub(crate) encoded: u64,
    /// The budget of a batch.
    pub(crate) batch: u64,
}

impl Limits {
    /// The limits of these settings.
    pub(crate) fn of(publish: &Publish) -> Limits {
        let memory = publish.memory_bytes_max;
        let part = memory / PARTS;
        Limits {
            wire: part * WIRE_PARTS,
            queue: part * QUEUE_PARTS,
            encoded: part * ENCODED_PARTS,
            batch: publish.batch_bytes_max.min(memory / BATCH_PART),
        }
    }
}

/// The longest message of the stream that is kept, where Kafka takes records of so many bytes.
pub(crate) fn frame_bytes_max(record_bytes_max: u64) -> u64 {
    record_bytes_max
        .saturating_mul(FRAME_PER_RECORD)
        .clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX)
}

/// Batching and memory.
#[derive(Clone, Copy, Debug)]
pub struct Publish {
    /// Bytes of records after which a Kafka transaction is committed at the next end of a PostgreSQL transaction.
    pub batch_bytes_max: u64,
    /// Milliseconds after which it is.
    pub commit_interval_ms: u64,
    /// Everything in flight, in bytes.
    pub memory_bytes_max: u64,
}

impl Publish {
    /// Received and not yet decoded: an eighth.
    pub fn wire_bytes_max(&self) -> u64 {
        Limits::of(self).wire
    }

    /// Values in librdkafka's queue, which stand in blocks or are copied when they have headers: an eighth. A record that is
    /// larger goes alone.
    pub fn queue_bytes_max(&self) -> u64 {
        Limits::of(self).queue
    }

    /// Encoded and waiting, or published and not yet committed: five eighths.
    pub fn encoded_bytes_max(&self) -> u64 {
        Limits::of(self).encoded
    }

    /// The budget of a batch in force: a quarter of the memory at most, because a batch may grow to twice its budget
    /// while the transaction that it ends with is still open, and all of it is kept until the commit is known.
    pub fn batch_budget_bytes(&self) -> u64 {
        Limits::of(self).batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_agree_whatever_is_configured() {
        for memory_mib in [1, 2, 16, 64, 1_000, 100_000] {
            for batch_mib in [1, 16, 1_000] {
                let publish = Publish {
                    batch_bytes_max: batch_mib << 20,
                    commit_interval_ms: 1,
                    memory_bytes_max: memory_mib << 20,
                };
                let limits = Limits::of(&publish);
                let Limits {
                    wire,
                    queue,
                    encoded,
                    batch,
                } = limits;
                assert!(wire > 0 && queue > 0 && batch > 0, "{limits:?}");
                assert!(
                    wire + queue + encoded <= publish.memory_bytes_max,
                    "{limits:?}"
                );
                assert!(2 * batch <= encoded, "{limits:?}");
            }
        }
        for record in [1, 1_048_588, 64 << 20, 200 << 20, 1_000_000_000, u64::MAX] {
            let frame = frame_bytes_max(record);
            assert!(frame >= record.min(1 << 30), "{record}: {frame}");
            assert!(frame <= FRAME_BYTES_MAX);
        }
        assert_eq!(
            frame_bytes_max(walferry_kafka::RECORD_BYTES_DEFAULT),
            256 << 20
        );
    }
}
