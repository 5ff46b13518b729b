//! The settings of every session with PostgreSQL: the walsender's, the catalog's, the readers', the audit's.
//!
//! Owns [`SESSION_SETTINGS`]. A role, a database or a server may have any of them otherwise (`ALTER ROLE … SET`), and each of them
//! can change which rows a question gives, how a value is written as text, or whether a session lives. A value that the
//! stream and a snapshot write differently is a wrong record, so all sessions have all of them, from their first moment.
//! Never: a setting that only a superuser may change, since a start-up parameter that is refused refuses the session.
//!
//! | setting | why |
//! |---|---|
//! | `row_security` | PostgreSQL refuses to read a table whose policies would hide rows, where it would else leave them out in silence |
//! | `search_path` | output of `regclass`, `regproc`, `regtype`, … names a schema unless it is in the path; names of ours are the server's own |
//! | `client_encoding` | text is UTF-8; a session that reads rows of an SQL_ASCII database has its bytes as they are ([`BYTES_AS_THEY_ARE`]) |
//! | `datestyle`, `timezone`, `intervalstyle`, `bytea_output`, `extra_float_digits` | the text of times, bytes and floats; of a double, every digit |
//! | `quote_all_identifiers` | output of `regclass` and the text of row filters and defaults |
//! | `standard_conforming_strings` | the text of defaults and row filters, and how a literal of ours is read |
//! | `array_nulls` | a NULL in an array that is a bound of a range |
//! | `transform_null_equals` | `= NULL` in a condition |
//! | `xmloption` | what a condition takes for XML |
//! | `gin_fuzzy_search_limit` | a question that uses a GIN index would give some of its rows |
//! | `default_transaction_read_only` | a publication is created, and a transaction id is taken |
//! | `default_transaction_isolation`, `default_transaction_deferrable` | each question to the catalog sees what is committed now |
//! | `statement_timeout`, `idle_in_transaction_session_timeout`, `idle_session_timeout`, `transaction_timeout` | sessions that hold a snapshot or wait for a chunk are idle for long; each wait of ours has a limit of its own |
//! | `lock_timeout` | the walsender's creation of a slot waits as long as it is told to; the other sessions wait [`LOCK_TIMEOUT_MS`] |
//!
//! Not set, since it decides how much a value of `money` is: `lc_monetary`. All sessions have the one of role and database.
//! Nor `session_replication_role` and `lc_messages`, which are a superuser's: nothing is written here, and errors are told by their codes.
//! Source: PostgreSQL documentation, "Client Connection Defaults", "Version and Platform Compatibility".

/// What every session sets at its start. `transaction_timeout` comes later, because servers before 17 refuse it.
pub(crate) const SESSION_SETTINGS: [(&str, &str); 21] = [
    ("client_encoding", "UTF8"),
    ("search_path", "pg_catalog"),
    ("row_security", "off"),
    ("datestyle", "ISO, MDY"),
    ("timezone", "UTC"),
    ("intervalstyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("xmloption", "content"),
    ("gin_fuzzy_search_limit", "0"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
];

/// What a session sets once it knows that the server is of this version or later.
const LATER_SETTINGS: [(u32, &str); 1] = [(170_000, "SET transaction_timeout = 0")];

/// For sessions that read rows: a database whose encoding is SQL_ASCII holds any bytes, and PostgreSQL would end the session at
/// the first value that is not UTF-8. Its bytes come as they are, and each value is judged when it is encoded.
pub(crate) const BYTES_AS_THEY_ARE: &str = "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) \
     WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'";

/// How long a command of a session that is no walsender waits for a lock, in milliseconds.
pub(crate) const LOCK_TIMEOUT_MS: u32 = 30_000;

/// The settings as the `options` of a start-up message, but for `left_out`. The encoding is a parameter of its own.
pub(crate) fn options(left_out: Option<&str>) -> String {
    let mut options = String::new();
    for (name, value) in SESSION_SETTINGS {
        if name == "client_encoding" || name == "lock_timeout" || Some(name) == left_out {
            continue;
        }
        // A space ends an option unless it is escaped.
        let value = value.replace(' ', "\\ ");
        options.push_str(&format!("-c {name}={value} "));
    }
    options.push_str(&format!("-c lock_timeout={LOCK_TIMEOUT_MS}"));
    options
}

/// The commands that a session on a server of this version begins with; none when there is nothing to set.
pub(crate) fn later(server_version: u32) -> impl Iterator<Item = &'static str> {
    let known = LATER_SETTINGS
        .iter()
        .filter(move |(since, _)| server_version >= *since);
    known.map(|(_, command)| *command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_escaped_and_name_each_setting_once() {
        let all = options(None);
        assert!(all.contains("-c datestyle=ISO,\\ MDY "), "{all}");
        assert!(all.contains("-c search_path=pg_catalog "), "{all}");
        assert!(all.ends_with("-c lock_timeout=30000"), "{all}");
        assert_eq!(all.matches("lock_timeout").count(), 1);
        assert!(!options(Some("search_path")).contains("search_path"));
        for (i, (name, _)) in SESSION_SETTINGS.iter().enumerate() {
            let again = SESSION_SETTINGS.iter().skip(i + 1).any(|it| it.0 == *name);
            assert!(!again, "{name}");
        }
    }

    #[test]
    fn a_server_is_not_told_what_it_does_not_know() {
        assert_eq!(later(160_010).count(), 0);
        assert_eq!(later(170_000).count(), 1);
    }
}
