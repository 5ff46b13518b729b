//! What `walferry check` finds.
//!
//! Owns the words and their gravity. Never: asks a server.
//! Invariant: a warning or an error has a code, also behind its message.

use serde::{Serialize, Serializer};
use walferry_event::Code;
use walferry_kafka::{Concern, Gravity};

pub use walferry_kafka::NOBODY;

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
    /// The code of a warning or an error.
    #[serde(serialize_with = "as_written")]
    pub code: Option<Code>,
    /// What was looked at: `postgresql`, `slot`, `table public.orders`, `kafka`, `registry`, …
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// SQL that mends it.
    pub fix_sql: Option<String>,
    /// Lines of Kafka's own tools that mend it.
    pub fix_kafka: Option<String>,
}

impl Finding {
    /// Something that was looked at, and how bad it is. The code counts where it is bad; a message that has one keeps that.
    pub fn of(
        severity: Severity,
        code: Code,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding {
        let mut message = message.into();
        let bad = severity >= Severity::Warning;
        if bad {
            message = code.tag(&message);
        }
        Finding {
            severity,
            code: bad.then(|| Code::of(&message).unwrap_or(code)),
            subject: subject.into(),
            message,
            remedy: None,
            fix_sql: None,
            fix_kafka: None,
        }
    }

    /// As it should be.
    pub fn ok(subject: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of(Severity::Ok, Code::Internal, subject, message)
    }

    /// What `run` would do.
    pub fn plan(subject: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of(Severity::Plan, Code::Internal, subject, message)
    }

    /// It works, but not as most people want it.
    pub fn warning(code: Code, subject: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of(Severity::Warning, code, subject, message)
    }

    /// `run` would stop, or a writer would be refused.
    pub fn error(code: Code, subject: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding::of(Severity::Error, code, subject, message)
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

    /// With lines of Kafka's tools, in order.
    pub(crate) fn kafka(mut self, lines: &[String]) -> Finding {
        self.fix_kafka = (!lines.is_empty()).then(|| lines.join("\n"));
        self
    }
}

impl From<Concern> for Finding {
    fn from(concern: Concern) -> Finding {
        let severity = match concern.gravity {
            Gravity::Fine => Severity::Ok,
            Gravity::Look => Severity::Warning,
            Gravity::Stops => Severity::Error,
        };
        let finding = Finding::of(severity, concern.code, concern.subject, concern.message);
        let finding = finding.kafka(&concern.fix);
        match concern.remedy.is_empty() {
            true => finding,
            false => finding.remedy(concern.remedy),
        }
    }
}

fn as_written<S: Serializer>(code: &Option<Code>, serializer: S) -> Result<S::Ok, S::Error> {
    match code {
        Some(code) => serializer.collect_str(code),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_has_a_code_and_what_failed_first_keeps_its_own() {
        let own = Finding::error(Code::WalLevel, "s", "replica");
        assert_eq!(own.code, Some(Code::WalLevel));
        assert_eq!(own.message, "replica [WF0113]");
        let told = Finding::warning(Code::WalLevel, "s", "nobody answers [WF0101]");
        assert_eq!(told.code, Some(Code::SourceUnreachable));
        assert_eq!(told.message, "nobody answers [WF0101]");
        let fine = Finding::ok("s", "logical");
        assert_eq!((fine.code, fine.message.as_str()), (None, "logical"));
        let json = serde_json::to_value(&own).unwrap();
        assert_eq!(json["code"], "WF0113");
        assert!(json["fix_kafka"].is_null());
    }
}
