//! One transactional producer: the topics that it has sent to, the thread that polls it, and the one that makes its calls.
//!
//! Owns the two threads. Never used again once it has seen an error.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::{config::ClientConfig, error::KafkaError, producer::BaseProducer};

use super::{
    calls::Calls,
    faults::{error_fault, fault},
};
use crate::{Config, events::Events, native, transactions::Fault, veil};

const POLL: Duration = Duration::from_millis(10);
/// Events that are taken at each poll; a failed batch is one event.
const EVENTS: usize = 16;

/// A producer with its threads.
pub(super) struct Live {
    pub(super) producer: Arc<BaseProducer<Events>>,
    pub(super) topics: HashMap<Box<str>, native::Topic>,
    pub(super) calls: Calls,
    polling: Arc<AtomicBool>,
    poller: Option<JoinHandle<()>>,
}

impl Live {
    /// Makes one. Nothing is asked of Kafka yet.
    pub(super) fn new(
        config: &Config,
        settings: &ClientConfig,
        events: Events,
    ) -> Result<Live, Fault> {
        let producer: BaseProducer<Events> = settings
            .create_with_context(events)
            .map_err(|error| error_fault(&veil::property(config, &error)))?;
        let producer = Arc::new(producer);
        let no_thread = |error| Fault::Doubt(format!("starting a thread of the producer: {error}"));
        let calls = Calls::new(producer.clone()).map_err(no_thread)?;
        let polling = Arc::new(AtomicBool::new(true));
        let poller = std::thread::Builder::new().name("walferry-poll".into());
        let poller = poller.spawn({
            let (producer, polling) = (producer.clone(), polling.clone());
            let span = tracing::Span::current();
            move || {
                let _named = span.enter();
                // The crate's poll spins through the last millisecond of its timeout, so the wait is ours.
                while polling.load(Ordering::SeqCst) {
                    (0..EVENTS).for_each(|_| producer.poll(Duration::ZERO));
                    std::thread::sleep(POLL);
                }
            }
        });
        Ok(Live {
            producer,
            topics: HashMap::new(),
            calls,
            polling,
            poller: Some(poller.map_err(no_thread)?),
        })
    }

    pub(super) fn topic(
        &mut self,
        name: &str,
        partitions: Option<i32>,
    ) -> Result<&native::Topic, Fault> {
        if !self.topics.contains_key(name) {
            let topic = native::Topic::new(&self.producer, name, partitions);
            let topic =
                topic.map_err(|error| fault(&KafkaError::MessageProduction(error), name))?;
            self.topics.insert(name.into(), topic);
        }
        Ok(&self.topics[name])
    }

    /// Waits for the callbacks of what has just happened.
    pub(super) fn let_events_pass(&self) {
        std::thread::sleep(2 * POLL);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.polling.store(false, Ordering::SeqCst);
        if let Some(poller) = self.poller.take()
            && poller.join().is_err()
        {
            tracing::error!("the poll thread panicked");
        }
    }
}
