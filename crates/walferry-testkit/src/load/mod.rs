//! Loads: what writes into PostgreSQL while something is proved or measured.
//!
//! Owns: [`MixedLoad`] (every kind of change, seeded), [`mod@bench`] (the table of the speed tests), [`Shop`] (the demo's), [`old_rows`] (what a snapshot reads), [`rewrite`] (other files under the same rows), [`BareReader`] (the
//! ceiling of the speed tests), [`drain`] (waiting for the connector to have all). Never: a check of what arrives.

mod bare_reader;
pub mod bench;
mod mixed;
pub mod old_rows;
mod options;
mod rewrites;
mod shop;
mod writer;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::checker::{Session, quote_literal};

pub use bare_reader::{BareReader, BareRun};
pub use mixed::{Counts, MixedLoad};
pub use options::MixedOptions;
pub use rewrites::rewrite;
pub use shop::{SHOP_TABLES, Shop};

/// Creates an empty database beside the one of `admin_url` and returns its URL.
pub fn create_database(admin_url: &str, name: &str) -> Result<String> {
    Session::connect(admin_url)?.execute(&format!("create database {name}"))?;
    let (server, _) = admin_url
        .rsplit_once('/')
        .context("the URL names no database")?;
    Ok(format!("{server}/{name}"))
}

/// How long a slot may stay in use after its reader is gone.
const RELEASED: Duration = Duration::from_secs(10);

/// Removes a slot, as soon as its last reader's session has ended.
pub fn drop_slot(url: &str, slot: &str) -> Result<()> {
    let sql = format!("select pg_drop_replication_slot({})", quote_literal(slot));
    let (mut session, begun) = (Session::connect(url)?, Instant::now());
    loop {
        match session.execute(&sql) {
            Err(error) if error.to_string().contains("55006") && begun.elapsed() < RELEASED => {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

/// Runs `last_sql`, one small transaction on a followed table, and waits until the slot is confirmed up to it: then
/// the connector has published all that was committed before. Server restarts on the way are waited out.
pub fn drain(source_url: &str, slot: &str, last_sql: &str, deadline: Duration) -> Result<Duration> {
    let begun = Instant::now();
    let mut session = Session::connect(source_url)?;
    // In its transaction, where its changes are written and its commit is not: a place before that may be confirmed for
    // what others write to the server.
    let written = session
        .query(&format!("{last_sql}\n; select pg_current_wal_insert_lsn()"))?
        .pop()
        .and_then(|mut row| row.pop().flatten())
        .context("no LSN")?;
    let question = format!(
        "select confirmed_flush_lsn, confirmed_flush_lsn >= {} from pg_replication_slots where slot_name = {}",
        quote_literal(&written),
        quote_literal(slot)
    );
    loop {
        let answer = session.query(&question)?;
        let row = answer
            .into_iter()
            .next()
            .with_context(|| format!("there is no slot {slot}"))?;
        if row.get(1).and_then(Option::as_deref) == Some("t") {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > deadline {
            bail!(
                "slot {slot} is confirmed to {:?}, not to {written}, after {deadline:?}",
                row[0]
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests;
