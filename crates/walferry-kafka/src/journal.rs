//! What librdkafka says, in our log: the clients beside the producer, which have nothing else to tell.
//!
//! Owns nothing. Never decides: a client that cannot reach a broker says so line after line, and whoever asked through
//! it gets the outcome as an error anyway, so these lines are for those who debug.

use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
};

/// The context of clients whose events only go to the log.
pub(crate) struct Journal;

impl ClientContext for Journal {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Journal {}
