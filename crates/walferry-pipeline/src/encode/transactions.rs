//! The transaction that the stream is in, and what is told of it: a BEGIN and an END record in `<prefix>.transaction`, and the place of each event in it.
//!
//! Owns the plan of those records, made with the first of them, and the count of events of the open transaction. BEGIN is
//! written with the first event that is counted, so a transaction without one is not told of. The count so far is in
//! the checkpoint beside the position, so that it goes on after a restart wherever a batch was cut.
//! Never counts what is not in the topics with its transaction: dead letters, what is skipped, what a parked table
//! publishes later. Those records have no place in a transaction either.
//! Start reading at `Told`.

use std::sync::Arc;

use walferry_avro::transaction_id;
use walferry_event::{Lsn, Origin, SnapshotMark, TransactionBlock};

use crate::{encode::keys::Keys, position::table_positions::Events};

/// The transaction that the stream is in.
pub(super) struct Transaction {
    pub(super) commit_lsn: Lsn,
    pub(super) commit_us: i64,
    pub(super) encoded_us: i64,
    pub(super) xid: u32,
    pub(super) ordinal: u64,
    pub(super) origin: Option<(String, Lsn)>,
    /// The keys that rows of tables with deferred keys have left and taken.
    pub(super) keys: Option<Box<Keys>>,
    /// Nothing when transactions are not told of.
    pub(super) told: Option<Box<Told>>,
}

/// What has been told of the open transaction.
#[derive(Clone)]
pub(super) struct Told {
    pub(crate) id: String,
    pub(crate) events: u64,
    pub(crate) tables: Events,
}

/// The place of logical decoding messages among the tables of an END record.
pub(super) const MESSAGES: &str = "LOGICAL_DECODING_MESSAGE";

impl Told {
    /// Goes on from what the topics hold of the transaction.
    pub(crate) fn new(xid: u32, commit_lsn: Lsn, tables: Events) -> Told {
        Told {
            id: transaction_id(xid, commit_lsn),
            events: tables.values().sum(),
            tables,
        }
    }

    /// The place of the next event, if it is one of `table`.
    pub(super) fn next(&self, table: &str) -> TransactionBlock<'_> {
        TransactionBlock {
            id: &self.id,
            total_order: self.events + 1,
            table_order: self.tables.get(table).copied().unwrap_or_default() + 1,
        }
    }

    /// So many events of `table` have been written.
    pub(super) fn count(&mut self, table: &str, events: u64) {
        if events == 0 {
            return;
        }
        self.events += events;
        match self.tables.get_mut(table) {
            Some(count) => *count += events,
            None => {
                self.tables.insert(table.to_owned(), events);
            }
        }
    }
}

impl Transaction {
    /// Where its change at `lsn` came from.
    pub(super) fn origin(&self, lsn: Lsn, last_commit_lsn: Option<Lsn>) -> Origin<'_> {
        Origin {
            commit_us: self.commit_us,
            encoded_us: self.encoded_us,
            xid: self.xid,
            lsn,
            commit_lsn: self.commit_lsn,
            last_commit_lsn,
            ordinal: self.ordinal,
            snapshot: SnapshotMark::Streamed,
            origin: self.origin.as_ref().map(|(name, _)| name.as_str()),
            origin_lsn: self.origin.as_ref().map(|(_, lsn)| *lsn),
            block: None,
        }
    }

    /// The events so far, for a mark inside the transaction.
    pub(super) fn events(&self) -> Option<Arc<Events>> {
        self.told.as_ref().map(|told| Arc::new(told.tables.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_number_among_all_and_among_its_tables() {
        let so_far = Events::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let mut told = Told::new(7, Lsn(80), so_far);
        let place = |told: &Told, table| {
            let block = told.next(table);
            (block.id.to_owned(), block.total_order, block.table_order)
        };
        assert_eq!(place(&told, "b"), ("7:80".to_owned(), 4, 2));
        assert_eq!(told.next("b").next().total_order, 5, "of a key change");
        told.count("b", 2);
        told.count("c", 0);
        assert_eq!(place(&told, "c"), ("7:80".to_owned(), 6, 1));
        assert_eq!(place(&told, "b").2, 4);
        assert!(!told.tables.contains_key("c"), "nothing of it was written");
    }
}
