//! The two calls of librdkafka that its Rust crate makes slow: flush and commit, straight and timed apart; and how its
//! memory is given back.
//!
//! Owns the only `unsafe` code of the project. The crate's own `flush` and `commit_transaction` wait in steps of 100 ms
//! because they poll in between; here another thread polls, so the plain calls return as soon as they are done.
#![allow(unsafe_code)]

use std::{ffi::CStr, time::Duration};

use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as sys;

use crate::events::Events;

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
        };
        sys::rd_kafka_error_destroy(error);
        Err(described)
    }
}

/// Lets each buffer of 1 MiB or more go back to the system as soon as it is free, librdkafka's copies of records too. glibc
/// else raises that size with each buffer that is freed, to 32 MiB at most (`mallopt(3)`, `M_MMAP_THRESHOLD`), and what rows of
/// megabytes leave in its heap is a third of the process. To be called before there are other threads.
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes two numbers, and nothing else allocates meanwhile.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}
