//! Why PostgreSQL did not do what was asked.
//!
//! Owns the one error of this crate and its ways on. Never: carries a row value or a secret.
//! Invariant: the text names what was being done, why it failed and, where a person has to act, the remedy.
//! Start reading at [`Kind`]; what the server's own errors mean is in `server_error`.

use std::{error::Error as StdError, fmt, io};

use walferry_event::{Code, Disposition};

use crate::{kind::Kind, server_error::ServerError, tls_refusal};

/// Why PostgreSQL did not do what was asked: print it, or ask for its [`disposition`](Error::disposition).
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    sqlstate: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            sqlstate: None,
            source: None,
        }))
    }

    pub(crate) fn settings(message: impl Into<String>) -> Error {
        Error::new(Kind::Settings, message)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Error {
        Error::new(Kind::Protocol, message)
    }

    /// The connection broke while `doing`.
    pub(crate) fn lost(doing: &str, error: io::Error) -> Error {
        if let Some(alert) = tls_refusal::alert(&error) {
            return Error::new(Kind::Tls, format!("{doing}: {alert}")).because(error);
        }
        let message = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("{doing}: the server closed the connection")
            }
            _ => format!("{doing}: the connection was lost: {error}"),
        };
        Error::new(Kind::Lost, message).because(error)
    }

    /// No answer came within its limit.
    pub(crate) fn late(doing: &str, limit_ms: u64) -> Error {
        Error::new(
            Kind::Late,
            format!("{doing}: no answer within {limit_ms} ms"),
        )
    }

    /// The server said no.
    pub(crate) fn server(doing: &str, error: ServerError) -> Error {
        let verdict = error.verdict();
        let mut message = format!("{doing}: {error}");
        if let Some(remedy) = verdict.remedy {
            message.push_str("; ");
            message.push_str(remedy);
        }
        let mut this = Error::new(verdict.kind, message);
        this.0.sqlstate = Some(error.code);
        this
    }

    /// A failure of `tokio-postgres` while `doing`.
    pub(crate) fn client(doing: &str, error: tokio_postgres::Error) -> Error {
        if let Some(server) = error.as_db_error() {
            return Error::server(doing, ServerError::from_db(server)).because(error);
        }
        let mut reason = error.to_string();
        if let Some(source) = error.source() {
            reason = format!("{reason}: {source}");
        }
        Error::new(Kind::Lost, format!("{doing}: {reason}")).because(error)
    }

    /// The table has policies that would hide rows from the role, so that it is not read at all.
    pub(crate) fn row_security(table: &str) -> Error {
        let message = format!(
            "table {table}: its row level security would hide rows from the role of source.url, so that it is not read: \
             ALTER ROLE … BYPASSRLS (as a superuser), or ALTER TABLE … DISABLE ROW LEVEL SECURITY"
        );
        let mut this = Error::new(Kind::RowSecurity, message);
        this.0.sqlstate = Some("42501".to_owned());
        this
    }

    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Error {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }

    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self.0.kind {
            Kind::Unreachable => Disposition::Wait,
            Kind::Lost | Kind::Silent | Kind::Late => Disposition::Reconnect,
            Kind::Server(disposition) => disposition,
            Kind::Settings
            | Kind::Secret
            | Kind::Tls
            | Kind::Auth
            | Kind::RowSecurity
            | Kind::Stale
            | Kind::Protocol => Disposition::Halt,
        }
    }

    /// The `kind` label of `walferry_errors_total`.
    pub fn kind(&self) -> &'static str {
        match self.0.kind {
            Kind::Settings | Kind::Secret | Kind::Stale => "validation",
            Kind::Unreachable | Kind::Lost | Kind::Tls => "connection",
            Kind::Auth | Kind::RowSecurity => "auth",
            Kind::Silent | Kind::Late => "timeout",
            Kind::Server(_) => "server",
            Kind::Protocol => "internal",
        }
    }

    /// Its stable code.
    pub fn code(&self) -> Code {
        match self.0.kind {
            Kind::Settings => Code::SourceSettings,
            Kind::Secret => Code::Secret,
            Kind::Unreachable => Code::SourceUnreachable,
            Kind::Tls => Code::SourceTls,
            Kind::Auth if self.is_shut_out() => Code::SourceLogin,
            Kind::Auth => Code::SourceRight,
            Kind::RowSecurity => Code::RowSecurity,
            Kind::Lost => Code::SourceLost,
            Kind::Silent => Code::SourceSilent,
            Kind::Late => Code::SourceLate,
            Kind::Stale => Code::SourceChanged,
            Kind::Server(_) => Code::SourceAnswer,
            Kind::Protocol => Code::SourceProtocol,
        }
    }

    /// The server's five-character code, when the server said no.
    pub fn sqlstate(&self) -> Option<&str> {
        self.0.sqlstate.as_deref()
    }

    /// Whether the server lets nobody in by what the configuration says now: password, certificate, secret, pg_hba.conf. It
    /// passes when the other side is changed too, which a process that has streamed before waits for.
    pub fn is_shut_out(&self) -> bool {
        match self.0.kind {
            Kind::Tls | Kind::Secret => true,
            Kind::Auth => self.sqlstate().is_none_or(|code| code.starts_with("28")),
            _ => false,
        }
    }

    /// Whether tables are not any more as they were listed a moment ago: somebody has created, dropped or renamed one
    /// meanwhile.
    pub fn is_stale(&self) -> bool {
        self.0.kind == Kind::Stale
    }

    /// Whether the connection was given up because the peer had fallen silent.
    pub fn is_silent(&self) -> bool {
        self.0.kind == Kind::Silent
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code().tag(&self.0.message))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("sqlstate", &self.0.sqlstate)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
