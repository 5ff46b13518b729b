//! What the registry's answers mean.
//!
//! Owns the table of the API's error codes, [`ANSWERS`], and of HTTP statuses; the first row that matches decides. Never: the
//! default of a match. An answer that no row knows is a doubt, which is tried again a bounded number of times.
//! Source: Confluent Schema Registry API reference, "Errors"; the codes of `io.confluent.kafka.schemaregistry.rest.exceptions.Errors`.

use std::fmt;

use walferry_event::{Code, Disposition};

/// Why a call to the registry failed. Opaque: print it, or ask what sort it is.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// | kind | answer | what to do |
/// |---|---|---|
/// | Timeout | none in time, 408, 504, 50002 | wait: it is away |
/// | Connection | refused, 429, 5xx, 405; 42205: it, or the subject, is in mode READONLY or IMPORT | wait: it is away |
/// | Auth | 401, 403 | mend user, password or token |
/// | Conflict | 409 | ask for a verdict: incompatible, or only registered by two at once |
/// | Schema | 422 on a schema, 413, or 409 with the verdict incompatible | mend the table or the subject's level |
/// | Foreign | a page, a redirect, 404 without a code: no schema registry at this path | mend `registry.url` |
/// | Validation | a URL or certificate that cannot be used | mend the configuration |
/// | Doubt | a code that no row knows | try again a few times; see the message |
/// | Internal | what we have asked is refused as malformed, or an answer cannot be read | see the message |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Timeout,
    Connection,
    Auth,
    Conflict,
    Schema,
    Foreign,
    Validation,
    Doubt,
    Internal,
}

/// What a code means. `Missing` is an answer and no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Missing,
    Fails(Kind, &'static str),
}

use Meaning::{Fails, Missing};

const MODE: &str =
    "; it or the subject is in mode READONLY or IMPORT: set it to READWRITE (PUT /mode/SUBJECT)";
const WRITE: &str = "; grant the role write access to the subject";
const LOGIN: &str = "; check registry.username and its secret";
const PATH: &str = "; no schema registry answers at this path: check registry.url";

/// Every code of the API, then every HTTP status that a server or a proxy before it answers with.
#[rustfmt::skip]
const ANSWERS: &[(std::ops::RangeInclusive<u32>, Meaning)] = &[
    // Subject, version or schema not found; soft-deleted or not; no level or mode of the subject's own.
    (40401..=40499, Missing),
    (40101..=40199, Fails(Kind::Auth, LOGIN)),
    (40301..=40399, Fails(Kind::Auth, WRITE)),
    (40901..=40999, Fails(Kind::Conflict, "")),
    // Invalid schema.
    (42201..=42201, Fails(Kind::Schema, "")),
    // Invalid version, compatibility level or mode: not what we have asked, or what the operator has.
    (42202..=42204, Fails(Kind::Internal, "")),
    // Operation not permitted: the mode.
    (42205..=42205, Fails(Kind::Connection, MODE)),
    // A reference exists to the schema.
    (42206..=42206, Fails(Kind::Schema, "")),
    // The id does not match: IMPORT wants one.
    (42207..=42207, Fails(Kind::Connection, MODE)),
    // Invalid subject, schema too large, invalid rules.
    (42208..=42210, Fails(Kind::Schema, "")),
    // The context is not empty, invalid association, …: nothing that we ask for.
    (42211..=42299, Fails(Kind::Doubt, "")),
    // The store: error, timed out, forwarding to the primary, no primary known.
    (50001..=50001, Fails(Kind::Connection, "")),
    (50002..=50002, Fails(Kind::Timeout, "")),
    (50003..=50099, Fails(Kind::Connection, "")),
    (50101..=59999, Fails(Kind::Connection, "")),
    // HTTP.
    (300..=399, Fails(Kind::Foreign, PATH)),
    (401..=401, Fails(Kind::Auth, LOGIN)),
    (403..=403, Fails(Kind::Auth, WRITE)),
    (404..=404, Missing),
    (405..=405, Fails(Kind::Connection, "; it takes no writes now: set it to READWRITE, or let the proxy before it pass POST")),
    (406..=406, Fails(Kind::Internal, "")),
    (408..=408, Fails(Kind::Timeout, "")),
    (409..=409, Fails(Kind::Conflict, "")),
    (413..=413, Fails(Kind::Schema, "; raise the size that the registry or the proxy before it takes")),
    (415..=415, Fails(Kind::Internal, "")),
    (422..=422, Fails(Kind::Schema, "")),
    (423..=423, Fails(Kind::Connection, MODE)),
    (425..=425, Fails(Kind::Connection, "")),
    (429..=429, Fails(Kind::Connection, "")),
    (504..=504, Fails(Kind::Timeout, "")),
    (500..=599, Fails(Kind::Connection, "")),
];

/// What a code means, which is an HTTP status or, of the API, a status and two digits.
pub(crate) fn meaning(code: u32) -> Meaning {
    let row = ANSWERS.iter().find(|(codes, _)| codes.contains(&code));
    row.map_or(Fails(Kind::Doubt, ""), |(_, meaning)| *meaning)
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
        let (kind, remedy) = match meaning(code) {
            Missing => (Kind::Foreign, PATH),
            Fails(kind, remedy) => (kind, remedy),
        };
        Error::new(
            kind,
            format!("the registry answered {code}: {words}{remedy}"),
        )
    }

    /// Which subject it is about.
    pub(crate) fn of(mut self, subject: &str) -> Error {
        self.message = format!("subject {subject:?}: {}", self.message);
        self
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    /// Whether something else than a schema registry answers at `registry.url`.
    pub fn is_foreign(&self) -> bool {
        self.kind == Kind::Foreign
    }

    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self.kind {
            Kind::Timeout | Kind::Connection => Disposition::Wait,
            Kind::Doubt => Disposition::Retry,
            Kind::Auth
            | Kind::Conflict
            | Kind::Schema
            | Kind::Foreign
            | Kind::Validation
            | Kind::Internal => Disposition::Halt,
        }
    }

    /// Its stable code.
    pub fn code(&self) -> Code {
        match self.kind {
            Kind::Timeout => Code::RegistryLate,
            Kind::Connection => Code::RegistryUnreachable,
            Kind::Auth => Code::RegistryDenied,
            Kind::Conflict => Code::RegistryConflict,
            Kind::Schema => Code::SchemaRefused,
            Kind::Foreign => Code::RegistryForeign,
            Kind::Validation => Code::RegistrySettings,
            Kind::Doubt => Code::RegistryDoubt,
            Kind::Internal => Code::RegistryInternal,
        }
    }

    /// The `kind` label of the error metric; `schema` means that the registry refused the schema itself.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Timeout => "timeout",
            Kind::Connection => "connection",
            Kind::Auth => "auth",
            Kind::Conflict | Kind::Schema => "schema",
            Kind::Foreign | Kind::Validation => "validation",
            Kind::Doubt | Kind::Internal => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code().tag(&self.message))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_disposition() {
        use Disposition::{Halt, Retry, Wait};
        for (code, kind, disposition) in [
            (408, "timeout", Wait),
            (429, "connection", Wait),
            (500, "connection", Wait),
            (501, "connection", Wait),
            (502, "connection", Wait),
            (503, "connection", Wait),
            (504, "timeout", Wait),
            (50001, "connection", Wait),
            (50002, "timeout", Wait),
            (50003, "connection", Wait),
            (50004, "connection", Wait),
            (405, "connection", Wait),
            (42205, "connection", Wait),
            (42207, "connection", Wait),
            (401, "auth", Halt),
            (40101, "auth", Halt),
            (403, "auth", Halt),
            (40301, "auth", Halt),
            (409, "schema", Halt),
            (40901, "schema", Halt),
            (413, "schema", Halt),
            (422, "schema", Halt),
            (42201, "schema", Halt),
            (42208, "schema", Halt),
            (42202, "internal", Halt),
            (42203, "internal", Halt),
            (42204, "internal", Halt),
            (302, "validation", Halt),
            (404, "validation", Halt),
            (40403, "validation", Halt),
            (418, "internal", Retry),
            (42299, "internal", Retry),
            (0, "internal", Retry),
        ] {
            let error = Error::answered(code, "words");
            assert_eq!(
                (error.kind(), error.disposition()),
                (kind, disposition),
                "{code}"
            );
            assert!(error.to_string().contains("words"));
        }
        for code in [404, 40401, 40402, 40403, 40408] {
            assert_eq!(meaning(code), Missing, "{code}");
        }
    }
}
