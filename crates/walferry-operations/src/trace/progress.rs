//! How far a running connector says that it is.
//!
//! Owns: [`Progress`] and its words.

use walferry_event::Lsn;

/// How far a running connector says that it is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// What it is doing.
    pub state: String,
    /// Why, when it is not simply working.
    pub reason: Option<String>,
    /// What takes most of its time.
    pub sentence: Option<String>,
    /// What has come from PostgreSQL.
    pub received: Lsn,
    /// What was given to Kafka, and may not be committed.
    pub published: Lsn,
}

impl Progress {
    /// What it is doing, and why or what takes its time.
    pub(super) fn words(&self) -> String {
        let state = &self.state;
        match (&self.reason, &self.sentence) {
            (Some(reason), _) => format!("the connector is {state}: {reason}"),
            (None, Some(sentence)) => {
                let sentence = sentence.trim_end_matches('.');
                format!("the connector is {state}. {sentence}")
            }
            (None, None) => format!("the connector is {state}"),
        }
    }
}
