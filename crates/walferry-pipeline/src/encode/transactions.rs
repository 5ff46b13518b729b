//! The transaction that the stream is in, and what is told of it: a BEGIN and an END record in `<prefix>.transaction`, and the place of each event in it.
//!
//! Owns the plan of those records, made with the first of them, and the count of events of the open transaction. BEGIN is
//! written with the first event that is counted, so a transaction without one is not told of. The count so far is in
//! the checkpoint beside the position, so that it goes on after a restart wherever a batch was cut.
//! Never counts what is not in the topics with its transaction: dead letters, what is skipped, what a parked table
//! publishes later. Those records have no place in a transaction either.
//! Start reading at [`Told`].

use std::sync::Arc;

use walferry_avro::{TransactionPlan, transaction_id};
use walferry_event::{Lsn, Origin, SnapshotMark, TransactionBlock};

use super::{Encoder, keys::Keys};
use crate::{course::Events, error::Error};

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

/// Where BEGIN and END go, and how they are written.
pub(super) struct Boundaries {
    topic: Arc<str>,
    plan: TransactionPlan,
    /// The registry's generation that the plan's ids are of.
    ids_of: u64,
}

/// What has been told of the open transaction.
#[derive(Clone)]
pub(super) struct Told {
    id: String,
    events: u64,
    tables: Events,
}

/// The place of logical decoding messages among the tables of an END record.
pub(super) const MESSAGES: &str = "LOGICAL_DECODING_MESSAGE";

impl Told {
    /// Goes on from what the topics hold of the transaction.
    fn new(xid: u32, commit_lsn: Lsn, tables: Events) -> Told {
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

impl Encoder {
    /// A transaction begins: what is to be told of it, if transactions are told of. One of which a part was published
    /// without that is not told of at all.
    pub(super) fn told(&mut self, xid: u32, commit_lsn: Lsn) -> Option<Box<Told>> {
        if !self.config.transaction_metadata {
            return None;
        }
        let so_far = self.builder.course().events(commit_lsn)?;
        Some(Box::new(Told::new(xid, commit_lsn, so_far)))
    }

    /// Writes what is `due` of the open transaction, with its place in it: BEGIN comes with the first event.
    pub(super) fn tell<T>(
        &mut self,
        due: bool,
        write: impl FnOnce(&mut Encoder, Option<&mut Told>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let tx = self.transaction.as_mut().filter(|_| due);
        let Some(mut told) = tx.and_then(|tx| tx.told.take()) else {
            return write(self, None);
        };
        let before = told.events;
        let boundaries = match before {
            0 => self.boundaries().map(Some),
            _ => Ok(None),
        };
        let written = boundaries.and_then(|boundaries| {
            let outcome = write(self, Some(&mut told))?;
            Ok((boundaries, outcome))
        });
        let begins = before == 0 && told.events > 0;
        let tx = self.transaction.as_mut();
        let commit_us = tx.map_or(0, |tx| {
            let commit_us = tx.commit_us;
            tx.told = Some(told);
            commit_us
        });
        let (boundaries, outcome) = written?;
        if let Some(boundaries) = boundaries {
            if begins {
                self.boundary_record(&boundaries, |plan, id, out| plan.begin(id, commit_us, out));
            }
            self.boundaries = Some(boundaries);
        }
        Ok(outcome)
    }

    /// The open transaction ends: END, when it has begun with BEGIN and the topics do not hold its end.
    pub(super) fn tell_end(&mut self) -> Result<(), Error> {
        let handed = self.builder.course().position();
        let due = |tx: &&Transaction| {
            let begun = tx.told.as_ref().is_some_and(|told| told.events > 0);
            begun && !handed.covers(tx.commit_lsn, u64::MAX)
        };
        let Some(tx) = self.transaction.as_ref().filter(due) else {
            return Ok(());
        };
        let (commit_us, told) = (tx.commit_us, tx.told.clone());
        let tables = told.map(|told| told.tables).unwrap_or_default();
        let boundaries = self.boundaries()?;
        self.boundary_record(&boundaries, |plan, id, out| {
            let tables = tables.iter().map(|(name, count)| (name.as_str(), *count));
            plan.end(id, commit_us, tables, out);
        });
        self.boundaries = Some(boundaries);
        Ok(())
    }

    fn boundary_record(
        &mut self,
        boundaries: &Boundaries,
        value_of: impl FnOnce(&TransactionPlan, &str, &mut Vec<u8>),
    ) {
        let told = self.transaction.as_ref().and_then(|tx| tx.told.as_ref());
        let Some(told) = told else { return };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        boundaries.plan.key(&told.id, &mut key);
        value_of(&boundaries.plan, &told.id, &mut value);
        self.builder.record(&boundaries.topic, &key, &value);
    }

    /// The plan of the records, taken out; the topic exists and its schemas are registered.
    fn boundaries(&mut self) -> Result<Boundaries, Error> {
        let ids_of = self.relations.generation();
        if let Some(known) = self.boundaries.take().filter(|it| it.ids_of == ids_of) {
            return Ok(known);
        }
        let topic: Arc<str> = self.config.transaction_topic().into();
        let mut plan = TransactionPlan::new(self.config.format.quirks);
        let (key, value) =
            self.relations
                .side_topic(&topic, plan.key_schema(), plan.value_schema())?;
        plan.set_ids(key, value);
        Ok(Boundaries {
            topic,
            plan,
            ids_of,
        })
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
