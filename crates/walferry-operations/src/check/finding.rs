//! What `walferry check` finds.
//!
//! Owns the words and their gravity. Never: asks a server.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// What `run` would do.
    Plan,
    /// It works, but not as most people want it.
    Warning,
    /// `run` would stop, or a writer would be refused.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `postgresql`, `slot`, `table public.orders`, `kafka`, `registry`, …
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// SQL that mends it.
    pub fix_sql: Option<String>,
}

impl Finding {
    /// Something that was looked at, and how bad it is.
    pub fn new(
        severity: Severity,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            severity,
            subject: subject.into(),
            message: message.into(),
            remedy: None,
            fix_sql: None,
        }
    }

    /// With what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn sql(mut self, sql: impl Into<String>) -> Finding {
        self.fix_sql = Some(sql.into());
        self
    }
}
