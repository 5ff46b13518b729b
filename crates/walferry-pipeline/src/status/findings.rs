//! What is wrong with a table that was chosen: it is left out, or changes of it are known to be missing from its topic.
//!
//! Owns [`Findings`], one finding a table at most. Never: decides what is wrong; whoever looks at the tables does.
//! Invariant: a table with a finding is in `/status` with its reason, whether or not the stream has met it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What becomes of a table that has a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// It is not published at all; the others are.
    LeftOut,
    /// It is published, and changes or rows of it are missing from its topic. The connector is not ready.
    Incomplete,
    /// It is published, and its topic holds rows that the table has no more. The connector is ready.
    Surplus,
    /// It is published and complete, and its topic is not as it was: that has to be known, and stops nothing.
    Uneven,
}

/// What is wrong with one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) lack: Lack,
    /// Cause and remedy, for the operator.
    pub(crate) reason: String,
}

/// The findings of a connector, by `schema.table`.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<BTreeMap<String, Finding>>);

impl Findings {
    /// Records what is wrong with a table, in place of what was wrong before; logged when it is new.
    pub(crate) fn set(&self, table: &str, lack: Lack, reason: impl Into<String>) {
        let finding = Finding {
            lack,
            reason: reason.into(),
        };
        let before = self.inner().insert(table.to_owned(), finding.clone());
        if before.as_ref() != Some(&finding) {
            let reason = finding.reason;
            match lack {
                Lack::LeftOut => tracing::warn!(table, reason, "the table is left out"),
                Lack::Uneven => tracing::warn!(table, reason, "the table's topic is not as it was"),
                Lack::Incomplete => {
                    tracing::warn!(
                        table,
                        reason,
                        "changes of the table are missing from its topic"
                    );
                }
                Lack::Surplus => {
                    tracing::warn!(
                        table,
                        reason,
                        "its topic holds rows that the table has no more"
                    );
                }
            }
        }
    }

    /// Records that nothing is wrong with a table any more.
    pub(crate) fn clear(&self, table: &str) {
        if self.inner().remove(table).is_some() {
            tracing::info!(table, "the table is complete again");
        }
    }

    /// What is wrong with a table.
    pub(crate) fn of(&self, table: &str) -> Option<Finding> {
        self.inner().get(table).cloned()
    }

    /// All of them.
    pub(crate) fn seen(&self) -> BTreeMap<String, Finding> {
        self.inner().clone()
    }

    fn inner(&self) -> MutexGuard<'_, BTreeMap<String, Finding>> {
        // A holder that panicked left a whole entry or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
