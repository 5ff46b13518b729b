//! The records that tell of a transaction's begin and end, and the place that each change takes in it.
//!
//! Owns the writing of them. Never: counts a change that was not written.
//! Start reading at `Encoder::tell`.

use std::sync::Arc;

use walferry_avro::TransactionPlan;
use walferry_event::Lsn;

use crate::{
    encode::{
        Encoder,
        side_plans::Boundaries,
        transactions::{Told, Transaction},
    },
    error::Error,
};

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
        let ids_of = self.writer.relations.generation();
        if let Some(known) = self.boundaries.take().filter(|it| it.ids_of == ids_of) {
            return Ok(known);
        }
        let topic: Arc<str> = self.config.transaction_topic().into();
        let mut plan = TransactionPlan::new(self.config.format.quirks);
        let (key, value) =
            self.writer
                .relations
                .side_topic(&topic, plan.key_schema(), plan.value_schema())?;
        plan.set_ids(key, value);
        Ok(Boundaries {
            topic,
            plan,
            ids_of,
        })
    }
}
