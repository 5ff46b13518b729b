//! Waiting for Kafka and the registry from the encode thread: a new schema or topic cannot do without them.
//!
//! Owns the tries, and says in the status what is waited for. Invariants: an outage has no end here but the stop, which is obeyed
//! at once, also in the middle of a question; whatever waits shows that it is alive.
//! Start reading at `Relations::register_all`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use walferry_kafka::TopicTakes;

use crate::{
    encode::{
        relations::{Relations, refusal::Refusal, urgency::Urgency},
        stage::STAGE,
    },
    error::{Error, Passing},
    retry::{self, Retry, hedged},
    status::state::Peer,
    tables::plan::Offer,
};

/// How long the registry may be away before a table is parked for it: a mere restart parks nothing.
const PARK_AFTER: Duration = Duration::from_secs(2);
/// How often a wait shows that it is alive.
const PULSE: Duration = Duration::from_secs(1);

impl Relations {
    /// Waits for an answer, or for the stop.
    fn ask<T>(&mut self, question: impl Future<Output = T>) -> Result<T, Error> {
        let (stop, status) = (&mut self.stop, &self.status);
        // A question that is asked again beside itself lasts for as long as nothing comes back.
        let alive = async {
            loop {
                tokio::time::sleep(PULSE).await;
                status.pulse_goes_on(STAGE);
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                answer = question => Ok(answer),
                () = retry::asked(stop) => Err(Error::stopped()),
                () = alive => Err(Error::stopped()),
            }
        })
    }

    /// Creates a topic that is missing, and waits for brokers that are away. What it takes.
    pub(super) fn ensure_topic(&mut self, topic: &Arc<str>) -> Result<TopicTakes, Error> {
        if let Some((_, takes)) = self.known_topics.iter().find(|(known, _)| known == topic) {
            return Ok(*takes);
        }
        let ensure = match **topic == self.config.errors.dead_letter_topic {
            true => walferry_kafka::ensure_roomy_topic,
            false => walferry_kafka::ensure_topic,
        };
        let mut retry = self.config.errors.retry();
        let first = self.config.kafka.brokers.split(',').next();
        let address = first.and_then(|it| it.trim().rsplit_once(':'));
        let address = address.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let takes = loop {
            let asked = self.runtime.spawn_blocking({
                let (kafka, topic) = (self.config.kafka.clone(), topic.clone());
                let span = tracing::Span::current();
                move || {
                    let _named = span.enter();
                    ensure(&kafka, &topic)
                }
            });
            let answer = self.ask(asked)?;
            let answer =
                answer.map_err(|error| Error::internal(format!("making a topic: {error}")))?;
            match answer {
                Ok(takes) => break takes,
                Err(error) => {
                    self.wait(&mut retry, Peer::Kafka, "topics", error, address.clone())?;
                }
            }
        };
        self.status.waits_no_more(STAGE);
        self.known_topics.push((topic.clone(), takes));
        Ok(takes)
    }

    /// Waits before the next try. An error ends the tries: one that cannot pass, or a fault after as many as are configured,
    /// or the stop.
    fn wait<E: Passing + Into<Error> + std::fmt::Display>(
        &mut self,
        retry: &mut Retry,
        peer: Peer,
        stage: &'static str,
        error: E,
        address: Option<(String, u16)>,
    ) -> Result<(), Error> {
        // The ring has turned: whoever shuts us out now let us in before.
        let outage = error.is_outage() || error.is_shut_out();
        let pause = match outage || error.may_pass() {
            true => retry.failed(outage),
            false => None,
        };
        let Some(pause) = pause else {
            self.status.waits_no_more(STAGE);
            let error: Error = error.into();
            return Err(error.after_tries(retry.tries()));
        };
        let (kind, reason) = (error.label(), error.to_string());
        self.status.waits(STAGE, peer, kind, reason);
        self.status.count_retries(stage, 1);
        self.ask(retry::wait(pause, address))
    }

    /// The ids of the offers. A registry that is away is waited for; a table that may wait alone is given back instead.
    pub(super) fn register_all(
        &mut self,
        offers: &[(&str, Offer)],
        urgency: Urgency,
    ) -> Result<Vec<u32>, Refusal> {
        let pairs: Vec<_> = offers
            .iter()
            .map(|(_, it)| (it.subject.as_str(), it.schema.as_str()))
            .collect();
        let mut retry = self.config.errors.retry();
        let (registry, address) = (self.registry.clone(), self.registry.address());
        let begun = Instant::now();
        loop {
            let asked = hedged(|| registry.register_all(&pairs));
            let error = match self.ask(asked).map_err(Refusal::Error)? {
                Ok(ids) => {
                    self.status.waits_no_more(STAGE);
                    return Ok(ids);
                }
                Err(error) => error,
            };
            if error.kind() == "schema" {
                self.status.waits_no_more(STAGE);
                return Err(Refusal::Schema(error.to_string()));
            }
            let away = error.is_outage() || error.is_shut_out();
            if away && urgency == Urgency::MayPark && begun.elapsed() >= PARK_AFTER {
                self.status.waits_no_more(STAGE);
                return Err(Refusal::Schema(error.to_string()));
            }
            let (peer, stage) = (Peer::Registry, "registry");
            self.wait(&mut retry, peer, stage, error, address.clone())
                .map_err(Refusal::Error)?;
        }
    }
}
