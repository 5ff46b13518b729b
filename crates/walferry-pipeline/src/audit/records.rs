//! The records of a topic as entries.
//!
//! Owns the readers of each schema version, and the order within a partition. Never: judges a key.
//! Invariant: within a partition the transactions stand in the order of their commits, so the end of the transaction before
//! (`source.sequence`) never falls; within a transaction the LSNs never fall.
//! Start reading at [`Records::take`].

use std::collections::HashMap;

use walferry_avro::EnvelopeReader;
use walferry_event::Lsn;
use walferry_kafka::TopicRecord;
use walferry_registry::Registry;

use super::{
    entry::{self, ABSENT, Entry, OTHER, Side, TOMBSTONE, UNCHANGED},
    moment::Moment,
    report::{AuditDifference, TableAudit},
    sorter::Sorter,
    subject::{FRAME_BYTES, Subject},
};
use crate::error::Error;

/// A schema version and where its columns are among those of now.
struct Version {
    reader: EnvelopeReader,
    /// For each column of now: its index in the record, or why there is nothing to compare.
    columns: Vec<Result<usize, u64>>,
}

/// The last record of a partition.
#[derive(Default)]
struct Tail {
    last_commit_max: u64,
    xid: Option<u32>,
    lsn: u64,
}

/// Takes the records of one topic.
pub(super) struct Records<'a> {
    subject: &'a Subject,
    moment: &'a Moment,
    registry: &'a Registry,
    runtime: tokio::runtime::Handle,
    sorter: &'a mut Sorter,
    report: &'a mut TableAudit,
    differences_max: usize,
    versions: HashMap<u32, Version>,
    tails: HashMap<i32, Tail>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    /// LSN of the last truncate that the moment holds.
    pub(super) truncated: Option<u64>,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        subject: &'a Subject,
        moment: &'a Moment,
        registry: &'a Registry,
        sorter: &'a mut Sorter,
        report: &'a mut TableAudit,
        differences_max: usize,
    ) -> Records<'a> {
        Records {
            subject,
            moment,
            registry,
            runtime: tokio::runtime::Handle::current(),
            sorter,
            report,
            differences_max,
            versions: HashMap::new(),
            tails: HashMap::new(),
            hashes: Vec::new(),
            bytes: Vec::new(),
            truncated: None,
        }
    }

    /// The next record.
    pub(super) fn take(&mut self, record: TopicRecord<'_>) -> Result<(), Error> {
        self.report.records += 1;
        let key = record.key.and_then(|key| key.get(FRAME_BYTES..));
        let mut entry = Entry {
            key: key.unwrap_or_default().to_vec(),
            side: Side::Topic,
            offset: u64::try_from(record.offset).unwrap_or_default(),
            lsn: 0,
            operation: TOMBSTONE,
            seen: true,
            columns: Vec::new(),
        };
        if let Some(value) = record.value {
            self.value(&record, value, &mut entry)?;
        }
        if key.is_some() {
            entry.write(&mut self.bytes);
            let pushed = self.sorter.push(&self.bytes);
            pushed.map_err(|error| Error::failed(format!("sorting: {error}")))?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        record: &TopicRecord<'_>,
        value: &[u8],
        entry: &mut Entry,
    ) -> Result<(), Error> {
        let place = || format!("topic {:?} offset {}", self.subject.topic, record.offset);
        let (id, body) = framed(value).ok_or_else(|| {
            Error::failed(format!(
                "{}: a value without the registry's framing",
                place()
            ))
        })?;
        let place = place();
        self.learn(id, &place)?;
        let version = &self.versions[&id];
        let read = version.reader.read(body, &mut self.hashes);
        let found = read.map_err(|error| Error::failed(format!("{place}: {error}")))?;
        entry.lsn = found.lsn.unwrap_or_default();
        entry.operation = found.operation;
        entry.seen = self.moment.holds(entry.lsn, found.xid);
        if found.has_row {
            let hashes = &self.hashes;
            let placeholders = &self.subject.placeholders;
            let columns = version.columns.iter().zip(placeholders);
            entry.columns = columns
                .map(|(column, placeholder)| match column {
                    Err(reason) => *reason,
                    Ok(at) => {
                        let hash = entry::hash(hashes[*at]);
                        if *placeholder == Some(hash) {
                            UNCHANGED
                        } else {
                            hash
                        }
                    }
                })
                .collect();
        }
        if found.operation == b't' && entry.seen {
            self.truncated = self.truncated.max(Some(entry.lsn));
        }
        let behind = self.tails.entry(record.partition).or_default().follow(
            entry.lsn,
            found.xid,
            found.last_commit_lsn,
        );
        if behind {
            self.report.out_of_order += 1;
            if self.report.differences.len() < self.differences_max {
                self.report.differences.push(AuditDifference {
                    kind: "out_of_order",
                    key: self.subject.key_text(&entry.key),
                    columns: Vec::new(),
                    lsn: Some(Lsn(entry.lsn)),
                });
            }
        }
        Ok(())
    }

    /// Asks the registry for a schema that has not been seen yet.
    fn learn(&mut self, id: u32, place: &str) -> Result<(), Error> {
        if self.versions.contains_key(&id) {
            return Ok(());
        }
        let schema = self.runtime.block_on(self.registry.schema(id))?;
        let schema = schema.ok_or_else(|| {
            Error::failed(format!(
                "{place}: the registry does not know schema id {id}"
            ))
        })?;
        let reader = EnvelopeReader::parse(&schema)
            .map_err(|error| Error::failed(format!("{place}: schema id {id}: {error}")))?;
        let columns = self.subject.columns.iter().map(|(name, form)| {
            match reader.columns().enumerate().find(|(_, it)| it.0 == name) {
                None => Err(ABSENT),
                Some((_, (_, other))) if other != form => Err(OTHER),
                Some((at, _)) => Ok(at),
            }
        });
        let columns = columns.collect();
        self.versions.insert(id, Version { reader, columns });
        Ok(())
    }
}

impl Tail {
    /// Takes the next record of a change; whether it stands behind one that it should precede.
    fn follow(&mut self, lsn: u64, xid: Option<u32>, last_commit: Option<u64>) -> bool {
        if xid.is_none() {
            return false; // A snapshot's rows have no order among the changes.
        }
        // After a reconnect it is not known which transaction came before.
        let commit_falls = last_commit.is_some_and(|it| it < self.last_commit_max);
        let lsn_falls = xid == self.xid && lsn < self.lsn;
        self.last_commit_max = self.last_commit_max.max(last_commit.unwrap_or_default());
        (self.xid, self.lsn) = (xid, lsn);
        commit_falls || lsn_falls
    }
}

/// Schema id and body of a value in the registry's framing.
fn framed(value: &[u8]) -> Option<(u32, &[u8])> {
    let (frame, body) = value.split_at_checked(FRAME_BYTES)?;
    let (magic, id) = frame.split_first()?;
    (*magic == 0).then_some((u32::from_be_bytes(id.try_into().ok()?), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_stand_in_the_order_of_their_commits_and_changes_in_that_of_the_log() {
        let mut tail = Tail::default();
        for (lsn, xid, last_commit, behind) in [
            (10, Some(1), None, false),
            (12, Some(1), None, false),
            (5, Some(2), Some(20), false),
            (5, Some(2), Some(20), false),
            (4, Some(2), Some(20), true),
            (30, Some(3), Some(25), false),
            (15, Some(4), Some(20), true),
            (3, None, None, false),
        ] {
            assert_eq!(tail.follow(lsn, xid, last_commit), behind, "{lsn} {xid:?}");
        }
    }
}
