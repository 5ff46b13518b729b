//! Which topics there are: their ids, their partitions, and what we may do with them; and what we may do with a group.
//!
//! Owns two admin requests that the crate does not have (`DescribeTopics`, `DescribeConsumerGroups`). Never creates a topic by asking for it.

use std::{
    ffi::{CStr, CString},
    ptr::{self, NonNull},
    time::Duration,
};

use rdkafka::{ClientContext, client::Client, error::RDKafkaErrorCode};
use rdkafka_sys as sys;

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Its id (KIP-516), where the brokers have ids.
    pub(crate) id: Option<String>,
    /// How many partitions it has.
    pub(crate) partitions: i32,
    /// What we may do with it, where the brokers say so.
    pub(crate) allowed: Option<Vec<Operation>>,
}

/// What can be granted on a topic or a group, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Read,
    Write,
    Describe,
    DescribeConfigs,
}

impl Operation {
    /// As `kafka-acls` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::Describe => "Describe",
            Operation::DescribeConfigs => "DescribeConfigs",
        }
    }

    fn of(native: sys::rd_kafka_AclOperation_t) -> Option<Operation> {
        use sys::rd_kafka_AclOperation_t as Native;
        match native {
            Native::RD_KAFKA_ACL_OPERATION_READ => Some(Operation::Read),
            Native::RD_KAFKA_ACL_OPERATION_WRITE => Some(Operation::Write),
            Native::RD_KAFKA_ACL_OPERATION_DESCRIBE => Some(Operation::Describe),
            Native::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Some(Operation::DescribeConfigs),
            _ => None,
        }
    }
}

/// What was asked for, and what the cluster said.
pub(crate) type Answer = (String, Result<Described, RDKafkaErrorCode>);

/// Gives a handle back when it goes out of scope.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(
        pointer: *mut T,
        destroy: unsafe extern "C" fn(*mut T),
    ) -> Result<Owned<T>, RDKafkaErrorCode> {
        let handle = NonNull::new(pointer).ok_or(RDKafkaErrorCode::Fail)?;
        Ok(Owned(handle, destroy))
    }

    fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is ours alone, came from the call that belongs to this one, and is not used after this.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}

/// Describes topics; each name once, and none that is empty. Waits `limit` at most.
pub(crate) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    limit: Duration,
) -> Result<Vec<Answer>, RDKafkaErrorCode> {
    let mut names: Vec<&str> = topics.iter().copied().filter(|it| !it.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<CString> = names
        .into_iter()
        .filter_map(|it| CString::new(it).ok())
        .collect();
    let mut pointers: Vec<_> = names.iter().map(|it| it.as_ptr()).collect();
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: `rk` is the live handle that `client` owns, and the borrow keeps it alive during the call. The names end with
    // a zero, are copied by the call that takes them, and live until its end. Each object is destroyed once, by `Owned`,
    // after its last use, and the queue is ours alone. What the event holds is read before the event is destroyed.
    unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy)?;
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(
                rk,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            sys::rd_kafka_AdminOptions_destroy,
        )?;
        set_options(&options, limit_ms);
        let collection = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )?;
        sys::rd_kafka_DescribeTopics(rk, collection.get(), options.get(), queue.get());
        let event = sys::rd_kafka_queue_poll(queue.get(), limit_ms.saturating_add(500));
        let event = Owned::new(event, sys::rd_kafka_event_destroy)
            .map_err(|_| RDKafkaErrorCode::OperationTimedOut)?;
        let error = RDKafkaErrorCode::from(sys::rd_kafka_event_error(event.get()));
        if error != RDKafkaErrorCode::NoError {
            return Err(error);
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.get());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let first = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok((0..count).map(|at| described(*first.add(at))).collect())
    }
}

/// # Safety
/// `topic` points to a description whose event lives.
unsafe fn described(topic: *const sys::rd_kafka_TopicDescription_t) -> Answer {
    // SAFETY: the description lives for the call; its texts end with a zero and are copied, its arrays have the length that is
    // told with them.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
        let name = name.to_string_lossy().into_owned();
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            let code = RDKafkaErrorCode::from(sys::rd_kafka_error_code(error));
            if code != RDKafkaErrorCode::NoError {
                return (name, Err(code));
            }
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let mut count = 0;
        let first = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        let described = Described {
            id: topic_id(topic),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            allowed: operations(first, count),
        };
        (name, Ok(described))
    }
}

/// # Safety
/// `first` is null or points to `count` operations.
unsafe fn operations(
    first: *const sys::rd_kafka_AclOperation_t,
    count: usize,
) -> Option<Vec<Operation>> {
    // SAFETY: the caller says so.
    let of = |at: usize| unsafe { Operation::of(*first.add(at)) };
    (!first.is_null() && count > 0).then(|| (0..count).filter_map(of).collect())
}

/// What we may do with a consumer group, whether or not it exists; none when the brokers do not say. Waits `limit` at most.
pub(crate) fn describe_group<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    limit: Duration,
) -> Result<Option<Vec<Operation>>, RDKafkaErrorCode> {
    let name = CString::new(group).map_err(|_| RDKafkaErrorCode::InvalidGroupId)?;
    let mut pointers = [name.as_ptr()];
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: as in `describe_topics`; the description lives as long as the event.
    unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy)?;
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(
                rk,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            ),
            sys::rd_kafka_AdminOptions_destroy,
        )?;
        set_options(&options, limit_ms);
        sys::rd_kafka_DescribeConsumerGroups(
            rk,
            pointers.as_mut_ptr(),
            pointers.len(),
            options.get(),
            queue.get(),
        );
        let event = sys::rd_kafka_queue_poll(queue.get(), limit_ms.saturating_add(500));
        let event = Owned::new(event, sys::rd_kafka_event_destroy)
            .map_err(|_| RDKafkaErrorCode::OperationTimedOut)?;
        let error = RDKafkaErrorCode::from(sys::rd_kafka_event_error(event.get()));
        if error != RDKafkaErrorCode::NoError {
            return Err(error);
        }
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.get());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if count == 0 {
            return Ok(None);
        }
        let group = *groups;
        let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
        if !error.is_null() {
            let code = RDKafkaErrorCode::from(sys::rd_kafka_error_code(error));
            if code != RDKafkaErrorCode::NoError {
                return Err(code);
            }
        }
        let mut count = 0;
        let first =
            sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count);
        Ok(operations(first, count))
    }
}

/// How long to wait, and to tell what we may do.
///
/// # Safety
/// The options are of a request that has both.
unsafe fn set_options(options: &Owned<sys::rd_kafka_AdminOptions_t>, limit_ms: i32) {
    // SAFETY: the options live; an error object is ours to destroy, and is not used after that.
    unsafe {
        sys::rd_kafka_AdminOptions_set_request_timeout(options.get(), limit_ms, ptr::null_mut(), 0);
        let refused =
            sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.get(), 1);
        if let Some(error) = NonNull::new(refused) {
            sys::rd_kafka_error_destroy(error.as_ptr());
        }
    }
}

/// # Safety
/// `topic` points to a description whose event lives.
unsafe fn topic_id(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<String> {
    // SAFETY: as above; the id's text is kept by the id, and copied.
    unsafe {
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let none = id.is_null()
            || (sys::rd_kafka_Uuid_most_significant_bits(id) == 0
                && sys::rd_kafka_Uuid_least_significant_bits(id) == 0);
        if none {
            return None;
        }
        let text = sys::rd_kafka_Uuid_base64str(id);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}
