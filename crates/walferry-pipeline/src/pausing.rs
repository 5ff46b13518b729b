//! Publishing that an operator holds: what is wanted, and whether it is so.
//!
//! Owns both. The publisher holds at the end of a PostgreSQL transaction, with no Kafka transaction open; the session goes on
//! to read until the memory is full, and to answer the server. Never: outlives the process.
//! Start reading at [`Status::pause`], then [`Status::hold`].

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time};

use crate::status::Status;

/// How long the end of the open transaction is waited for before the answer says that it is still to come.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a publisher that holds shows that it is alive.
const PULSE: Duration = Duration::from_millis(500);

/// What an operator wants of the publisher, and whether it is so.
#[derive(Debug)]
pub(crate) struct Pausing {
    wanted: AtomicBool,
    changed: (Mutex<()>, Condvar),
    held: watch::Sender<bool>,
}

impl Default for Pausing {
    fn default() -> Pausing {
        Pausing {
            wanted: AtomicBool::new(false),
            changed: (Mutex::new(()), Condvar::new()),
            held: watch::Sender::new(false),
        }
    }
}

impl Pausing {
    /// Whether publishing is to be held.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether it is.
    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
        self.changed.1.notify_all();
    }
}

impl Status {
    /// Holds publishing at the end of the transaction that is being published. What is said to the operator.
    ///
    /// # Errors
    /// The end of the transaction has not come within half a minute: it is held as soon as it comes.
    pub async fn pause(&self) -> Result<String, String> {
        self.pausing.want(true);
        let mut held = self.pausing.held.subscribe();
        let waited = time::timeout(ANSWER, held.wait_for(|held| *held)).await;
        let checkpointed = self.ledger.positions().checkpointed;
        match waited {
            Ok(_) => Ok(format!("paused: the topics hold all up to {checkpointed}")),
            Err(_) => Err(format!(
                "the transaction behind {checkpointed} has not ended within {} s: publishing is held when it does",
                ANSWER.as_secs()
            )),
        }
    }

    /// Lets publishing go on. What is said to the operator.
    pub fn resume(&self) -> String {
        let was_wanted = self.pausing.is_wanted();
        self.pausing.want(false);
        match was_wanted {
            true => "publishing goes on".to_owned(),
            false => "publishing was not paused".to_owned(),
        }
    }

    /// Blocks the publisher while publishing is to be held. `false` when `halted` said so first.
    pub(crate) fn hold(&self, halted: impl Fn() -> bool) -> bool {
        tracing::info!(lsn = %self.ledger.positions().checkpointed, "publishing is held");
        self.pausing.held.send_replace(true);
        self.show_state();
        let resumed = loop {
            if !self.pausing.is_wanted() {
                break true;
            }
            if halted() {
                break false;
            }
            // The encoder may wait for memory, which comes back when publishing goes on.
            self.pulse_goes_on("publish");
            self.pulse_goes_on("encode");
            let (lock, changed) = &self.pausing.changed;
            let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = changed.wait_timeout(guard, PULSE);
        };
        self.pausing.held.send_replace(false);
        self.show_state();
        resumed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::status::State;

    #[tokio::test]
    async fn publishing_is_held_until_it_is_resumed_or_halted() {
        let status = Arc::new(Status::new("c"));
        status.set_state(State::Streaming, None);
        for halted in [false, true] {
            let stop = Arc::new(AtomicBool::new(false));
            let holding = {
                let (status, stop) = (status.clone(), stop.clone());
                std::thread::spawn(move || {
                    while !status.pausing.is_wanted() {
                        std::thread::yield_now();
                    }
                    status.hold(|| stop.load(Ordering::Relaxed))
                })
            };
            status.pause().await.unwrap();
            assert_eq!(status.report().state, State::Paused);
            let reasons = status.ready().unwrap_err();
            assert!(reasons[0].contains("walferry resume"), "{reasons:?}");
            match halted {
                true => stop.store(true, Ordering::Relaxed),
                false => assert_eq!(status.resume(), "publishing goes on"),
            }
            assert_eq!(holding.join().unwrap(), !halted);
            assert_eq!(status.report().state, State::Streaming);
        }
        status.resume();
        assert_eq!(status.resume(), "publishing was not paused");
    }
}
