//! The search for a sweep's candidates: the keys of the topic, of which no row of the table is left.
//!
//! Owns the two readings and their comparison, in a sort that spills to disk. The table is read in ranges, each in a snapshot of
//! its own that sees all that was streamed before the sweep began; the topic up to an end that holds all of that. Never:
//! judges what the stream brings meanwhile.
//! Start reading at `Search::run`.
//!
//! ```text
//! entry      length u32 BE | key | 0                                                    of the table
//!            length u32 BE | key | 1 | schema id u32 BE | offset u64 BE | alive u8      of the topic
//! candidate  length u32 BE | key | schema id u32 BE
//! ```

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time};
use walferry_avro::{EncodePlan, KeyReader, OperationReader};
use walferry_event::{Code, Lsn, Relation};
use walferry_kafka::TopicRecord;
use walferry_registry::Registry;

use crate::{
    blocking::blocking,
    config::Config,
    encode::gone::{Gone, taken_apart},
    error::{Error, Passing},
    snapshot::{
        chunk::{Order, Sessions},
        readers::cancelled,
    },
    sorter::Sorter,
    status::Status,
};

/// Keys of both sides in memory, in bytes; the rest is on disk.
const MEMORY_BYTES_MAX: usize = 16 << 20;
/// Candidates in memory, in bytes.
const GONE_BYTES_MAX: usize = 1 << 20;
/// Magic byte and schema id.
const FRAME_BYTES: usize = 5;
/// Between two looks at what is committed.
const LOOK: Duration = Duration::from_millis(20);

/// What to search.
pub(crate) struct Search<E> {
    pub(crate) config: Arc<Config>,
    pub(crate) status: Arc<Status>,
    pub(crate) sessions: Sessions,
    pub(crate) registry: Arc<Registry>,
    /// Closed when nobody waits for the answer any more.
    pub(crate) events: mpsc::UnboundedSender<E>,
    pub(crate) relation: Relation,
    pub(crate) keys: EncodePlan,
    pub(crate) topic: Arc<str>,
    /// How the ranges are read.
    pub(crate) order: Order,
    /// When the progress has come to this mark, the topic holds all that was published before the sweep began.
    pub(crate) flushed: u64,
}

/// The candidates.
pub(crate) struct Found {
    gone: Option<Sorter>,
    /// When the stream has passed this, it has brought everything that the snapshots see.
    pub(crate) wal_insert: Lsn,
    pub(super) readers: HashMap<u32, KeyReader>,
}

impl Found {
    #[cfg(test)]
    pub(super) fn of(gone: Sorter) -> Found {
        Found {
            gone: Some(gone),
            wal_insert: Lsn(1),
            readers: HashMap::new(),
        }
    }

    pub(super) fn take_gone(&mut self) -> Option<Sorter> {
        self.gone.take()
    }
}

/// A key without its framing.
pub(crate) fn body(key: &[u8]) -> &[u8] {
    key.get(FRAME_BYTES..).unwrap_or_default()
}

/// A key with its length before it, so that keys sort alike whatever comes behind.
pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(body.len() + 18);
    entry.extend_from_slice(&(body.len() as u32).to_be_bytes());
    entry.extend_from_slice(body);
    entry
}

impl<E: Send + Sync + 'static> Search<E> {
    /// The candidates; nothing when the table is not what it was when the sweep began.
    pub(crate) async fn run(self) -> Result<Option<Found>, Error> {
        let mut sorter = Sorter::new(MEMORY_BYTES_MAX);
        let Some(wal_insert) = self.table(&mut sorter).await? else {
            return Ok(None);
        };
        self.flushed().await?;
        let search = Arc::new(self);
        let reading = search.clone();
        let compared = blocking("comparing keys", move || {
            reading.topic(&mut sorter)?;
            compare(sorter)
        });
        let (gone, ids) = compared.await?;
        let mut readers = HashMap::new();
        for id in ids {
            let schema = search.schema(id).await?;
            let reader = KeyReader::parse(&schema);
            readers.insert(id, reader.map_err(|error| search.unreadable(id, &error))?);
        }
        Ok(Some(Found {
            gone: Some(gone),
            wal_insert,
            readers,
        }))
    }

    /// The keys of the table. Where the WAL ended after the last snapshot; nothing when the table has changed.
    async fn table(&self, sorter: &mut Sorter) -> Result<Option<Lsn>, Error> {
        let mut order = self.order.clone();
        let mut retry = self.config.errors.retry();
        let (mut wal_insert, mut key) = (Lsn::ZERO, Vec::new());
        loop {
            self.awaited()?;
            let take = |row: &[walferry_event::Datum<'_>]| {
                key.clear();
                let encoded = self.keys.key(row, &mut key);
                encoded.map_err(|error| Error::failed(Code::KeyRefused, error.to_string()))?;
                let mut entry = framed(body(&key));
                entry.push(0);
                sorter.push(&entry).map_err(sorting)
            };
            let columns = self.keys.key_columns();
            let read = self.sessions.keys(&order, &self.relation, columns, take);
            match read.await {
                Ok(None) => return Ok(None),
                Ok(Some(chunk)) => {
                    retry.reset();
                    wal_insert = wal_insert.max(chunk.wal_insert);
                    match chunk.end {
                        Some(end) => order.range.after = Some(end),
                        None => return Ok(Some(wal_insert)),
                    }
                }
                Err(error) => {
                    // What was read of the range may stand twice in the sort, which says the same.
                    let cause = error.cause.as_ref();
                    let passing = cause.is_some_and(|it| it.may_pass() || cancelled(it));
                    let outage = cause.is_some_and(Passing::is_outage);
                    let pause = retry.failed(outage).filter(|_| passing);
                    let Some(pause) = pause else {
                        return Err(error.into());
                    };
                    tracing::warn!(error = %Error::from(error), "keys of a table are read again");
                    time::sleep(pause).await;
                }
            }
        }
    }

    /// Whether anybody waits for the answer.
    fn awaited(&self) -> Result<(), Error> {
        match self.events.is_closed() {
            true => Err(Error::stopped()),
            false => Ok(()),
        }
    }

    async fn flushed(&self) -> Result<(), Error> {
        while self.status.snapshot_serial() < self.flushed {
            self.awaited()?;
            time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The keys of the topic, each with whether its record leaves a row. Blocks.
    fn topic(&self, sorter: &mut Sorter) -> Result<(), Error> {
        let kafka = &self.config.kafka;
        let passing = |error: walferry_kafka::Error| match error.may_pass() {
            true => Error::away(error),
            false => error.into(),
        };
        if !walferry_kafka::topics_missing(kafka, &[&self.topic])
            .map_err(passing)?
            .is_empty()
        {
            return Ok(());
        }
        let mut versions = HashMap::new();
        let never = std::sync::atomic::AtomicBool::new(false);
        let taken = walferry_kafka::read_topic(kafka, &self.topic, &never, |record| {
            self.awaited().map_err(Taking::Error)?;
            let entry = self.record(&record, &mut versions);
            match entry.map_err(Taking::Error)? {
                Some(entry) => sorter
                    .push(&entry)
                    .map_err(|error| Taking::Error(sorting(error))),
                None => Ok(()),
            }
        });
        match taken {
            Ok(_) => Ok(()),
            Err(Taking::Error(error)) => Err(error),
            Err(Taking::Kafka(error)) => Err(passing(error)),
        }
    }

    fn record(
        &self,
        record: &TopicRecord<'_>,
        versions: &mut HashMap<u32, OperationReader>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some((id, key)) = record.key.and_then(parts) else {
            return Ok(None); // Of a truncate, or from before the table had a key.
        };
        if !key.ends_with(self.keys.key_end()) {
            return Ok(None); // Of another table of the topic.
        }
        let alive = match record.value {
            None => false,
            Some(value) => {
                let (schema, value) = parts(value).ok_or_else(|| {
                    Error::failed(
                        Code::TopicUnreadable,
                        format!(
                            "topic {:?} offset {}: a value without the registry's framing",
                            self.topic, record.offset
                        ),
                    )
                })?;
                self.operation(schema, value, versions)? != b'd'
            }
        };
        let mut entry = framed(key);
        entry.push(1);
        entry.extend_from_slice(&id.to_be_bytes());
        entry.extend_from_slice(&record.offset.to_be_bytes());
        entry.push(u8::from(alive));
        Ok(Some(entry))
    }

    fn operation(
        &self,
        id: u32,
        value: &[u8],
        versions: &mut HashMap<u32, OperationReader>,
    ) -> Result<u8, Error> {
        let reader = match versions.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let schema = tokio::runtime::Handle::current().block_on(self.schema(id))?;
                let reader = OperationReader::parse(&schema);
                place.insert(reader.map_err(|error| self.unreadable(id, &error))?)
            }
        };
        let read = reader.read(value);
        read.map_err(|error| self.unreadable(id, &error))
    }

    async fn schema(&self, id: u32) -> Result<String, Error> {
        let schema = self
            .registry
            .schema(id)
            .await
            .map_err(|error| match error.may_pass() {
                true => Error::away(error),
                false => error.into(),
            })?;
        schema.ok_or_else(|| {
            Error::failed(
                Code::TopicUnreadable,
                format!(
                    "topic {:?}: the registry does not know schema id {id}",
                    self.topic
                ),
            )
        })
    }

    fn unreadable(&self, id: u32, error: &walferry_avro::ReadError) -> Error {
        Error::failed(
            Code::TopicUnreadable,
            format!("topic {:?}: schema id {id}: {error}", self.topic),
        )
    }
}

/// Schema id and body of what is in the registry's framing.
fn parts(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (frame, body) = bytes.split_at_checked(FRAME_BYTES)?;
    let (magic, id) = frame.split_first()?;
    (*magic == 0).then_some((u32::from_be_bytes(id.try_into().ok()?), body))
}

/// Why a topic was not read to its end.
enum Taking {
    Error(Error),
    Kafka(walferry_kafka::Error),
}

impl From<walferry_kafka::Error> for Taking {
    fn from(error: walferry_kafka::Error) -> Taking {
        Taking::Kafka(error)
    }
}

/// The keys that only the topic has, and the ids of their schemas.
fn compare(sorter: Sorter) -> Result<(Sorter, Vec<u32>), Error> {
    let mut gone = Sorter::new(GONE_BYTES_MAX);
    let mut ids = Vec::new();
    let mut entries = sorter.merge().map_err(sorting)?;
    let mut in_table: Option<Vec<u8>> = None;
    // The last record of a key under one schema: later ones stand behind it.
    let mut last: Option<(Gone, bool)> = None;
    loop {
        let entry = entries.next_entry().map_err(sorting)?;
        let next = entry.as_deref().and_then(taken_apart);
        if entry.is_some() && next.is_none() {
            return Err(Error::failed(
                Code::TemporaryDisk,
                "the temporary sort file is corrupt: look for faults of the disk under the temporary folder, then try again",
            ));
        }
        let next = next.map(|(body, behind)| (body, behind.split_first()));
        let same = match (&next, &last) {
            (Some((body, Some((1, rest)))), Some((gone, _))) => {
                *body == gone.body && rest.starts_with(&gone.schema_id.to_be_bytes())
            }
            _ => false,
        };
        if !same && let Some((key, true)) = last.take() {
            let mut candidate = framed(&key.body);
            candidate.extend_from_slice(&key.schema_id.to_be_bytes());
            gone.push(&candidate).map_err(sorting)?;
            if !ids.contains(&key.schema_id) {
                ids.push(key.schema_id);
            }
        }
        match next {
            None => return Ok((gone, ids)),
            Some((body, Some((0, _)))) => in_table = Some(body.to_vec()),
            Some((body, Some((_, rest)))) if in_table.as_deref() != Some(body) => {
                let id = rest.first_chunk().map_or(0, |id| u32::from_be_bytes(*id));
                let key = Gone {
                    body: body.to_vec(),
                    schema_id: id,
                };
                last = Some((key, rest.last() == Some(&1)));
            }
            Some(_) => {}
        }
    }
}

fn sorting(error: std::io::Error) -> Error {
    Error::failed(
        Code::TemporaryDisk,
        format!("sorting in {}: {error}", std::env::temp_dir().display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(body: &[u8], id: u32, offset: u64, alive: bool) -> Vec<u8> {
        let mut entry = framed(body);
        entry.push(1);
        entry.extend_from_slice(&id.to_be_bytes());
        entry.extend_from_slice(&offset.to_be_bytes());
        entry.push(u8::from(alive));
        entry
    }

    fn table(body: &[u8]) -> Vec<u8> {
        let mut entry = framed(body);
        entry.push(0);
        entry
    }

    #[test]
    fn a_key_is_gone_when_its_last_record_leaves_a_row_and_the_table_has_none() {
        let mut sorter = Sorter::new(60);
        for entry in [
            topic(b"kept", 1, 4, true),
            table(b"kept"),
            table(b"fresh"),
            topic(b"gone", 1, 9, true),
            topic(b"gone", 1, 2, true),
            topic(b"dead", 1, 10, true),
            topic(b"dead", 1, 300, false),
            topic(b"back", 1, 300, false),
            topic(b"back", 1, 70_000, true),
            // A key under two schemas is two keys of the topic.
            topic(b"two", 1, 7, true),
            topic(b"two", 2, 8, false),
            topic(b"two", 3, 9, true),
            topic(b"", 1, 1, true),
            topic(b"g", 1, 1, true),
        ] {
            sorter.push(&entry).unwrap();
        }
        let (gone, mut ids) = compare(sorter).unwrap();
        let mut merge = gone.merge().unwrap();
        let mut found = Vec::new();
        while let Some(entry) = merge.next_entry().unwrap() {
            let gone = Gone::read(&entry).unwrap();
            found.push((String::from_utf8(gone.body).unwrap(), gone.schema_id));
        }
        let expected = [
            ("", 1),
            ("g", 1),
            ("two", 1),
            ("two", 3),
            ("back", 1),
            ("gone", 1),
        ];
        let expected = expected.map(|(body, id)| (body.to_owned(), id));
        assert_eq!(found, expected);
        ids.sort_unstable();
        assert_eq!(ids, [1, 3]);
    }
}
