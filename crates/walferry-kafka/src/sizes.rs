//! The sizes that have to agree: our queue, librdkafka's, one record, and what a reader takes.
//!
//! Owns [`Sizes`], made in one place from the configuration, and the relations between its fields, which are asserted
//! together. Never: the memory of the other stages (the pipeline's `limits`).
//! Invariants: `record <= client_queue`, so that an empty queue takes every record that the producer takes;
//! `record < receive`, so that what was written can be read; `batch <= record`.

use std::sync::atomic::{AtomicU64, Ordering};

/// `message.max.bytes` unless the file says otherwise: the largest record, before it is compressed.
pub const RECORD_BYTES_DEFAULT: u64 = 64 << 20;
/// The largest that librdkafka takes for it (CONFIGURATION.md).
const RECORD_BYTES_CEILING: u64 = 1_000_000_000;
/// What librdkafka counts beside a record's value, and what a response has beside records.
const BESIDE_BYTES: u64 = 1 << 20;
/// The least that librdkafka's readers take at once: its default of `receive.message.max.bytes`.
const RECEIVE_BYTES_MIN: u64 = 100_000_000;
/// The most (CONFIGURATION.md).
const RECEIVE_BYTES_MAX: u64 = i32::MAX as u64;

const _: () = assert!(RECORD_BYTES_DEFAULT <= RECORD_BYTES_CEILING);
const _: () = assert!(RECORD_BYTES_CEILING + BESIDE_BYTES < RECEIVE_BYTES_MAX);
const _: () = assert!(RECEIVE_BYTES_MIN <= RECEIVE_BYTES_MAX);

/// What a request has beside the value of its only record.
const REQUEST_BESIDE_BYTES: u64 = 64 << 10;

/// The largest request that the brokers take (`socket.request.max.bytes`), once they have said so. Shared by the clones of a
/// configuration.
#[derive(Debug, Default)]
pub struct RequestLimit(AtomicU64);

impl RequestLimit {
    /// What the brokers have said.
    pub(crate) fn set(&self, bytes: Option<u64>) {
        self.0.store(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// Nothing when it is not known.
    pub(crate) fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|it| *it > 0)
    }
}

/// The sizes in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes of the largest record.
    pub(crate) record: u64,
    /// The brokers' limit of a request, when that is what bounds it.
    pub(crate) request: Option<u64>,
    /// Bytes of records that share a request.
    pub(crate) batch: u64,
    /// Bytes that we let librdkafka hold; a record larger than that is sent when it holds none.
    pub(crate) queue: u64,
    /// Bytes that librdkafka's own queue takes.
    pub(crate) client_queue: u64,
    /// Bytes that a reader takes at once.
    pub(crate) receive: u64,
}

impl Sizes {
    /// From what is configured, and what the brokers have said.
    pub(crate) fn derive(record: u64, batch: u64, queue: u64, request: Option<u64>) -> Sizes {
        let record = record.min(RECORD_BYTES_CEILING);
        let room = |it: u64| it - REQUEST_BESIDE_BYTES.min(it.div_ceil(2));
        let request = request.filter(|it| room(*it) < record);
        let record = request.map_or(record, room);
        let sizes = Sizes {
            record,
            request,
            batch: batch.min(record),
            queue,
            client_queue: queue.max(record) + BESIDE_BYTES,
            receive: (record + BESIDE_BYTES).clamp(RECEIVE_BYTES_MIN, RECEIVE_BYTES_MAX),
        };
        sizes.assert();
        sizes
    }

    fn assert(&self) {
        assert!(self.record <= self.client_queue && self.queue <= self.client_queue);
        assert!(self.record < self.receive);
        assert!(self.batch <= self.record);
        assert!(self.request.is_none_or(|it| self.record < it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_takes_every_record_whatever_was_configured() {
        let sizes = [
            1_000,
            1_048_588,
            RECORD_BYTES_DEFAULT,
            200 << 20,
            RECORD_BYTES_CEILING,
            u64::MAX >> 1,
        ];
        for record in sizes {
            for batch in [1, 1_000_000, 1 << 31] {
                for queue in [1 << 10, 2 << 20, 8 << 20, 1 << 32] {
                    for request in [None, Some(1), Some(6_000_000), Some(100 << 20)] {
                        let sizes = Sizes::derive(record, batch, queue, request);
                        assert!(sizes.client_queue >= sizes.record, "{sizes:?}");
                        assert!(sizes.receive > sizes.record, "{sizes:?}");
                        assert!(request.is_none_or(|it| sizes.record < it), "{sizes:?}");
                    }
                }
            }
        }
    }
}
