//! Publishing that an operator holds: the answers, and the wait of the publisher.
//!
//! Owns the calls of `Status`. Never: ends a transaction; the publisher holds at its end.
//! Start reading at `Status::pause`, then `Status::hold`.

use std::sync::PoisonError;

use tokio::time;

use crate::status::{
    Status,
    pause_switch::{ANSWER, PULSE},
};

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
