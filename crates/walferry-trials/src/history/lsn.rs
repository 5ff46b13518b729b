//! Where a session stands in the WAL.
//!
//! Owns: [`next_lsn`].

use anyhow::{Context, Result};
use walferry_testkit::checker::{Session, parse_lsn};

/// The LSN from which on what the session writes next stands.
pub(super) fn next_lsn(session: &mut Session) -> Result<u64> {
    let text = session.value("select pg_current_wal_insert_lsn()")?;
    text.as_deref()
        .and_then(parse_lsn)
        .context("the server tells no LSN")
}
