//! What the stream brought in the time that was measured: counted by table, transaction and second.
//!
//! Owns the counts. Never: keeps a row; more than a few transactions.
//! Invariant: each change of a followed table is counted once, whether or not it could be encoded.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use walferry_event::{Code, Datum, Lsn, Origin};
use walferry_pgoutput::{Frame, Message, Old as OldTuple, Tuple};

use walferry_pipeline::{
    encode::change_records::{Change, Old},
    error::Error,
};

use super::encoding::Encoding;

/// Transactions that are told of.
const TRANSACTIONS_MAX: usize = 5;
/// Tables that a transaction is told with.
const NAMES_MAX: usize = 5;

/// What came of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableLoad {
    /// Inserts, updates, deletes and truncates.
    pub changes: u64,
    /// Records that they become, tombstones among them.
    pub records: u64,
    /// Their messages in the stream.
    pub stream_bytes: u64,
    /// Keys and values of the records in Avro.
    pub avro_bytes: u64,
    /// The largest record.
    pub record_bytes_max: u64,
    /// Changes that could not be encoded.
    pub unencoded: u64,
    /// Why the first of them could not.
    pub reason: Option<String>,
}

/// One of the largest transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// As pgoutput has it, in 32 bits.
    pub xid: u32,
    /// Where it commits.
    pub commit_lsn: Lsn,
    /// Changes of followed tables.
    pub changes: u64,
    /// Its messages in the stream.
    pub stream_bytes: u64,
    /// Its records in Avro.
    pub avro_bytes: u64,
    /// The first tables that it changed.
    pub tables: Vec<String>,
}

/// The load of a time.
pub(super) struct Load<'a> {
    encoding: Encoding<'a>,
    began: Instant,
    pub(super) tables: BTreeMap<Arc<str>, TableLoad>,
    pub(super) largest: Vec<Transaction>,
    pub(super) transactions: u64,
    /// Changes by second.
    pub(super) seconds: Vec<u64>,
    /// Avro bytes by second.
    pub(super) avro_seconds: Vec<u64>,
    /// Time that decoding and encoding took.
    pub(super) busy: Duration,
    /// Messages that were too long to be kept.
    pub(super) cut: u64,
    /// Up to where everything has been seen.
    pub(super) seen: Lsn,
    /// The end of the last transaction.
    last_commit: Lsn,
    open: Option<Open>,
}

struct Open {
    transaction: Transaction,
    commit_us: i64,
    tables: BTreeSet<Arc<str>>,
}

/// Old and new row of the change that is looked at.
#[derive(Default)]
struct Rows<'a> {
    old: Vec<Datum<'a>>,
    new: Vec<Datum<'a>>,
}

impl<'a> Load<'a> {
    pub(super) fn new(encoding: Encoding<'a>) -> Load<'a> {
        Load {
            encoding,
            began: Instant::now(),
            tables: BTreeMap::new(),
            largest: Vec::new(),
            transactions: 0,
            seconds: Vec::new(),
            avro_seconds: Vec::new(),
            busy: Duration::ZERO,
            cut: 0,
            seen: Lsn::ZERO,
            last_commit: Lsn::ZERO,
            open: None,
        }
    }

    /// Counts a block of whole frames.
    pub(super) async fn block(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut begun = Instant::now();
        let mut rows = Rows::default();
        for frame in walferry_pgoutput::frames(bytes) {
            match frame.map_err(malformed)? {
                // A quiet database's slot must not keep what others write.
                Frame::Keepalive(keepalive) if self.open.is_none() => {
                    self.seen = self.seen.max(keepalive.wal_end);
                }
                Frame::Keepalive(_) => {}
                Frame::Cut(_) => self.cut += 1,
                Frame::XLogData(data) => {
                    let message = walferry_pgoutput::parse(data.body, false).map_err(malformed)?;
                    if let Message::Relation(relation) = message {
                        // Questions to the catalog are no work of the encoder.
                        self.busy += begun.elapsed();
                        self.encoding.learn(&relation.to_relation()).await?;
                        begun = Instant::now();
                        continue;
                    }
                    self.message(message, data.start, data.body.len() as u64, &mut rows)?;
                }
            }
        }
        self.busy += begun.elapsed();
        Ok(())
    }

    fn message<'b>(
        &mut self,
        message: Message<'b>,
        at: Lsn,
        bytes: u64,
        rows: &mut Rows<'b>,
    ) -> Result<(), Error> {
        match message {
            Message::Begin(begin) => {
                self.open = Some(Open {
                    transaction: Transaction {
                        xid: begin.xid,
                        commit_lsn: begin.final_lsn,
                        changes: 0,
                        stream_bytes: 0,
                        avro_bytes: 0,
                        tables: Vec::new(),
                    },
                    commit_us: begin.commit_us,
                    tables: BTreeSet::new(),
                });
            }
            Message::Commit(commit) => {
                self.last_commit = commit.end_lsn;
                self.seen = self.seen.max(commit.end_lsn);
                self.commit();
            }
            Message::Insert(insert) => {
                rows.fill(None, Some(insert.new));
                self.change(insert.relation, Change::Insert(&rows.new), at, bytes)?;
            }
            Message::Update(update) => {
                let full = rows.fill(update.old, Some(update.new));
                let change = Change::Update(full.map(|full| rows.old(full)), &rows.new);
                self.change(update.relation, change, at, bytes)?;
            }
            Message::Delete(delete) => {
                let full = rows.fill(Some(delete.old), None);
                let change = Change::Delete(rows.old(full.unwrap_or_default()));
                self.change(delete.relation, change, at, bytes)?;
            }
            Message::Truncate(truncate) => {
                for relation in truncate.relations() {
                    self.change(relation, Change::Truncate, at, bytes)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, oid: u32, change: Change<'_>, at: Lsn, bytes: u64) -> Result<(), Error> {
        let Some(name) = self.encoding.name(oid) else {
            return Ok(());
        };
        let (xid, commit_lsn, commit_us) = self.open.as_ref().map_or((0, at, 0), |open| {
            let transaction = &open.transaction;
            (transaction.xid, transaction.commit_lsn, open.commit_us)
        });
        let origin = Origin {
            commit_us,
            encoded_us: commit_us,
            xid,
            lsn: at,
            commit_lsn,
            last_commit_lsn: (self.last_commit > Lsn::ZERO).then_some(self.last_commit),
            ordinal: 1,
            ..Origin::default()
        };
        let encoded = self.encoding.encode(oid, change, &origin)?;
        let table = self.tables.entry(name.clone()).or_default();
        table.changes += 1;
        table.stream_bytes += bytes;
        let avro_bytes = match encoded {
            Ok(records) => {
                table.records += records.count;
                table.avro_bytes += records.bytes;
                table.record_bytes_max = table.record_bytes_max.max(records.largest);
                records.bytes
            }
            Err(error) => {
                table.unencoded += 1;
                table.reason.get_or_insert_with(|| error.to_string());
                0
            }
        };
        let second = self.began.elapsed().as_secs() as usize;
        for (seconds, count) in [(&mut self.seconds, 1), (&mut self.avro_seconds, avro_bytes)] {
            if seconds.len() <= second {
                seconds.resize(second + 1, 0);
            }
            seconds[second] += count;
        }
        if let Some(open) = &mut self.open {
            open.transaction.changes += 1;
            open.transaction.stream_bytes += bytes;
            open.transaction.avro_bytes += avro_bytes;
            if open.tables.len() < NAMES_MAX {
                open.tables.insert(name);
            }
        }
        Ok(())
    }

    fn commit(&mut self) {
        let Some(open) = self.open.take().filter(|it| it.transaction.changes > 0) else {
            return;
        };
        self.transactions += 1;
        let mut transaction = open.transaction;
        let place = self
            .largest
            .partition_point(|it| it.stream_bytes >= transaction.stream_bytes);
        if place < TRANSACTIONS_MAX {
            transaction.tables = open.tables.iter().map(|it| it.to_string()).collect();
            self.largest.insert(place, transaction);
            self.largest.truncate(TRANSACTIONS_MAX);
        }
    }
}

impl<'a> Rows<'a> {
    /// Whether there is an old row, and whether it is whole.
    fn fill(&mut self, old: Option<OldTuple<'a>>, new: Option<Tuple<'a>>) -> Option<bool> {
        self.old.clear();
        self.new.clear();
        if let Some(new) = new {
            new.datums(&mut self.new);
        }
        match old? {
            OldTuple::Key(tuple) => {
                tuple.datums(&mut self.old);
                Some(false)
            }
            OldTuple::Full(tuple) => {
                tuple.datums(&mut self.old);
                Some(true)
            }
        }
    }

    fn old(&self, full: bool) -> Old<'_> {
        match full {
            true => Old::Full(&self.old),
            false => Old::Key(&self.old),
        }
    }
}

fn malformed(error: walferry_pgoutput::Error) -> Error {
    Error::failed(
        Code::StreamUnreadable,
        format!("the stream cannot be read: {error}"),
    )
}
