//! Why a connector stopped, and the exit status that says so.
//!
//! Owns the mapping from a stage's error to the process's exit status, and what the error metric calls it. Never a row
//! value or a secret.

use std::fmt;

use walferry_event::{Code, Disposition};

/// Why a connector stopped. Opaque: print it, or ask for its exit status.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    code: Code,
    labels: Labels,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What `walferry_errors_total` calls an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The stage or the server that it comes from; `connector` when it comes from none alone.
    pub(crate) stage: &'static str,
    /// `timeout`, `validation`, `auth`, `connection`, `schema`, `too_large`, `internal`; `server` for any other error of
    /// PostgreSQL; `refused` and `fenced` for the ends of those names.
    pub(crate) kind: &'static str,
}

/// | kind | exit | what the operator does |
/// |---|---|---|
/// | failed | 1 | mend what the message names, start again |
/// | refused | 3 | read the evidence; `walferry resync` or the old settings |
/// | fenced | 4 | nothing: another instance of the same name has taken over |
/// | diverged | never leaves the process | the ring starts again from the checkpoint |
/// | away | never leaves the process of a connector | a server is away: it is waited for, what was begun is begun anew |
/// | passing | 1, after `retries_max` tries | as away, but no outage |
/// | stopped | 0 | nothing: it was asked to stop |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Refused,
    Fenced,
    Diverged,
    Away,
    Passing,
    Stopped,
}

impl Error {
    /// An unrecoverable error without a more specific kind.
    pub fn failed(code: Code, message: impl Into<String>) -> Error {
        Error::of(Kind::Failed, code, message)
    }

    /// A state that only a defect of ours, or a server that breaks its protocol, leads to.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::of(Kind::Failed, Code::Internal, message)
    }

    /// Something in the configuration or on a server that a person has to mend.
    pub fn invalid(code: Code, message: impl Into<String>) -> Error {
        Error::of(Kind::Failed, code, message).labelled("connector", "validation")
    }

    /// Going on would lose or double data.
    pub fn refused(code: Code, message: impl Into<String>) -> Error {
        Error::of(Kind::Refused, code, message)
    }

    /// A row of the recovery table refuses; its code stands behind the reason.
    pub(crate) fn decided(reason: String) -> Error {
        let code = Code::of(&reason).unwrap_or(Code::Internal);
        Error::refused(code, reason)
    }

    /// Another instance of the same name has taken over.
    pub(crate) fn fenced(message: impl Into<String>) -> Error {
        Error::of(Kind::Fenced, Code::Fenced, message)
    }

    /// What was read is not what the checkpoint goes on with, or not there any more.
    pub(crate) fn diverged(message: impl Into<String>) -> Error {
        Error::of(Kind::Diverged, Code::Diverged, message)
    }

    /// Asked to stop.
    pub(crate) fn stopped() -> Error {
        Error::of(Kind::Stopped, Code::Internal, "asked to stop")
    }

    fn of(kind: Kind, code: Code, message: impl Into<String>) -> Error {
        let label = match kind {
            Kind::Refused => "refused",
            Kind::Fenced => "fenced",
            _ => "internal",
        };
        Error {
            kind,
            code,
            labels: Labels {
                stage: "connector",
                kind: label,
            },
            message: message.into(),
            source: None,
        }
    }

    /// What the error metric is to call it.
    pub(crate) fn labelled(mut self, stage: &'static str, kind: &'static str) -> Error {
        self.labels = Labels { stage, kind };
        self
    }

    /// What the error metric calls it.
    pub(crate) fn labels(&self) -> Labels {
        self.labels
    }

    /// An error of a stage.
    fn from_stage(
        kind: Kind,
        code: Code,
        labels: (&'static str, &'static str),
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        let mut this = Error::of(kind, code, error.to_string()).labelled(labels.0, labels.1);
        this.source = Some(Box::new(error));
        this
    }

    /// It came again in each of so many tries, and is not tried any more.
    pub(crate) fn after_tries(self, tries: u32) -> Error {
        match self.is_away() {
            true => Error {
                kind: Kind::Failed,
                ..self.context(format!("gave up after {tries} tries"))
            },
            false => self,
        }
    }

    /// What was being done when the error came.
    pub fn context(mut self, what: impl fmt::Display) -> Error {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Its stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The exit status that the process ends with for this error.
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            Kind::Failed | Kind::Diverged | Kind::Away | Kind::Passing => 1,
            Kind::Refused => 3,
            Kind::Fenced => 4,
            Kind::Stopped => 0,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.kind == Kind::Stopped
    }

    /// A server is away, and is waited for.
    pub(crate) fn away(error: impl Into<Error>) -> Error {
        Error {
            kind: Kind::Away,
            ..error.into()
        }
    }

    /// Whether what was begun is to be begun anew: a server is away, or something else was that may pass.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.kind, Kind::Away | Kind::Passing)
    }

    pub(crate) fn is_diverged(&self) -> bool {
        self.kind == Kind::Diverged
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Stopped => f.write_str(&self.message),
            _ => f.write_str(&self.code.tag(&self.message)),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// What an error of a server means for the connector, when it is not one of the ends with a name.
fn passing(error: &impl Passing) -> Kind {
    match (error.is_outage(), error.may_pass()) {
        (true, _) => Kind::Away,
        (false, true) => Kind::Passing,
        (false, false) => Kind::Failed,
    }
}

impl From<walferry_postgres::Error> for Error {
    fn from(error: walferry_postgres::Error) -> Error {
        let kind = match error.is_stale() {
            true => Kind::Diverged,
            false => passing(&error),
        };
        Error::from_stage(kind, error.code(), ("postgresql", error.kind()), error)
    }
}

impl From<walferry_kafka::Error> for Error {
    fn from(error: walferry_kafka::Error) -> Error {
        let kind = if error.is_fenced() {
            Kind::Fenced
        } else if error.is_diverged() {
            Kind::Diverged
        } else if error.is_stopped() {
            Kind::Stopped
        } else if error.is_unreadable() {
            Kind::Refused
        } else {
            passing(&error)
        };
        Error::from_stage(kind, error.code(), ("kafka", error.kind()), error)
    }
}

impl From<walferry_registry::Error> for Error {
    fn from(error: walferry_registry::Error) -> Error {
        Error::from_stage(
            passing(&error),
            error.code(),
            ("registry", error.kind()),
            error,
        )
    }
}

impl From<walferry_avro::Error> for Error {
    fn from(error: walferry_avro::Error) -> Error {
        Error::from_stage(Kind::Failed, Code::TableSchema, ("encode", "schema"), error)
    }
}

/// Whether an error of a stage may pass by itself.
pub(crate) trait Passing {
    /// Whether trying again may help.
    fn may_pass(&self) -> bool;

    /// Whether the server is away, so that it is waited for without an end.
    fn is_outage(&self) -> bool;

    /// What the error metric calls it.
    fn label(&self) -> &'static str;

    /// Whether we are shut out by what the configuration says now, which a rotation on both sides mends.
    fn is_shut_out(&self) -> bool {
        false
    }
}

impl Passing for Error {
    fn may_pass(&self) -> bool {
        self.is_away()
    }

    fn is_outage(&self) -> bool {
        self.kind == Kind::Away
    }

    fn label(&self) -> &'static str {
        self.labels.kind
    }
}

impl Passing for walferry_postgres::Error {
    fn may_pass(&self) -> bool {
        self.disposition() != Disposition::Halt
    }

    fn is_outage(&self) -> bool {
        self.disposition().is_outage()
    }

    fn label(&self) -> &'static str {
        self.kind()
    }

    fn is_shut_out(&self) -> bool {
        walferry_postgres::Error::is_shut_out(self)
    }
}

impl Passing for walferry_registry::Error {
    fn may_pass(&self) -> bool {
        self.disposition() != Disposition::Halt
    }

    fn is_outage(&self) -> bool {
        self.disposition().is_outage()
    }

    fn label(&self) -> &'static str {
        self.kind()
    }

    fn is_shut_out(&self) -> bool {
        self.kind() == "auth" || self.is_foreign()
    }
}

impl Passing for walferry_kafka::Error {
    fn may_pass(&self) -> bool {
        self.disposition() != Disposition::Halt
    }

    fn is_outage(&self) -> bool {
        self.disposition().is_outage()
    }

    fn label(&self) -> &'static str {
        self.kind()
    }

    fn is_shut_out(&self) -> bool {
        self.kind() == "auth"
    }
}
