//! Waiting for the servers at a start: without an end while one is away, and never in silence.
//!
//! Owns the tries and what the status says meanwhile. What cannot pass ends the start at once: a wrong name, a missing right, a
//! version that is not supported; and a wrong password, unless this process has streamed before and somebody is about to change
//! both sides.
//! Start reading at `Start::patiently`.

use std::time::Duration;

use tokio::time;
use walferry_kafka::Health;

use crate::{
    connector::Start,
    error::{Error, Passing},
    retry,
    status::state::Peer,
};

/// After so long without an answer, nor an error, the status says that it is waited for.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How often the publisher that is being opened is asked how Kafka is.
const LOOK: Duration = Duration::from_millis(500);

impl Start {
    /// Asks the server at `place`, and tries again for as long as it is away. Any other error that may pass is tried again as often as is configured.
    pub(super) async fn patiently<T, E, F>(
        &self,
        peer: Peer,
        place: &str,
        address: Option<(String, u16)>,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, E>>,
        E: Passing + Into<Error> + std::fmt::Display,
    {
        let stage = peer.stage();
        let mut retry = self.config.errors.retry();
        loop {
            let error = match self.told_when_late(peer, place, attempt()).await {
                Ok(value) => {
                    self.status.waits_no_more(stage);
                    return Ok(value);
                }
                Err(error) => error,
            };
            let outage = error.is_outage() || (self.has_turned && error.is_shut_out());
            let pause = match outage || error.may_pass() {
                true => retry.failed(outage),
                false => None,
            };
            let Some(pause) = pause else {
                self.status.waits_no_more(stage);
                let error: Error = error.into();
                return Err(error.after_tries(retry.tries()));
            };
            self.waits(peer, error.label(), error.to_string());
            self.status.count_retries(stage, 1);
            retry::wait(pause, address.clone()).await;
        }
    }

    /// Says what is waited for. There is no position yet from which the slot could be followed, so that PostgreSQL pays for it.
    fn waits(&self, peer: Peer, kind: &'static str, reason: String) {
        let slot = &self.config.source.slot;
        let text = match peer {
            Peer::PostgreSql => reason,
            _ => format!(
                "{reason}; slot {slot:?} is not followed meanwhile, and retains WAL if it exists"
            ),
        };
        self.status.waits(peer.stage(), peer, kind, text);
    }

    /// Waits for an answer, and says so when it is late.
    async fn told_when_late<T>(
        &self,
        peer: Peer,
        place: &str,
        answer: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(answer);
        match time::timeout(TELL_AFTER, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                if !self.status.is_waiting(peer.stage()) {
                    let text = format!("{place} has not answered for {} s", TELL_AFTER.as_secs());
                    self.waits(peer, "timeout", text);
                }
                answer.await
            }
        }
    }

    /// Waits until Kafka has done something, and says meanwhile why it has not.
    pub(super) async fn while_kafka_says<T>(
        &self,
        health: &Health,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let stage = Peer::Kafka.stage();
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                () = time::sleep(LOOK) => {}
            }
            match health.reason() {
                Some(reason) => self.waits(Peer::Kafka, "connection", reason),
                None => self.status.waits_no_more(stage),
            }
        };
        self.status.waits_no_more(stage);
        done
    }
}
