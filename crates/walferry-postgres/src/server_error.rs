//! What the server's errors mean for a connector, and what a person can do about them.
//!
//! Owns the table of SQLSTATEs, [`VERDICTS`]; the first row that matches decides, then the code's class
//! ([`HALTING_CLASSES`]). Never: carries the error's context fields, which may quote a statement.
//! Invariants: an error that could lose changes when it is waited out (a lost slot, a missing publication) halts; a server
//! that is away, starting, stopping, full or a standby is waited for; a code that no version documents is a doubt, which is
//! tried again a bounded number of times.
//! Source: PostgreSQL documentation, "Error and Notice Message Fields" and "PostgreSQL Error Codes".

use std::fmt;

use bytes::{Buf, Bytes};
use tokio_postgres::error::DbError;
use walferry_event::Disposition::{self, Halt, Reconnect, Retry, Wait};

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
    auth("42501", "for schema", "GRANT USAGE ON SCHEMA … TO the role"),
    auth("42501", "for table", "GRANT SELECT ON TABLE … TO the role"),
    auth("42501", "for view", "GRANT SELECT ON TABLE … TO the role"),
    auth("42501", "terminate process", "end the process as its own role or a superuser, or GRANT pg_signal_backend TO the \
        role"),
    // What was not permitted is in the server's words; a remedy for something else would mislead.
    auth("42501", "", ""),
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
    row("53300", "standby connections", Wait, "raise max_wal_senders, or end a replication session that nobody needs"),
    row("53300", "", Wait, "raise max_connections, or end sessions that nobody needs"),
    row("55000", "wal_level", Halt, "ALTER SYSTEM SET wal_level = 'logical', then restart the server"),
    row("55000", "replication slot", Halt, "changes that the slot should have kept are gone: run walferry resync"),
    row("58P01", "has already been removed", Halt, "changes that the slot should have kept are gone: run walferry resync"),
    row("57P03", "", Wait, "the server is starting, stopping or recovering: it answers when it is ready"),
    row("57P04", "", Halt, "the database was dropped: restore it, or correct it in source.url"),
    row("57P", "", Reconnect, ""),
    row("57014", "", Retry, ""),
    row("55P03", "", Wait, "another session holds a lock, or its transaction has to end first (SELECT pid, xact_start, \
        query FROM pg_stat_activity)"),
    row("22023", "snapshot", Halt, "the session that exported the snapshot has ended: start over"),
    row("25001", "", Halt, "such a statement cannot be tried: take it out of the script"),
    row("25P03", "", Reconnect, "idle_in_transaction_session_timeout of the role or the server ended the session"),
    row("25P04", "", Reconnect, "transaction_timeout of the role or the server ended the session"),
    row("08P01", "unsupported startup parameter", Halt, "a connection pooler (PgBouncer) answers at source.url: logical \
        replication and session settings need a direct connection to PostgreSQL"),
    row("40", "", Retry, ""),
    row("08", "", Reconnect, ""),
    // Out of disk, memory or file descriptors: the server is there and can do nothing until that is mended.
    row("53", "", Wait, ""),
    row("58", "", Retry, ""),
    row("XX", "", Retry, ""),
];

/// Classes of errors that come again however often the same is asked.
#[rustfmt::skip]
const HALTING_CLASSES: &[&str] = &[
    "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25", "26", "27", "2B", "2D", "2F",
    "34", "38", "39", "3B", "3D", "3F", "42", "44", "54", "55", "57", "72", "F0", "HV", "P0",
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
            None => {
                let halts = HALTING_CLASSES
                    .iter()
                    .any(|class| self.code.starts_with(class));
                Verdict {
                    kind: Kind::Server(if halts { Halt } else { Retry }),
                    remedy: None,
                }
            }
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
    }

    #[test]
    fn an_outage_is_waited_for_a_refusal_ends_and_a_doubt_is_counted() {
        let way = |code: &str, message: &str| error(code, message).verdict().kind;
        for (code, message) in [
            ("57P03", "the database system is starting up"),
            ("57P03", "the database system is shutting down"),
            (
                "57P03",
                "the database system is not yet accepting connections",
            ),
            ("53300", "sorry, too many clients already"),
            (
                "53300",
                "number of requested standby connections exceeds max_wal_senders",
            ),
            ("53300", "too many connections for role \"walferry\""),
            ("53100", "could not extend file"),
            ("53200", "out of memory"),
            ("55P03", "canceling statement due to lock timeout"),
        ] {
            assert_eq!(way(code, message), Kind::Server(Wait), "{code} {message}");
        }
        for code in ["57P01", "57P02", "57P05", "08006", "25P03", "25P04"] {
            assert_eq!(way(code, "ended"), Kind::Server(Reconnect), "{code}");
        }
        for code in [
            "3D000", "57P04", "0A000", "22021", "42601", "25006", "F0000", "54000",
        ] {
            assert_eq!(way(code, "no"), Kind::Server(Halt), "{code}");
        }
        for code in [
            "40001", "57014", "58030", "XX000", "XX001", "99999", "ZZ000", "",
        ] {
            assert_eq!(way(code, "?"), Kind::Server(Retry), "{code:?}");
        }
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
