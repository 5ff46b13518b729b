//! The records of a topic as entries.
//!
//! Owns the readers of each schema version, and the order within a partition. Never: judges a key.
//! Invariant: within a partition the transactions stand in the order of their commits, so the end of the transaction before
//! (`source.sequence`) never falls; within a transaction the LSNs never fall.
//! Start reading at `Records::take`.

use std::collections::{HashMap, HashSet};

use walferry_avro::{EnvelopeReader, KeyReader, table_digest};
use walferry_event::{Code, Lsn};
use walferry_kafka::TopicRecord;
use walferry_registry::Registry;

use crate::audit::{
    entry::{self, ABSENT, Entry, OTHER, Side, TOMBSTONE, UNCHANGED},
    moment::Moment,
    report::{AuditDifference, TableAudit},
    subject::{FRAME_BYTES, Subject, content},
};
use walferry_pipeline::{error::Error, sorter::Sorter};

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

/// The schema versions that the topic's values have.
struct Versions<'a> {
    registry: &'a Registry,
    runtime: tokio::runtime::Handle,
    known: HashMap<u32, Version>,
    /// Of each schema that keys were written with: how to read those that have another form than the keys of now.
    forms: HashMap<u32, Option<KeyReader>>,
}

/// Which records of a topic that others share are the table's.
struct Own {
    /// The table's name; none where the topic is its own.
    table: Option<u64>,
    /// Partitions whose last value was of the table: a tombstone goes with the record before it.
    partitions: HashSet<i32>,
}

/// The columns of the last value, before its change and after.
#[derive(Default)]
struct Images {
    before: Vec<u64>,
    after: Vec<u64>,
}

/// What the topic says of the table as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// LSN of the last truncate that the moment holds.
    pub(super) truncated: Option<u64>,
    /// LSN of the last row of a snapshot.
    pub(super) snapshot_until: Option<u64>,
    /// The table was truncated between the moment and the end of its reading.
    pub(super) truncated_while_read: bool,
    /// Rows of a table without a key that could not be compared whole.
    unlike: u64,
    /// LSN of the last one of them.
    unlike_until: u64,
}

impl Extent {
    /// Rows of a table without a key that could not be compared whole, unless a truncate has ended all of them.
    pub(super) fn unlike(&self) -> u64 {
        match self.truncated {
            Some(lsn) if lsn >= self.unlike_until => 0,
            _ => self.unlike,
        }
    }
}

/// Takes the records of one topic.
pub(super) struct Records<'a> {
    subject: &'a Subject,
    moment: &'a Moment,
    sorter: &'a mut Sorter,
    report: &'a mut TableAudit,
    differences_max: usize,
    versions: Versions<'a>,
    tails: HashMap<i32, Tail>,
    own: Own,
    images: Images,
    bytes: Vec<u8>,
    extent: Extent,
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
            sorter,
            report,
            differences_max,
            versions: Versions {
                registry,
                runtime: tokio::runtime::Handle::current(),
                known: HashMap::new(),
                forms: HashMap::new(),
            },
            tails: HashMap::new(),
            own: Own {
                table: subject.shared.then(|| {
                    let relation = &subject.table.relation;
                    table_digest(relation.schema.as_bytes(), relation.name.as_bytes())
                }),
                partitions: HashSet::new(),
            },
            images: Images::default(),
            bytes: Vec::new(),
            extent: Extent::default(),
        }
    }

    /// What they have said of the table as a whole.
    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// The next record.
    pub(super) fn take(&mut self, record: TopicRecord<'_>) -> Result<(), Error> {
        let key = record.key.and_then(|key| key.get(FRAME_BYTES..));
        let mut entry = Entry {
            key: key.unwrap_or_default().to_vec(),
            side: Side::Topic,
            partition: u32::try_from(record.partition).unwrap_or_default(),
            offset: u64::try_from(record.offset).unwrap_or_default(),
            lsn: 0,
            form: 0,
            key_schema: 0,
            operation: TOMBSTONE,
            seen: true,
            columns: Vec::new(),
        };
        let ours = match record.value {
            Some(value) => self.value(&record, value, &mut entry)?,
            None => self.tombstone(record.partition, &entry.key),
        };
        if !ours {
            return Ok(());
        }
        self.report.records += 1;
        if let Some(key) = record.key.filter(|_| key.is_some()) {
            if let (Some(own), Some((id, body))) = (&self.subject.keys, framed(key))
                && let Some(key) = self.versions.key_in_form_of(own, id, body)?
            {
                (entry.key, entry.form) = (key, id);
            }
            self.push(&entry)?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &Entry) -> Result<(), Error> {
        entry.write(&mut self.bytes);
        let pushed = self.sorter.push(&self.bytes);
        pushed.map_err(|error| Error::failed(Code::TemporaryDisk, format!("sorting: {error}")))
    }

    /// A record of a table without a key: the row that it brings, and the one that it takes away.
    fn images(&mut self, record: &Entry, has_row: bool, id: u32) -> Result<(), Error> {
        let version = &self.versions.known[&id];
        let mut images = Vec::new();
        if has_row {
            images.push((b'c', version.columns(&self.images.after, self.subject)));
        }
        if !self.images.before.is_empty() {
            images.push((b'd', version.columns(&self.images.before, self.subject)));
        }
        for (operation, columns) in images {
            if !columns.iter().all(|&it| entry::is_value(it)) {
                let extent = &mut self.extent;
                extent.unlike += u64::from(record.seen);
                extent.unlike_until = extent.unlike_until.max(record.lsn);
                continue;
            }
            self.push(&Entry {
                key: content(&columns),
                operation,
                columns: Vec::new(),
                ..record.clone()
            })?;
        }
        Ok(())
    }

    /// Whether a record without a value is of the table.
    fn tombstone(&self, partition: i32, key: &[u8]) -> bool {
        let end = self.subject.key_end();
        match self.own.table {
            Some(_) if end.is_empty() => self.own.partitions.contains(&partition),
            Some(_) => key.ends_with(end),
            None => true,
        }
    }

    /// Takes a value apart; whether it is of the table.
    fn value(
        &mut self,
        record: &TopicRecord<'_>,
        value: &[u8],
        entry: &mut Entry,
    ) -> Result<bool, Error> {
        let place = || format!("topic {:?} offset {}", self.subject.topic, record.offset);
        let (id, body) = framed(value).ok_or_else(|| {
            Error::failed(
                Code::TopicUnreadable,
                format!("{}: a value without the registry's framing", place()),
            )
        })?;
        let place = place();
        self.versions.learn(id, &place, self.subject)?;
        let version = &self.versions.known[&id];
        let Images { before, after } = &mut self.images;
        let read = match &self.subject.keys {
            Some(_) => version.reader.read(body, after),
            None => version.reader.read_both(body, before, after),
        };
        let found = read
            .map_err(|error| Error::failed(Code::TopicUnreadable, format!("{place}: {error}")))?;
        if !self.own.takes(found.table, record.partition) {
            return Ok(false);
        }
        entry.lsn = found.lsn.unwrap_or_default();
        entry.operation = found.operation;
        if found.xid.is_none() {
            entry.key_schema = record.key.and_then(framed).map_or(0, |it| it.0);
        }
        // A row of a snapshot has no transaction of its own, whatever its record says.
        let xid = found.xid.filter(|_| found.operation != b'r');
        entry.seen = self.moment.holds(entry.lsn, xid);
        if self.subject.keys.is_none() {
            self.images(entry, found.has_row, id)?;
        } else if found.has_row {
            entry.columns = version.columns(&self.images.after, self.subject);
        }
        let extent = &mut self.extent;
        if found.operation == b'r' {
            extent.snapshot_until = extent.snapshot_until.max(Some(entry.lsn));
        }
        if found.operation == b't' {
            if entry.seen {
                extent.truncated = extent.truncated.max(Some(entry.lsn));
            } else {
                extent.truncated_while_read |= entry.lsn <= self.subject.read_until.0;
            }
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
        Ok(true)
    }
}

impl Own {
    /// Whether a value of this table is the table's own; the partition's next tombstone goes with it.
    fn takes(&mut self, table: u64, partition: i32) -> bool {
        match self.table {
            Some(own) if own != table => {
                self.partitions.remove(&partition);
                false
            }
            Some(_) => {
                self.partitions.insert(partition);
                true
            }
            None => true,
        }
    }
}

impl Versions<'_> {
    /// The key as it is written now, where it was written in another form.
    fn key_in_form_of(
        &mut self,
        own: &KeyReader,
        id: u32,
        body: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        if !self.forms.contains_key(&id) {
            let schema = self.runtime.block_on(self.registry.schema(id))?;
            let written = schema.and_then(|it| KeyReader::parse(&it).ok());
            let other = written.filter(|it| it.has_another_form(own));
            self.forms.insert(id, other);
        }
        let written = self.forms.get(&id).and_then(Option::as_ref);
        Ok(written.and_then(|it| it.in_form_of(body, own)))
    }

    /// Asks the registry for a schema that has not been seen yet.
    fn learn(&mut self, id: u32, place: &str, subject: &Subject) -> Result<(), Error> {
        if self.known.contains_key(&id) {
            return Ok(());
        }
        let schema = self.runtime.block_on(self.registry.schema(id))?;
        let schema = schema.ok_or_else(|| {
            Error::failed(
                Code::TopicUnreadable,
                format!("{place}: the registry does not know schema id {id}"),
            )
        })?;
        let reader = EnvelopeReader::parse(&schema).map_err(|error| {
            Error::failed(
                Code::TopicUnreadable,
                format!("{place}: schema id {id}: {error}"),
            )
        })?;
        let columns = subject.columns.iter().map(|(name, form)| {
            match reader.columns().enumerate().find(|(_, it)| it.0 == name) {
                None => Err(ABSENT),
                Some((_, (_, other))) if other != form => Err(OTHER),
                Some((at, _)) => Ok(at),
            }
        });
        let columns = columns.collect();
        self.known.insert(id, Version { reader, columns });
        Ok(())
    }
}

impl Version {
    /// What a row of this version has for each column of now.
    fn columns(&self, hashes: &[u64], subject: &Subject) -> Vec<u64> {
        let columns = self.columns.iter().zip(&subject.placeholders);
        columns
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
            .collect()
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
