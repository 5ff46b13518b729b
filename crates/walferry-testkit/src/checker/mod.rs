//! The proof: what PostgreSQL committed against what the topics show.
//!
//! Owns: the comparison of two histories that come by different roads. The witness reads a second logical slot with
//! `test_decoding`; the reader consumes the topics with `read_committed`; the judge compares them change by change.
//! Never: code of the product. Its parser, its Avro and its type rules are not used here, so an error in them shows.
//! Memory: about 100 bytes for each change (hashes, no rows), plus rows for examples up to a bound.
//!
//! Start reading at [`Checker`], then `judge`.

mod agreement;
mod calendar;
mod canonical;
mod change;
mod decoding;
mod difference;
mod followed;
mod judge;
mod report;
mod rules;
mod session;
mod witness;

use std::collections::BTreeMap;

use anyhow::Result;

pub use agreement::{Agreement, Compared, agreement};
pub use canonical::UNAVAILABLE;
pub use change::{Change, Event, Observed, Op, Record, Row, Value, lsn_text, parse_lsn};
pub use judge::Judge;
pub use report::{Difference, Fault, Report};
pub use rules::{Attached, KeyChange, ReadAgain, Rules, Start};
pub use session::{Session, Target, TextRow, quote_identifier, quote_literal};
pub use witness::{Told, Witness};

pub(crate) use canonical::from_avro;
#[cfg(test)]
pub(crate) use canonical::from_postgres;

use crate::topics::{Decoder, Reader, topic_name};

/// A whole check: a witness slot, the tables, and where the topics are.
///
/// Create it before the load begins, so that the witness sees every change; call [`Checker::verdict`] when the load has
/// ended and the connector has published all of it.
#[derive(Debug)]
pub struct Checker {
    witness: Witness,
    brokers: String,
    registry_url: String,
    topic_prefix: String,
    /// Tables and their rules. Change it before [`Checker::verdict`] if the defaults do not fit.
    pub rules: Rules,
    /// Topics of tables that do not have the default one, by `schema.table`.
    pub topics: BTreeMap<String, String>,
}

impl Checker {
    /// Creates the witness's slot and reads the keys of the tables (`schema.table`).
    pub fn create(
        source_url: &str,
        witness_slot: &str,
        tables: &[&str],
        brokers: &str,
        registry_url: &str,
        topic_prefix: &str,
    ) -> Result<Checker> {
        let witness = Witness::create(source_url, witness_slot)?;
        let rules = Rules::new(witness.keys(tables)?);
        Ok(Checker {
            witness,
            brokers: brokers.to_owned(),
            registry_url: registry_url.to_owned(),
            topic_prefix: topic_prefix.to_owned(),
            rules,
            topics: BTreeMap::new(),
        })
    }

    /// The witness, for instance to ask for the position that it must reach.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The topics of the tables.
    pub fn topic_names(&self) -> Vec<String> {
        let named = |table: &String| match self.topics.get(table) {
            Some(topic) => topic.clone(),
            None => topic_name(&self.topic_prefix, table),
        };
        let mut names: Vec<String> = self.rules.keys.keys().map(named).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Compares all that was committed until now with all that is readable now. The slot stays as it is, so a later
    /// verdict covers the same history and more.
    pub fn verdict(&self) -> Result<Report> {
        let mut judge = Judge::new(self.rules.clone());
        self.witness.peek(|told| match told {
            Told::Change(change) => judge.expect(change),
            Told::Commit { end_lsn, .. } => judge.commit(end_lsn),
        })?;
        let mut decoder = Decoder::new(&self.registry_url);
        let mut reader = Reader::open(&self.brokers, &self.topic_names())?;
        reader.read_to_end(|message| {
            judge.observe(&decoder.decode(message)?);
            Ok(())
        })?;
        Ok(judge.finish())
    }

    /// Removes the witness's slot.
    pub fn drop_slot(self) -> Result<()> {
        self.witness.drop_slot()
    }
}

#[cfg(test)]
mod tests;
