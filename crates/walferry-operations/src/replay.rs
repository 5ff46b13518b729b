//! `walferry replay`: what the dead-letter topic holds is encoded again and published, once.
//!
//! Owns the way through the topic. How far it has come stands in a note, table by table and partition by partition, which is
//! published in one Kafka transaction with the records, so that no end of the process loses or doubles one.
//! Invariant: the letters of a table go out in their order within a partition. The first that still cannot be encoded keeps
//! those behind it back, unless it is told to leave such letters behind.
//! Never: touches the connector's checkpoint or slot; it may run beside the connector. What the connector has published of a
//! key since then stands before the letter's record, which has the position of its own change.
//! Start reading at `replay`; what a letter says is in `letter`.

mod letter;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicBool},
};

use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::watch};
use walferry_event::{Code, Relation};
use walferry_kafka::{Noted, RecordBlock, Refused, TopicRecord};
use walferry_postgres::{Catalog, TableInfo};
use walferry_registry::Registry;

use crate::replay::letter::Letter;
use walferry_pipeline::{
    blocking::blocking,
    config::{Config, Mask, Policy},
    encode::{
        change_records::Bookmark,
        record_writer::{Again, RecordWriter},
        relations::{Entry, Relations, message_keys::MessageKeys, urgency::Urgency},
    },
    error::Error,
    status::Status,
    tables::{compile, followed},
};

/// The name of the note beside the connector's.
const NOTE: &str = "replay";
const NOT_FOLLOWED: &str = "the table is not followed any more";

/// What to replay and how.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// `schema.table`; none means every table with a letter.
    pub table: Option<String>,
    /// Whether letters that still cannot be encoded are left behind for good.
    pub leave: bool,
}

/// What has come of the letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// By the tables' names.
    pub tables: BTreeMap<String, TableReplay>,
}

/// What has come of the letters of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableReplay {
    /// Published now.
    pub replayed: u64,
    /// Not published: one that cannot be encoded, and those behind it.
    pub waiting: u64,
    /// Left behind for good.
    pub left: u64,
    /// Why the first of them could not be encoded.
    pub reason: Option<String>,
}

impl ReplayReport {
    /// Whether no letter waits.
    pub fn is_done(&self) -> bool {
        self.tables.values().all(|it| it.waiting == 0)
    }
}

/// The next letter: by topic, table and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    next: BTreeMap<String, Tables>,
}

type Tables = BTreeMap<String, BTreeMap<i32, i64>>;

/// Encodes the letters again and publishes them.
///
/// # Errors
/// A server does not answer, or the note cannot be read. What was reported as published before stays so.
pub async fn replay(config: &Config, what: Replay) -> Result<ReplayReport, Error> {
    config.kafka.check()?;
    let config = Arc::new(as_letters_are(config));
    let catalog = Catalog::connect(&config.source.connect).await?;
    let mut tables = HashMap::new();
    for info in followed::select(&config, &catalog).await? {
        tables.insert(info.qualified_name(), info);
    }
    let registry = Arc::new(Registry::new(config.registry.clone())?);
    registry.ping().await?;
    let runtime = Handle::current();
    let whole = blocking("replaying", move || {
        // Nobody asks it to stop: the process ends with its signal, and loses nothing.
        let (_go, stop) = watch::channel(false);
        let status = Arc::new(Status::new(config.name.as_str()));
        let relations = Relations::new(
            config.clone(),
            status.clone(),
            registry,
            runtime.clone(),
            stop,
            MessageKeys::default(),
        );
        let mut replayer = Replayer {
            catalog,
            tables,
            writer: RecordWriter::new(config.clone(), status, relations),
            runtime,
            what,
            config,
            note: Note::default(),
            next: Tables::default(),
            block: RecordBlock::new(),
            blocked: BTreeSet::new(),
            report: ReplayReport::default(),
        };
        replayer.all().map(|()| replayer.report)
    });
    whole.await
}

/// What a letter shows of a masked column is the mask; and a schema that is refused keeps one table back, not all.
fn as_letters_are(config: &Config) -> Config {
    let mut config = config.clone();
    config.errors.policy = Policy::DeadLetter;
    for table in &mut config.tables {
        table.errors = None;
        for (_, mask) in &mut table.masks {
            if matches!(mask, Mask::Sha256(_)) {
                *mask = Mask::Done;
            }
        }
    }
    config
}

struct Replayer {
    config: Arc<Config>,
    what: Replay,
    catalog: Catalog,
    tables: HashMap<String, TableInfo>,
    writer: RecordWriter,
    runtime: Handle,
    /// As it was written last.
    note: Note,
    /// Of this topic, with what stands in the block.
    next: Tables,
    block: RecordBlock,
    /// Tables that wait, in the partition where they do.
    blocked: BTreeSet<(String, i32)>,
    report: ReplayReport,
}

impl Replayer {
    fn all(&mut self) -> Result<(), Error> {
        let topic = self.config.errors.dead_letter_topic.clone();
        let kafka = self.config.kafka.clone();
        if !walferry_kafka::topics_missing(&kafka, &[topic.as_str()])?.is_empty() {
            return Ok(());
        }
        let (mut noted, note) = Noted::open(&kafka, NOTE)?;
        if let Some(note) = note {
            self.note = serde_json::from_slice(&note).map_err(|error| {
                Error::failed(
                    Code::LetterUnreadable,
                    format!("the note of what was replayed cannot be read: {error}"),
                )
            })?;
        }
        self.next = self.note.next.get(&topic).cloned().unwrap_or_default();
        let stop = AtomicBool::new(false);
        let ends = walferry_kafka::read_topic(&kafka, &topic, &stop, |record| {
            self.one(&record, &mut noted)?;
            if self.block.bytes() as u64 >= self.config.publish.batch_bytes_max {
                self.publish(&mut noted, &topic)?;
            }
            Ok::<_, Error>(())
        })?;
        self.publish(&mut noted, &topic)?;
        let next = |partition| {
            self.next
                .values()
                .filter_map(move |it| it.get(&partition))
                .max()
        };
        match ends.iter().find(|it| next(it.partition) > Some(&it.end)) {
            None => Ok(()),
            Some(it) => Err(Error::failed(
                Code::LetterUnreadable,
                format!(
                    "partition {} of topic {topic:?} ends at {}, and letters behind that were replayed: the topic was made anew; \
                 let errors.dead_letter_topic name another",
                    it.partition, it.end
                ),
            )),
        }
    }

    /// Publishes what stands in the block, with the note of it.
    fn publish(&mut self, noted: &mut Noted, topic: &str) -> Result<(), Error> {
        Ok(self.send(noted, topic)??)
    }

    /// The same; what Kafka says against it stands apart.
    fn send(
        &mut self,
        noted: &mut Noted,
        topic: &str,
    ) -> Result<Result<(), walferry_kafka::Error>, Error> {
        if self.note.next.get(topic).unwrap_or(&Tables::default()) == &self.next {
            return Ok(Ok(()));
        }
        let mut note = self.note.clone();
        note.next.insert(topic.to_owned(), self.next.clone());
        let text = serde_json::to_vec(&note)
            .map_err(|error| Error::internal(format!("the note cannot be written: {error}")))?;
        let sent = noted.publish(self.block.take(), &text);
        if sent.is_ok() {
            self.note = note;
        }
        Ok(sent)
    }

    /// One record of the topic.
    fn one(&mut self, record: &TopicRecord<'_>, noted: &mut Noted) -> Result<(), Error> {
        let Some(value) = record.value else {
            return Ok(());
        };
        let read = serde_json::from_slice::<Letter>(value);
        let (table, outcome) = match &read {
            Ok(letter) => (letter.table.clone(), Ok(letter)),
            Err(error) => (
                "unknown".to_owned(),
                Err(format!(
                    "offset {} holds no dead letter: {error}",
                    record.offset
                )),
            ),
        };
        if self
            .what
            .table
            .as_ref()
            .is_some_and(|wanted| *wanted != table)
        {
            return Ok(());
        }
        let next = self
            .next
            .get(&table)
            .and_then(|it| it.get(&record.partition));
        if next.is_some_and(|next| record.offset < *next) {
            return Ok(());
        }
        let place = (table.clone(), record.partition);
        let outcome = match outcome {
            _ if self.blocked.contains(&place) => Err(None),
            Ok(letter) => match self.encode(letter)? {
                Again::Written => Ok(()),
                Again::Doubtful => self.alone(letter, record, noted)?.map_err(Some),
                Again::Refused(reason) => Err(Some(reason)),
                Again::NotFollowed => Err(Some(NOT_FOLLOWED.to_owned())),
            },
            Err(reason) => Err(Some(reason)),
        };
        let told = self.report.tables.entry(table.clone()).or_default();
        match outcome {
            Ok(()) => told.replayed += 1,
            Err(reason) => {
                if told.reason.is_none() {
                    told.reason = reason;
                }
                if !self.what.leave {
                    told.waiting += 1;
                    self.blocked.insert(place);
                    return Ok(());
                }
                told.left += 1;
            }
        }
        self.pass(table, record);
        Ok(())
    }

    /// What comes next of a table stands behind this record.
    fn pass(&mut self, table: String, record: &TopicRecord<'_>) {
        let partitions = self.next.entry(table).or_default();
        partitions.insert(record.partition, record.offset + 1);
    }

    /// Publishes a letter whose records only the broker can judge, in a transaction of its own; or says why it refuses them.
    fn alone(
        &mut self,
        letter: &Letter,
        record: &TopicRecord<'_>,
        noted: &mut Noted,
    ) -> Result<Result<(), String>, Error> {
        let topic = self.config.errors.dead_letter_topic.clone();
        self.publish(noted, &topic)?;
        let before = self.next.clone();
        match self.write(letter)? {
            Again::Written | Again::Doubtful => self.pass(letter.table.clone(), record),
            // Something else than before: it is left for another replay.
            Again::Refused(reason) => return Ok(Err(reason)),
            Again::NotFollowed => return Ok(Err(NOT_FOLLOWED.to_owned())),
        }
        let Err(error) = self.send(noted, &topic)? else {
            return Ok(Ok(()));
        };
        self.next = before;
        let refusal = error.refusal();
        match refusal.filter(|it| it.refused != Refused::Topic) {
            Some(refusal) => Ok(Err(refusal.reason.clone())),
            None => Err(error.into()),
        }
    }

    /// Writes the records of a letter to the block, unless they cannot stand there beside others.
    fn encode(&mut self, letter: &Letter) -> Result<Again, Error> {
        let bookmark = Bookmark::of(&mut self.block);
        let again = self.write(letter)?;
        if matches!(again, Again::Doubtful) {
            bookmark.restore(&mut self.block);
        }
        Ok(again)
    }

    fn write(&mut self, letter: &Letter) -> Result<Again, Error> {
        let Some(oid) = self.relation(&letter.table)? else {
            return Ok(Again::NotFollowed);
        };
        let origin = letter.origin();
        let relations = &mut self.writer.relations;
        relations.settle(oid, origin.lsn, Urgency::Waits)?;
        let Some(Entry::Followed(plan)) = relations.entry(oid) else {
            return Ok(Again::NotFollowed);
        };
        if let Some(reason) = &plan.refused {
            return Ok(Again::Refused(reason.clone()));
        }
        // However the plan is widened for it, the columns are those of the same relation.
        let change = match letter.change(plan) {
            Ok(change) => change,
            Err(reason) => return Ok(Again::Refused(reason)),
        };
        change.with(|change| self.writer.again(&mut self.block, oid, change, &origin))
    }

    /// The relation of a table as the publication shows it now; none when it is not followed.
    fn relation(&mut self, table: &str) -> Result<Option<u32>, Error> {
        let Some(info) = self.tables.get(table) else {
            return Ok(None);
        };
        let oid = info.oid;
        if self.writer.relations.entry(oid).is_none() {
            let asked = compile::shape(&self.config, &self.catalog, oid);
            let (relation, _): (Relation, _) = self.runtime.block_on(asked)?;
            self.writer.relations.learn(relation);
        }
        Ok(Some(oid))
    }
}
