//! The calls of librdkafka that its Rust crate makes slow or does not have: flush and commit, straight and timed apart; many
//! records at once, without a copy; what topics are; and how its memory is given back.
//!
//! Owns the only `unsafe` code of the project. The crate's own `flush` and `commit_transaction` wait in steps of 100 ms
//! because they poll in between; here another thread polls, so the plain calls return as soon as they are done. Its `send`
//! looks the topic up, reads two clocks and takes four locks for each record.
#![allow(unsafe_code)]

mod describe;

use std::{
    ffi::{CStr, CString, c_void},
    ops::Range,
    ptr::{self, NonNull},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{BaseProducer, Producer},
};
use rdkafka_sys as sys;

use crate::{RecordBlock, events::Events, partitioner::partition_of};

pub(crate) use describe::{Described, Operation, describe_group, describe_topics};

/// `RD_KAFKA_PARTITION_UA`: the partitioner chooses.
const ANY_PARTITION: i32 = -1;

/// A topic that a producer sends to.
pub(crate) struct Topic {
    handle: NonNull<sys::rd_kafka_topic_t>,
    /// Outlives the handle, as librdkafka wants it.
    producer: Arc<BaseProducer<Events>>,
}

// SAFETY: librdkafka's handles may be used from any thread (`rdkafka.h`, "Thread-safety").
unsafe impl Send for Topic {}

impl Topic {
    pub(crate) fn new(
        producer: &Arc<BaseProducer<Events>>,
        name: &str,
        partitions: Option<i32>,
    ) -> Result<Topic, RDKafkaErrorCode> {
        let name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let client = producer.client().native_ptr();
        let spread = usize::try_from(partitions.unwrap_or(0)).unwrap_or(0);
        // SAFETY: the producer's handle is live, the name ends with a zero and is copied. The settings are a copy of the
        // producer's, and belong to the topic from then on; the partitioner lives for ever, and its opaque is a number. The last
        // error is this thread's.
        unsafe {
            let settings = sys::rd_kafka_default_topic_conf_dup(client);
            sys::rd_kafka_topic_conf_set_partitioner_cb(settings, Some(partition));
            sys::rd_kafka_topic_conf_set_opaque(settings, ptr::without_provenance_mut(spread));
            let topic = sys::rd_kafka_topic_new(client, name.as_ptr(), settings);
            let handle = NonNull::new(topic)
                .ok_or_else(|| RDKafkaErrorCode::from(sys::rd_kafka_last_error()))?;
            Ok(Topic {
                handle,
                producer: producer.clone(),
            })
        }
    }
}

/// The partition of a record: of one with a key, over as many as its topic's opaque says; of one without, any that there is.
///
/// # Safety
/// librdkafka calls it with a key that has `key_len` bytes, or none.
unsafe extern "C" fn partition(
    topic: *const sys::rd_kafka_topic_t,
    key: *const c_void,
    key_len: usize,
    found: i32,
    spread: *mut c_void,
    opaque: *mut c_void,
) -> i32 {
    if key.is_null() {
        // SAFETY: the arguments are passed on as they came.
        return unsafe {
            sys::rd_kafka_msg_partitioner_random(topic, key, key_len, found, spread, opaque)
        };
    }
    // SAFETY: the key has so many bytes, which live for the call.
    let key = unsafe { std::slice::from_raw_parts(key.cast::<u8>(), key_len) };
    let accepted = i32::try_from(spread.addr()).ok().filter(|it| *it > 0);
    partition_of(key, accepted.unwrap_or(found))
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, its producer is dropped after it, and nothing uses it after this.
        unsafe { sys::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

/// Queues records of a block for a topic, in their order; their delivery is told with `sequence` and those that follow it. Their
/// values are not copied: the block is kept until the transaction is committed or the producer is gone. The first that was not
/// taken, and why; when the queue was full, none after it was taken either.
pub(crate) fn produce(
    topic: &Topic,
    block: &Arc<RecordBlock>,
    records: Range<usize>,
    sequence: usize,
) -> Result<(), (usize, RDKafkaErrorCode)> {
    topic.producer.context().keep(block);
    let pointer = |bytes: Option<&[u8]>| {
        bytes.map_or(ptr::null_mut(), |it| {
            it.as_ptr().cast_mut().cast::<c_void>()
        })
    };
    let message = |(index, place): (usize, usize)| {
        let record = block.record(index);
        sys::rd_kafka_message_t {
            err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: ANY_PARTITION,
            payload: pointer(record.value),
            len: record.value.map_or(0, <[u8]>::len),
            key: pointer(record.key),
            key_len: record.key.map_or(0, <[u8]>::len),
            offset: 0,
            _private: ptr::without_provenance_mut(place),
        }
    };
    let mut messages: Vec<_> = records.zip(sequence..).map(message).collect();
    let count = i32::try_from(messages.len()).expect("records are sent some at a time");
    // SAFETY: the topic's handle is live. Every message points into the block: keys are copied before the call returns, values
    // are only read, and not after the delivery or the producer's end, up to which `keep` holds the block; nobody can change
    // it meanwhile. Of the messages the call writes `err`.
    unsafe {
        sys::rd_kafka_produce_batch(
            topic.handle.as_ptr(),
            ANY_PARTITION,
            0,
            messages.as_mut_ptr(),
            count,
        );
    }
    let refused = |it: &sys::rd_kafka_message_t| {
        it.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    };
    match messages.iter().position(refused) {
        None => Ok(()),
        Some(index) => Err((index, messages[index].err.into())),
    }
}

/// A transaction call's error, as librdkafka describes it.
#[derive(Debug)]
pub(crate) struct TransactionError {
    /// The same call may be made again.
    pub(crate) retriable: bool,
    /// The producer can never be used again.
    pub(crate) fatal: bool,
    /// The error's name and text.
    pub(crate) text: String,
    /// Another producer with our id exists, or the coordinator gave our transaction up.
    pub(crate) fenced: bool,
    /// Its code.
    pub(crate) code: RDKafkaErrorCode,
}

/// Waits until every queued record is delivered or has failed, at most `limit`. Whether the queue is empty.
pub(crate) fn flush(producer: &BaseProducer<Events>, limit: Duration) -> bool {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `native_ptr` is the live handle that `producer` owns, and the borrow keeps it alive during the call;
    // rd_kafka_flush may be called from any thread.
    let code = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), limit_ms) };
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Commits the open transaction, waiting at most `limit`. It goes on in the background when that has passed; the same
/// call may then be made again.
pub(crate) fn commit(
    producer: &BaseProducer<Events>,
    limit: Duration,
) -> Result<(), TransactionError> {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: as above; the call returns null or an error object that is ours to destroy, which is done exactly once
    // after its last use, and its texts are copied before.
    unsafe {
        let error = sys::rd_kafka_commit_transaction(producer.client().native_ptr(), limit_ms);
        if error.is_null() {
            // A transaction that is committed has no record on its way.
            producer.context().release();
            return Ok(());
        }
        let text = |pointer: *const std::ffi::c_char| {
            CStr::from_ptr(pointer).to_string_lossy().into_owned()
        };
        let described = TransactionError {
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            text: format!(
                "{}: {}",
                text(sys::rd_kafka_error_name(error)),
                text(sys::rd_kafka_error_string(error))
            ),
            fenced: sys::rd_kafka_error_code(error)
                == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FENCED,
            code: sys::rd_kafka_error_code(error).into(),
        };
        sys::rd_kafka_error_destroy(error);
        Err(described)
    }
}

/// Lets each buffer of 1 MiB or more go back to the system as soon as it is free, librdkafka's too. glibc else raises that size
/// with each buffer that is freed, to 32 MiB at most (`mallopt(3)`, `M_MMAP_THRESHOLD`), and what rows of megabytes leave in its
/// heap is a third of the process. Of what is smaller each heap keeps 2 MiB (`M_TRIM_THRESHOLD`), which is what librdkafka takes
/// and frees with each request. To be called before there are other threads.
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the calls take two numbers each, and nothing else allocates meanwhile.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 << 20);
    }
}

/// Makes the producer one that was fenced.
#[cfg(test)]
pub(crate) fn fence(producer: &BaseProducer<Events>, why: &CStr) {
    let code = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FENCED;
    // SAFETY: the producer's handle is live, and the reason ends with a zero and is copied.
    unsafe {
        sys::rd_kafka_test_fatal_error(producer.client().native_ptr(), code, why.as_ptr());
    }
}

/// The names of librdkafka's properties, as its default configuration has them.
#[cfg(test)]
pub(crate) fn property_names() -> Vec<String> {
    // SAFETY: the configuration is ours and destroyed once, and the dump holds `count` texts and is freed once.
    unsafe {
        let conf = sys::rd_kafka_conf_new();
        let topic_conf = sys::rd_kafka_topic_conf_new();
        let mut names = Vec::new();
        for dump in [
            |conf, _, count| sys::rd_kafka_conf_dump(conf, count),
            |_, topic_conf, count| sys::rd_kafka_topic_conf_dump(topic_conf, count),
        ]
            as [unsafe fn(
                *mut sys::rd_kafka_conf_t,
                *mut sys::rd_kafka_topic_conf_t,
                *mut usize,
            ) -> *mut *const std::ffi::c_char; 2]
        {
            let mut count = 0;
            let pairs = dump(conf, topic_conf, &raw mut count);
            for at in (0..count).step_by(2) {
                names.push(
                    CStr::from_ptr(*pairs.add(at))
                        .to_string_lossy()
                        .into_owned(),
                );
            }
            sys::rd_kafka_conf_dump_free(pairs, count);
        }
        sys::rd_kafka_topic_conf_destroy(topic_conf);
        sys::rd_kafka_conf_destroy(conf);
        names
    }
}
