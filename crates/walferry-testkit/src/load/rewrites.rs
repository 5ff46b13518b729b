//! Statements that give a table other files while it is followed or read: its rows stay what they are.
//!
//! Owns: the choice of table and statement. Never: a statement that waits long for a table: two writers and it could wait for each other.

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::checker::{Session, quote_literal};

/// Less than the server takes to look for deadlocks.
const LOCK_TIMEOUT: &str = "400ms";
/// The server's word for a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Rewrites one of the tables (`schema.table`). Returns the statement, or none when the table was not to be had.
pub fn rewrite(url: &str, tables: &[String], random: &mut StdRng) -> Result<Option<String>> {
    let mut session = Session::connect(url)?;
    let table = tables.choose(random).context("no table")?;
    let sql = match random.random_range(0..3) {
        0 => format!("vacuum full {table}"),
        1 => clustered(&mut session, table)?.unwrap_or_else(|| format!("vacuum full {table}")),
        _ => retyped(&mut session, table)?,
    };
    session.execute(&format!("set lock_timeout = '{LOCK_TIMEOUT}'"))?;
    match session.execute(&sql) {
        Ok(()) => Ok(Some(sql)),
        Err(error) if error.to_string().contains(LOCK_NOT_AVAILABLE) => Ok(None),
        Err(error) => Err(error).with_context(|| sql),
    }
}

/// In the order of the primary key, where there is one.
fn clustered(session: &mut Session, table: &str) -> Result<Option<String>> {
    let name = quote_literal(table);
    let index = session.value(&format!(
        "select indexrelid::regclass from pg_index where indrelid = {name}::regclass and indisprimary"
    ))?;
    Ok(index.map(|index| format!("cluster {table} using {index}")))
}

/// The same type by an expression that the server has to evaluate.
fn retyped(session: &mut Session, table: &str) -> Result<String> {
    let name = quote_literal(table);
    let column = session.query(&format!(
        "select quote_ident(attname), format_type(atttypid, atttypmod) from pg_attribute
         where attrelid = {name}::regclass and attnum > 0 and not attisdropped order by attnum desc limit 1"
    ))?;
    let mut column = column.into_iter().flatten().flatten();
    let (column, kind) = (column.next(), column.next());
    let (column, kind) = (column.context("no column")?, kind.context("no type")?);
    Ok(format!(
        "alter table {table} alter column {column} type {kind} using case when random() < 2 then {column} end"
    ))
}
