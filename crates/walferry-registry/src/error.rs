//! What the registry's answers mean.

use std::fmt;

use walferry_event::Disposition;

/// Why a call to the registry failed. Opaque: print it, or ask what sort it is.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// | kind | answer | what to do |
/// |---|---|---|
/// | Timeout | none in time, 408, 504 | try again |
/// | Connection | refused, 429, 5xx | try again |
/// | Auth | 401, 403 | mend user, password or token |
/// | Conflict | 409 | ask for a verdict: incompatible, or only registered by two at once |
/// | Schema | 422, or 409 with the verdict incompatible | mend the table or the subject's level |
/// | Validation | a URL or certificate that cannot be used | mend the configuration |
/// | Internal | anything else | see the message |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Timeout,
    Connection,
    Auth,
    Conflict,
    Schema,
    Validation,
    Internal,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
        }
    }

    /// By the registry's `error_code` (HTTP status, or status and two digits) and its words.
    pub(crate) fn answered(code: u32, words: &str) -> Error {
        let status = if code >= 1000 { code / 100 } else { code };
        let (kind, remedy) = match status {
            408 | 504 => (Kind::Timeout, ""),
            429 | 500..=599 => (Kind::Connection, ""),
            401 => (Kind::Auth, "; check registry.username and its secret"),
            403 => (Kind::Auth, "; grant the role write access to the subject"),
            409 => (Kind::Conflict, ""),
            422 => (Kind::Schema, ""),
            _ => (Kind::Internal, ""),
        };
        Error::new(
            kind,
            format!("the registry answered {code}: {words}{remedy}"),
        )
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self.kind {
            Kind::Timeout | Kind::Connection => Disposition::Retry,
            _ => Disposition::Halt,
        }
    }

    /// The `kind` label of the error metric; `schema` means that the registry refused the schema itself.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Timeout => "timeout",
            Kind::Connection => "connection",
            Kind::Auth => "auth",
            Kind::Conflict | Kind::Schema => "schema",
            Kind::Validation => "validation",
            Kind::Internal => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_disposition() {
        for (code, kind, disposition) in [
            (408, "timeout", Disposition::Retry),
            (429, "connection", Disposition::Retry),
            (500, "connection", Disposition::Retry),
            (50001, "connection", Disposition::Retry),
            (503, "connection", Disposition::Retry),
            (504, "timeout", Disposition::Retry),
            (401, "auth", Disposition::Halt),
            (40301, "auth", Disposition::Halt),
            (409, "schema", Disposition::Halt),
            (42201, "schema", Disposition::Halt),
            (404, "internal", Disposition::Halt),
        ] {
            let error = Error::answered(code, "words");
            assert_eq!(
                (error.kind(), error.disposition()),
                (kind, disposition),
                "{code}"
            );
            assert!(error.to_string().contains("words"));
        }
    }
}
