//! Publishing that an operator holds: what is wanted, and whether it is so.
//!
//! Owns two flags: the requested pause and the actual one. The publisher holds at the end of a PostgreSQL transaction, with no Kafka
//! transaction open; the session goes on to read until the memory is full, and to answer the server. Never: outlives the process.
//! Start reading at `PauseSwitch`; the calls are in `pausing`.

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// How long the end of the open transaction is waited for before the answer says that it is still to come.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// How often a publisher that holds shows that it is alive.
pub(crate) const PULSE: Duration = Duration::from_millis(500);

/// What an operator wants of the publisher, and whether it is so.
#[derive(Debug)]
pub(crate) struct PauseSwitch {
    wanted: AtomicBool,
    pub(crate) changed: (Mutex<()>, Condvar),
    pub(crate) held: watch::Sender<bool>,
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

    pub(crate) fn want(&self, wanted: bool) {
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
