//! The kinds of failure, what an operator sees of each, and the way on.

use walferry_event::Disposition;

/// | kind | the operator sees | way on |
/// |---|---|---|
/// | settings | a URL, file or TLS setting that cannot be used | halt: mend what it names |
/// | secret | a secret's file or variable cannot be read | halt; a process that has streamed waits for it |
/// | unreachable | nobody answers at the address | wait |
/// | tls | the server's certificate or TLS answer is refused | halt: the text says which setting decides |
/// | auth | role, password, pg_hba | halt: mend what it names |
/// | row security | policies would hide rows from the role | halt: grant BYPASSRLS, or leave the table out |
/// | lost | the connection ended | reconnect |
/// | silent | the connection is open but nothing came over it | reconnect |
/// | late | an answer took longer than its limit | reconnect |
/// | stale | a table that was listed a moment ago is not there any more, or goes by another name | halt: look again |
/// | server | any other error of the server, by its SQLSTATE | as `server_error` says |
/// | protocol | bytes that are not what the protocol says | halt: not PostgreSQL, or damaged on the way |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Settings,
    Secret,
    Unreachable,
    Tls,
    Auth,
    RowSecurity,
    Lost,
    Silent,
    Late,
    Stale,
    Server(Disposition),
    Protocol,
}
