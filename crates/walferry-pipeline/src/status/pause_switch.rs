//! Publishing that an operator holds: what is wanted, and whether it is so.
//!
//! Owns two flags: the requested pause and the actual one. The publisher holds at the end of a PostgreSQL transaction, with no Kafka
//! transaction open; the session goes on to read until the memory is full, and to answer the server. Never: outlives the process.
//! Start reading at `PauseSwitch`.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time};

/// How long the end of the open transaction is waited for before the answer says that it is still to come.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// How often a publisher that holds shows that it is alive.
const PULSE: Duration = Duration::from_millis(500);

/// What an operator wants of the publisher, and whether it is so.
#[derive(Debug)]
pub(crate) struct PauseSwitch {
    wanted: AtomicBool,
    changed: (Mutex<()>, Condvar),
    held: watch::Sender<bool>,
}

impl Default for PauseSwitch {
    fn default() -> PauseSwitch {
        PauseSwitch {
            wanted: AtomicBool::new(false),
            changed: (Mutex::new(()), Condvar::new()),
            held: watch::Sender::new(false),
        }
    }
}

impl PauseSwitch {
    /// Whether publishing is to be held.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether it is.
    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Publishing is to be held at the end of the transaction that is being published. Whether that has come within [`ANSWER`].
    pub(crate) async fn pause(&self) -> bool {
        self.want(true);
        let mut held = self.held.subscribe();
        let waited = time::timeout(ANSWER, held.wait_for(|held| *held)).await;
        waited.is_ok()
    }

    /// Publishing is to go on. Whether it was to be held.
    pub(crate) fn resume(&self) -> bool {
        let was_wanted = self.is_wanted();
        self.want(false);
        was_wanted
    }

    /// Blocks the publisher while publishing is to be held; it is `alive` in that. `false` when `halted` said so first.
    pub(crate) fn hold(&self, alive: impl Fn(), halted: impl Fn() -> bool) -> bool {
        self.held.send_replace(true);
        let resumed = loop {
            alive();
            if !self.is_wanted() {
                break true;
            }
            if halted() {
                break false;
            }
            let (lock, changed) = &self.changed;
            let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = changed.wait_timeout(guard, PULSE);
        };
        self.held.send_replace(false);
        resumed
    }

    fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
        self.changed.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::status::Status;
    use crate::status::state::State;

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
                    let pausing = &status.pausing;
                    pausing.hold(|| status.show_state(), || stop.load(Ordering::Relaxed))
                })
            };
            assert!(status.pausing.pause().await);
            assert_eq!(status.report().state, State::Paused);
            let reasons = status.ready().unwrap_err();
            assert!(reasons[0].contains("walferry resume"), "{reasons:?}");
            match halted {
                true => stop.store(true, Ordering::Relaxed),
                false => assert!(status.pausing.resume()),
            }
            assert_eq!(holding.join().unwrap(), !halted);
            assert_eq!(status.report().state, State::Streaming);
        }
        status.pausing.resume();
        assert!(!status.pausing.resume(), "it was not paused");
    }
}
