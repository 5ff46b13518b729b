//! What the server's errors mean for a connector, and what a person can do about them.
//!
//! Owns the table of SQLSTATEs, [`VERDICTS`]; the first row that matches decides. Never: carries the error's context
//! fields, which may quote a statement.
//! Invariant: an error that could lose changes when it is waited out (a lost slot, a missing publication) halts.
//! Source: PostgreSQL documentation, "Error and Notice Message Fields" and "PostgreSQL Error Codes".

use std::fmt;

use bytes::{Buf, Bytes};
use tokio_postgres::error::DbError;
use walferry_event::Disposition::{self, Halt, Reconnect, Retry};

use crate::kind::Kind;

/// The fields of an ErrorResponse that are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
}

/// What an error means.
pub(crate) struct Verdict {
    pub(crate) kind: Kind,
    pub(crate) remedy: Option<&'static str>,
}

struct Row {
    /// The code, or its first characters.
    code: &'static str,
    /// A part of the message; empty when any will do.
    part: &'static str,
    kind: Kind,
    remedy: &'static str,
}

const fn row(
    code: &'static str,
    part: &'static str,
    way: Disposition,
    remedy: &'static str,
) -> Row {
    Row {
        code,
        part,
        kind: Kind::Server(way),
        remedy,
    }
}

const fn auth(code: &'static str, part: &'static str, remedy: &'static str) -> Row {
    Row {
        code,
        part,
        kind: Kind::Auth,
        remedy,
    }
}

/// Names of SQLSTATE classes are in the appendix "PostgreSQL Error Codes".
#[rustfmt::skip]
const VERDICTS: &[Row] = &[
    auth("28P01", "", "check source.password, and that the role has that password on this server"),
    auth("28000", "pg_hba", "add a line for this database, role and address to pg_hba.conf and reload; when it says \
        \"no encryption\", set [source.tls] mode"),
    auth("28000", "certificate", "set source.tls.cert and source.tls.key"),
    auth("28", "", "CREATE ROLE … LOGIN REPLICATION, or correct the role in source.url"),
    auth("42501", "row-level security", "ALTER ROLE … BYPASSRLS (as a superuser), or ALTER TABLE … DISABLE ROW LEVEL SECURITY"),
    auth("42501", "replication role", "ALTER ROLE … REPLICATION"),
    auth("42501", "WAL sender", "ALTER ROLE … REPLICATION"),
    auth("42501", "replication slot", "ALTER ROLE … REPLICATION"),
    auth("42501", "publication", "make the role the publication's owner, or set source.create = false"),
    auth("42501", "must be owner", "make the role the owner of the table, or create the publication as its owner and set \
        source.create = false"),
    auth("42501", "database", "GRANT CREATE, CONNECT ON DATABASE … TO the role"),
    auth("42501", "", "GRANT USAGE ON SCHEMA and SELECT ON TABLE … TO the role"),
    row("3D000", "", Halt, "create the database, or correct it in source.url"),
    row("55006", "is active", Retry, "another process follows this slot: stop it, or wait until it lets go"),
    row("55006", "", Retry, "it is in use: wait, or stop its user"),
    row("42710", "publication", Halt, "choose another source.publication, or use the one that is there"),
    row("42704", "replication slot", Halt, "the slot is not on this server: correct source.slot, or run walferry resync"),
    row("42704", "publication", Halt, "a publication has to exist from before the slot's position on: create it, then run \
        walferry resync"),
    row("42710", "replication slot", Halt, "choose another source.slot, or drop the old one with \
        pg_drop_replication_slot"),
    row("53400", "replication slot", Halt, "raise max_replication_slots and restart the server, or drop a slot that \
        nobody uses (SELECT slot_name, active FROM pg_replication_slots)"),
    row("53300", "standby connections", Retry, "raise max_wal_senders, or end a replication session that nobody needs"),
    row("53300", "", Retry, "raise max_connections, or end sessions that nobody needs"),
    row("55000", "wal_level", Halt, "ALTER SYSTEM SET wal_level = 'logical', then restart the server"),
    row("55000", "replication slot", Halt, "changes that the slot should have kept are gone: run walferry resync"),
    row("58P01", "has already been removed", Halt, "changes that the slot should have kept are gone: run walferry resync"),
    row("57P03", "", Retry, "the server is starting, stopping or recovering: it answers when it is ready"),
    row("57P", "", Reconnect, ""),
    row("57014", "", Retry, ""),
    row("55P03", "", Retry, "another session holds a lock, or its transaction has to end first (SELECT pid, xact_start, \
        query FROM pg_stat_activity)"),
    row("22023", "snapshot", Halt, "the session that exported the snapshot has ended: start over"),
    row("25001", "", Halt, "such a statement cannot be tried: take it out of the script"),
    row("40", "", Retry, ""),
    row("08", "", Reconnect, ""),
    row("53", "", Retry, ""),
    row("58", "", Retry, ""),
    row("XX000", "", Reconnect, ""),
];

impl ServerError {
    /// From the payload of an ErrorResponse. What is malformed in it is left out, because an error is still an error.
    ///
    /// ```text
    /// ┌──────────┬───────────┐         ┌───┐
    /// │ field: u8│ text: cstr│ … n … … │ 0 │
    /// └──────────┴───────────┘         └───┘
    /// ```
    pub(crate) fn parse(mut payload: Bytes) -> ServerError {
        let mut error = ServerError::default();
        while payload.has_remaining() {
            let field = payload.get_u8();
            let Some(end) = payload.iter().position(|&byte| byte == 0) else {
                break;
            };
            let text = String::from_utf8_lossy(&payload.split_to(end)).into_owned();
            payload.advance(1);
            match field {
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        if error.message.is_empty() {
            error.message = "an error without a message".to_owned();
        }
        error
    }

    pub(crate) fn from_db(error: &DbError) -> ServerError {
        ServerError {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            // The detail of a constraint or conversion quotes values; the ones we want are of classes 42, 53 and 55.
            detail: error
                .detail()
                .filter(|_| {
                    ["42", "53", "55"]
                        .iter()
                        .any(|class| error.code().code().starts_with(class))
                })
                .map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let row = VERDICTS
            .iter()
            .find(|row| self.code.starts_with(row.code) && self.message.contains(row.part));
        match row {
            Some(row) => Verdict {
                kind: row.kind,
                remedy: (!row.remedy.is_empty()).then_some(row.remedy),
            },
            None => Verdict {
                kind: Kind::Server(Halt),
                remedy: None,
            },
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, " ({})", more.trim_end_matches('.'))?;
        }
        write!(f, " (SQLSTATE {})", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> ServerError {
        ServerError {
            code: code.into(),
            message: message.into(),
            ..ServerError::default()
        }
    }

    #[test]
    fn every_error_of_a_known_sort_has_its_way_on_and_a_remedy() {
        for (code, message, kind, remedy) in [
            (
                "28P01",
                "password authentication failed",
                Kind::Auth,
                "source.password",
            ),
            (
                "28000",
                "no pg_hba.conf entry for host",
                Kind::Auth,
                "pg_hba.conf",
            ),
            (
                "42501",
                "must be superuser or replication role",
                Kind::Auth,
                "REPLICATION",
            ),
            (
                "3D000",
                "database \"x\" does not exist",
                Kind::Server(Halt),
                "create",
            ),
            (
                "55006",
                "replication slot \"a\" is active for PID 7",
                Kind::Server(Retry),
                "stop",
            ),
            (
                "42704",
                "replication slot \"a\" does not exist",
                Kind::Server(Halt),
                "resync",
            ),
            (
                "42704",
                "publication \"a\" does not exist",
                Kind::Server(Halt),
                "create it",
            ),
            (
                "53400",
                "all replication slots are in use",
                Kind::Server(Halt),
                "max_replication_slots",
            ),
            (
                "55000",
                "logical decoding requires wal_level >= logical",
                Kind::Server(Halt),
                "ALTER SYSTEM",
            ),
            (
                "55000",
                "can no longer get changes from replication slot \"a\"",
                Kind::Server(Halt),
                "resync",
            ),
        ] {
            let verdict = error(code, message).verdict();
            assert_eq!(verdict.kind, kind, "{code} {message}");
            assert!(verdict.remedy.unwrap().contains(remedy), "{code} {message}");
        }
        assert_eq!(
            error("57P01", "terminating").verdict().kind,
            Kind::Server(Reconnect)
        );
        assert_eq!(error("99999", "?").verdict().kind, Kind::Server(Halt));
    }

    #[test]
    fn an_error_response_is_read_as_far_as_it_is_well_formed() {
        let whole = b"SERROR\0C55006\0Mslot is active\0Hstop it.\0\0";
        let parsed = ServerError::parse(Bytes::from_static(whole));
        assert_eq!(
            parsed.to_string(),
            "slot is active (stop it) (SQLSTATE 55006)"
        );
        for cut in 0..whole.len() {
            ServerError::parse(Bytes::copy_from_slice(&whole[..cut]));
        }
        let nonsense = ServerError::parse(Bytes::from_static(b"\xFF\xFE\0M\xFF\0"));
        assert_eq!(nonsense.message, "\u{FFFD}");
    }
}
