//! The witness: what PostgreSQL itself says was committed, from a slot of its own.
//!
//! Owns: a logical slot with `test_decoding` and the reading of its text. Never: the product's slot or publication.
//! Invariant: a change is told with its transaction, in commit order, and its commit after it.
//! Specification: section 47.3 of the PostgreSQL 17 documentation and `contrib/test_decoding`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::canonical::column_name;
use super::change::{Change, parse_lsn};
use super::decoding::{self, Line};
use super::session::{Session, quote_literal};

/// How many changes one call brings at least, before it ends at a transaction's end.
const CHANGES_PER_CALL: u32 = 500_000;

/// What the witness tells.
#[derive(Debug)]
pub enum Told {
    /// A change of the transaction that is being told.
    Change(Change),
    /// The transaction is over; all its changes have been told.
    Commit {
        /// Its id.
        xid: u32,
        /// The end of its commit record.
        end_lsn: u64,
    },
}

/// A slot that is read with SQL.
#[derive(Clone, Debug)]
pub struct Witness {
    url: String,
    slot: String,
}

impl Witness {
    /// Creates the slot. It sees what commits from now on.
    pub fn create(url: &str, slot: &str) -> Result<Witness> {
        let sql = format!(
            "select pg_create_logical_replication_slot({}, 'test_decoding')",
            quote_literal(slot)
        );
        Session::connect(url)?
            .execute(&sql)
            .context("cannot create the witness's slot")?;
        Ok(Witness {
            url: url.to_owned(),
            slot: slot.to_owned(),
        })
    }

    /// Takes a slot that exists.
    pub fn attach(url: &str, slot: &str) -> Witness {
        Witness {
            url: url.to_owned(),
            slot: slot.to_owned(),
        }
    }

    /// Tells all that is committed by now and leaves it in the slot. Server memory: the answer goes to a file there
    /// when it is large.
    pub fn peek(&self, each: impl FnMut(Told)) -> Result<()> {
        self.read("peek", None, each).map(drop)
    }

    /// Tells all that is committed by now and takes it out of the slot, in parts. Not across a crash of PostgreSQL:
    /// a slot's own position is durable only with a checkpoint, so parts could be told twice.
    pub fn take(&self, mut each: impl FnMut(Told)) -> Result<()> {
        while self.read("get", Some(CHANGES_PER_CALL), &mut each)? > 0 {}
        Ok(())
    }

    fn read(&self, verb: &str, limit: Option<u32>, mut each: impl FnMut(Told)) -> Result<u64> {
        let limit = limit.map_or("null".to_owned(), |limit| limit.to_string());
        let sql = format!(
            "select lsn, data from pg_logical_slot_{verb}_changes({}, null, {limit}, \
             'include-xids', '1', 'skip-empty-xacts', '1', 'include-timestamp', '1')",
            quote_literal(&self.slot)
        );
        let (mut lines, mut xid) = (0, 0);
        Session::connect(&self.url)?.query_each(&sql, |row| {
            lines += 1;
            let text = |at: usize| {
                let bytes = row
                    .get(at)
                    .copied()
                    .flatten()
                    .context("the witness tells NULL")?;
                std::str::from_utf8(bytes).context("the witness tells no UTF-8")
            };
            let lsn = parse_lsn(text(0)?).context("the witness tells no LSN")?;
            match decoding::parse(text(1)?)? {
                Line::Begin(id) => xid = id,
                Line::Commit(id) => each(Told::Commit {
                    xid: id,
                    end_lsn: lsn,
                }),
                Line::Change(change) => {
                    for table in change.tables {
                        let (op, old, new) = (change.op, change.old.clone(), change.new.clone());
                        each(Told::Change(Change {
                            table: Arc::from(table),
                            op,
                            old,
                            new,
                            lsn,
                            xid,
                        }));
                    }
                }
                Line::Other => {}
            }
            Ok(())
        })?;
        Ok(lines)
    }

    /// The key columns of the tables (`schema.table`): the primary key, else the replica identity's index, else none.
    pub fn keys(&self, tables: &[&str]) -> Result<BTreeMap<String, Vec<String>>> {
        let mut session = Session::connect(&self.url)?;
        let mut keys = BTreeMap::new();
        for table in tables {
            let (schema, name) = table
                .split_once('.')
                .context("a table is named schema.table")?;
            let sql = format!(
                "select a.attname from (select i.* from pg_index i join pg_class c on c.oid = i.indrelid \
                   join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = {} and c.relname = {} and (i.indisprimary or i.indisreplident) \
                   order by i.indisprimary desc limit 1) i, \
                 unnest(i.indkey::int2[]) with ordinality k(attnum, place) \
                 join pg_attribute a on a.attnum = k.attnum where a.attrelid = i.indrelid \
                 and k.place <= i.indnkeyatts order by k.place",
                quote_literal(schema),
                quote_literal(name)
            );
            let columns = session
                .query(&sql)?
                .into_iter()
                .filter_map(|row| row.into_iter().next().flatten());
            keys.insert(
                (*table).to_owned(),
                columns.map(|name| column_name(&name)).collect(),
            );
        }
        Ok(keys)
    }

    /// Where the server's WAL ends now.
    pub fn current_wal(&self) -> Result<u64> {
        let text = Session::connect(&self.url)?.value("select pg_current_wal_lsn()")?;
        text.as_deref()
            .and_then(parse_lsn)
            .context("the server tells no LSN")
    }

    /// Removes the slot.
    pub fn drop_slot(self) -> Result<()> {
        let sql = format!(
            "select pg_drop_replication_slot({})",
            quote_literal(&self.slot)
        );
        Session::connect(&self.url)?.execute(&sql)
    }
}
