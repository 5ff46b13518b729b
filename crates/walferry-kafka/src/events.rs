//! What librdkafka's callbacks say: which record failed and why, and whether a broker was lost.
//!
//! Owns these facts, which `producer` asks for, and keeps the blocks that librdkafka reads: a client's context is dropped
//! after the client. Never: decides what follows.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};

use crate::{
    RecordBlock, Refusal,
    answers::{Meaning, meaning, remedy},
    error::Kind,
    transactions::Fault,
    veil::Veil,
};

/// For how long an answer of the coordinator's counts as its last word: librdkafka asks again within a second.
const UNENDED: Duration = Duration::from_millis(1_500);

/// What librdkafka's callbacks have said.
pub(crate) struct Events {
    failed: Mutex<Option<Fault>>,
    disconnected: AtomicBool,
    /// When the coordinator last said that a transaction of ours has not ended yet.
    unended: Mutex<Option<Instant>>,
    /// Blocks whose records librdkafka may not have delivered yet.
    kept: Mutex<Vec<Arc<RecordBlock>>>,
    /// A record of at least this many bytes is always alone in its request.
    alone_bytes_min: usize,
    /// Whose events they are: librdkafka tells them on threads of its own.
    span: tracing::Span,
    veil: Veil,
}

impl Events {
    pub(crate) fn new(alone_bytes_min: usize, veil: Veil) -> Events {
        Events {
            failed: Mutex::new(None),
            disconnected: AtomicBool::new(false),
            unended: Mutex::new(None),
            kept: Mutex::new(Vec::new()),
            alone_bytes_min,
            span: tracing::Span::current(),
            veil,
        }
    }

    /// The failure of a record, if there was one: the first, but one that is refused before others, which may follow from it.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the coordinator has said just now that a transaction of ours has not ended yet.
    pub(crate) fn meets_unended(&self) -> bool {
        let at = *self.unended.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() <= UNENDED)
    }

    /// Keeps a block until [`release`](Self::release).
    pub(crate) fn keep(&self, block: &Arc<RecordBlock>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.last().is_some_and(|last| Arc::ptr_eq(last, block)) {
            kept.push(block.clone());
        }
    }

    /// Everything is delivered.
    pub(crate) fn release(&self) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// From here on, [`has_lost_one`](Self::has_lost_one) counts.
    pub(crate) fn watch_connections(&self) {
        self.disconnected.store(false, Ordering::SeqCst);
    }

    /// Whether a broker's connection was lost since [`watch_connections`](Self::watch_connections).
    pub(crate) fn has_lost_one(&self) -> bool {
        self.disconnected.load(Ordering::SeqCst)
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" || facility == "REQTMOUT" {
            self.disconnected.store(true, Ordering::SeqCst);
        }
        // CONCURRENT_TRANSACTIONS, which the call does not tell.
        let unended = facility == "GETPID" && message.contains("concurrent operation");
        if unended {
            let mut at = self.unended.lock().unwrap_or_else(PoisonError::into_inner);
            *at = Some(Instant::now());
        }
        let _named = self.span.enter();
        let message = self.veil.over(message);
        // Each lost connection is a line of librdkafka's; that no broker answers is told once, by the monitor. So is a transaction
        // that does not end, of which there is a line at each try.
        if facility != "FAIL" && !unended && (level as i32) <= (RDKafkaLogLevel::Warning as i32) {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        } else {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.disconnected.store(true, Ordering::SeqCst);
        let _named = self.span.enter();
        let reason = self.veil.over(reason);
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ProducerContext for Events {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: usize) {
        let Err((error, message)) = result else {
            return;
        };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let bytes = message.payload_len() + message.key_len();
        let keyless = message.key().is_none();
        let fault = match meaning(code) {
            Meaning::Echo => return,
            Meaning::Record | Meaning::Topic => {
                let Some(refusal) = Refusal::of(code, message.topic(), keyless, bytes) else {
                    return;
                };
                Fault::Refused {
                    sequence,
                    refusal,
                    alone: bytes >= self.alone_bytes_min,
                }
            }
            Meaning::NoTopic => Fault::NoTopic(message.topic().to_owned()),
            Meaning::Connector => Fault::Final(
                Kind::Denied,
                format!("topic {:?}: {error}; {}", message.topic(), remedy(code)),
            ),
            Meaning::Fenced => Fault::Fenced(error.to_string()),
            Meaning::Passing => Fault::Away(failed(message.topic(), error)),
            Meaning::Doubt => Fault::Doubt(failed(message.topic(), error)),
        };
        let mut known = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |fault: &Fault| matches!(fault, Fault::Refused { .. });
        if known
            .as_ref()
            .is_none_or(|known| refused(&fault) && !refused(known))
        {
            *known = Some(fault);
        }
    }
}

fn failed(topic: &str, error: &KafkaError) -> String {
    format!("a record for topic {topic:?} failed: {error}")
}
