//! Asks the cluster all the time whether it answers, beside whatever the publisher does or waits for.
//!
//! Owns a client and a thread of its own, so that an idle publisher and one that is blocked in a commit are watched
//! alike. Never opens a transaction, never creates a topic.
//! Invariant: PAUSE + ANSWER is the longest that a silent cluster stays unseen, and well below five seconds.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};

use crate::{
    Config, Error, Health,
    answers::{Meaning, meaning},
    error::Kind,
    journal::Journal,
    veil,
};

/// Between two questions, and the longest that an answer may take.
const PAUSE: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(2);
/// What the second question has at least.
const LEADER_MIN: Duration = Duration::from_millis(500);
const _: () = assert!(PAUSE.as_millis() + ANSWER.as_millis() + LEADER_MIN.as_millis() <= 4_000);
/// How long the drop waits for the thread: long enough for one that sleeps or gets its answer, never for a silent broker.
const END: Duration = Duration::from_millis(200);

/// The watching thread. It ends with this value, after the question that it may just be asking.
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Watch {
    /// Begins to ask.
    pub(crate) fn start(config: &Config, health: Arc<Health>) -> Result<Watch, Error> {
        let mut settings = config.client()?;
        // A question that was given up must not hold later ones back for librdkafka's full minute.
        settings.set("socket.timeout.ms", ANSWER.as_millis().to_string());
        settings.set(
            "socket.connection.setup.timeout.ms",
            ANSWER.as_millis().to_string(),
        );
        let journal = Journal::of(config);
        let client: BaseConsumer<Journal> = settings
            .create_with_context(journal.clone())
            .map_err(|error| veil::property(config, &error))?;
        let (stop, stopped) = channel();
        let (ends, ended) = channel();
        let (brokers, topic) = (config.brokers.clone(), config.checkpoint_topic.clone());
        let span = tracing::Span::current();
        std::thread::Builder::new()
            .name("walferry-watch".into())
            .spawn(move || {
                let _named = span.enter();
                loop {
                    health.answer(ask(&client, &journal, &brokers, &topic));
                    // Events are of no interest, but they would pile up unread.
                    while client.poll(Duration::ZERO).is_some() {}
                    if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                        break;
                    }
                }
                drop(client);
                // Nobody listens when the drop did not wait any longer.
                let _ = ends.send(());
            })
            .map_err(|error| Error::new(Kind::Broken, format!("starting a thread: {error}")))?;
        Ok(Watch {
            stop: Some(stop),
            ended,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        // A thread that still asks is left alone: it ends by itself after the answer's limit.
        let _ = self.ended.recv_timeout(END);
    }
}

/// Asks any broker, and then the one that leads the checkpoint topic: that others answer is of no use without it.
fn ask(
    client: &BaseConsumer<Journal>,
    journal: &Journal,
    brokers: &str,
    topic: &str,
) -> Result<(), String> {
    let until = Instant::now() + ANSWER;
    let answer = client.fetch_metadata(Some(topic), ANSWER);
    // What librdkafka says of it comes by its events.
    while client.poll(Duration::ZERO).is_some() {}
    let metadata = answer.map_err(|error| journal.why(&error))?;
    let leader = leader(&metadata, topic);
    judge(brokers, topic, &metadata)?;
    let left = until.saturating_duration_since(Instant::now());
    match client.fetch_watermarks(topic, 0, left.max(LEADER_MIN)) {
        Err(error) if is_silence(&error) => Err(format!(
            "the broker that leads checkpoint topic {topic:?}{} does not answer, although others do: {error}",
            leader.map(|it| format!(" ({it})")).unwrap_or_default()
        )),
        // Whatever else it says, it has answered.
        _ => {
            journal.answered();
            Ok(())
        }
    }
}

fn is_silence(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| meaning(code) == Meaning::Passing)
}

/// The address of the broker that leads the topic's partition.
fn leader(metadata: &Metadata, topic: &str) -> Option<String> {
    let topic = metadata.topics().iter().find(|it| it.name() == topic)?;
    let leader = topic.partitions().first()?.leader();
    let broker = metadata.brokers().iter().find(|it| it.id() == leader)?;
    Some(format!("{}:{}", broker.host(), broker.port()))
}

/// What an answer means for publishing: without the checkpoint topic's leader nothing can be committed.
fn judge(brokers: &str, topic: &str, metadata: &Metadata) -> Result<(), String> {
    let Some(seen) = metadata.topics().iter().find(|t| t.name() == topic) else {
        return Ok(());
    };
    if let Some(code) = seen.error().map(RDKafkaErrorCode::from)
        && code == RDKafkaErrorCode::UnknownTopicOrPartition
    {
        return Err(format!(
            "checkpoint topic {topic:?} does not exist on {brokers:?} any more"
        ));
    }
    if seen.partitions().iter().any(|p| p.leader() < 0) {
        return Err(format!(
            "checkpoint topic {topic:?} has no leader: a broker of the cluster of {brokers:?} is down"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    #[test]
    fn a_broker_that_is_not_there_is_named_and_the_drop_does_not_wait_for_it() {
        let health = Arc::new(Health::default());
        let watch = Watch::start(&example(), health.clone()).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while health.reason().is_none() {
            assert!(Instant::now() < until, "nothing was noticed");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let reason = health.reason().unwrap();
        assert!(reason.contains("127.0.0.1:1\""), "{reason}");
        let began = Instant::now();
        drop(watch);
        assert!(began.elapsed() < Duration::from_secs(1));
        let until = Instant::now() + Duration::from_secs(10);
        while Arc::strong_count(&health) > 1 {
            assert!(Instant::now() < until, "the thread outlived its watch");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}
