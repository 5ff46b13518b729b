//! One change of a row becomes its records: value, key, tombstone, or the three records of a key change.
//!
//! Owns the shape of what a change turns into (debezium-compatible, docs/COMPAT). Never decides where a batch ends.
//! Invariant: a change is written whole or not at all; the caller truncates the block back on an error.

use walferry_avro::{EncodeError, Row};
use walferry_event::{Datum, Operation, Origin};
use walferry_kafka::RecordBlock;

use crate::{config::Tombstones, tables::plan::Plan};

/// The old row as the stream sent it.
#[derive(Clone, Copy)]
pub enum Old<'a> {
    /// The identity's columns only.
    Key(&'a [Datum<'a>]),
    /// All columns.
    Full(&'a [Datum<'a>]),
}

impl<'a> Old<'a> {
    pub(crate) fn datums(self) -> &'a [Datum<'a>] {
        match self {
            Old::Key(datums) | Old::Full(datums) => datums,
        }
    }

    fn row(self) -> Row<'a> {
        match self {
            Old::Key(datums) => Row::Key(datums),
            Old::Full(datums) => Row::Full(datums),
        }
    }
}

/// A change of one row.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    /// A row of a snapshot.
    Read(&'a [Datum<'a>]),
    /// INSERT.
    Insert(&'a [Datum<'a>]),
    /// UPDATE.
    Update(Option<Old<'a>>, &'a [Datum<'a>]),
    /// DELETE.
    Delete(Old<'a>),
    /// TRUNCATE.
    Truncate,
}

impl<'a> Change<'a> {
    /// The change with its old row taken for no more than it surely is: where leaves write other old rows than their
    /// partitioned table's marker says, one that is called whole may hold the key alone.
    pub(crate) fn as_far_as_sure(self, mixed: bool) -> Change<'a> {
        match self {
            Change::Update(Some(Old::Full(old)), new) if mixed => {
                Change::Update(Some(Old::Key(old)), new)
            }
            Change::Delete(Old::Full(old)) if mixed => Change::Delete(Old::Key(old)),
            change => change,
        }
    }

    /// Why it is not known which row has changed, if it is not.
    pub fn untold<'p>(&self, plan: &'p Plan) -> Option<&'p str> {
        let keyed = plan.encode.key_schema().is_some();
        let empty = |old: &[Datum<'_>]| old.iter().all(|datum| *datum == Datum::Null);
        match self {
            Change::Update(None, _) if keyed => plan.untold.as_deref(),
            Change::Update(..) | Change::Delete(_) if !keyed && plan.untold.is_some() => {
                plan.untold.as_deref()
            }
            Change::Update(Some(Old::Key(old)), _) | Change::Delete(Old::Key(old))
                if !keyed && empty(old) =>
            {
                Some(
                    "its old row holds no published value, so that it is not known which row has changed; let old rows carry \
                     it (ALTER TABLE … REPLICA IDENTITY FULL)",
                )
            }
            _ => None,
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        match self {
            Change::Read(_) => Operation::Read,
            Change::Insert(_) => Operation::Create,
            Change::Update(..) => Operation::Update,
            Change::Delete(_) => Operation::Delete,
            Change::Truncate => Operation::Truncate,
        }
    }
}

/// What is written of a row that is gone from its key.
#[derive(Clone, Copy, Debug)]
pub struct Deletes {
    /// Which of them are followed by a record without a value.
    pub tombstones: Tombstones,
    /// Another row has taken the key in the same transaction: its record stands, and is not to be deleted.
    pub taken: bool,
}

/// Headers that join the two halves of a key change, as Debezium names them.
const NEW_KEY: &str = "__debezium.newkey";
const OLD_KEY: &str = "__debezium.oldkey";

/// Writes the records of `change` to the end of `block`. How many events of its transaction they are: tombstones are none.
pub fn write(
    plan: &Plan,
    change: Change<'_>,
    origin: &Origin<'_>,
    deletes: Deletes,
    block: &mut RecordBlock,
) -> Result<u64, EncodeError> {
    let mut records = Records {
        plan,
        origin,
        block,
    };
    match change {
        Change::Read(new) => records.value(Operation::Read, Row::None, Row::Full(new), new),
        Change::Insert(new) => records.value(Operation::Create, Row::None, Row::Full(new), new),
        Change::Update(None, new) => {
            records.value(Operation::Update, Row::None, Row::Full(new), new)
        }
        Change::Update(Some(old), new) if plan.encode.key_changed(old.datums(), new) => {
            records.moved(old, new, deletes)
        }
        Change::Update(Some(old), new) => {
            records.value(Operation::Update, old.row(), Row::Full(new), new)
        }
        Change::Delete(_) if deletes.taken => Ok(0),
        Change::Delete(old) => {
            records.value(Operation::Delete, old.row(), Row::None, old.datums())?;
            records.tombstone(deletes.tombstones, old.datums(), None)?;
            Ok(1)
        }
        Change::Truncate if !plan.encode.has_truncates() => {
            tracing::warn!(table = &*plan.name, lsn = %origin.lsn,
                "a truncate has no record in the flat envelope: the topic keeps the rows from before it");
            Ok(0)
        }
        Change::Truncate => {
            let value = records.encode_value(Operation::Truncate, Row::None, Row::None)?;
            records.push(None, Some(value), None);
            Ok(1)
        }
    }
}

struct Records<'a, 'b> {
    plan: &'a Plan,
    origin: &'a Origin<'a>,
    block: &'b mut RecordBlock,
}

type Span = std::ops::Range<u32>;
type Headers = Box<[(Box<str>, Vec<u8>)]>;

impl Records<'_, '_> {
    fn value(
        &mut self,
        operation: Operation,
        before: Row<'_>,
        after: Row<'_>,
        key: &[Datum<'_>],
    ) -> Result<u64, EncodeError> {
        let key = self.encode_key(key)?;
        let value = self.encode_value(operation, before, after)?;
        self.push(key, Some(value), None);
        Ok(1)
    }

    /// A key change: a delete under the old key, its tombstone, a create under the new key, which is an event of its own. The
    /// create alone when another row has the old key by now.
    fn moved(
        &mut self,
        old: Old<'_>,
        new: &[Datum<'_>],
        deletes: Deletes,
    ) -> Result<u64, EncodeError> {
        let to_old = self.header(OLD_KEY, old.datums())?;
        if deletes.taken {
            let key = self.encode_key(new)?;
            let value = self.encode_value(Operation::Create, Row::None, Row::Full(new))?;
            self.push(key, Some(value), Some(to_old));
            return Ok(1);
        }
        let to_new = self.header(NEW_KEY, new)?;
        let key = self.encode_key(old.datums())?;
        let value = self.encode_value(Operation::Delete, old.row(), Row::None)?;
        self.push(key, Some(value), Some(to_new.clone()));
        self.tombstone(deletes.tombstones, old.datums(), Some(to_new))?;
        let key = self.encode_key(new)?;
        let second = self.origin.block.map(|first| Origin {
            block: Some(first.next()),
            ..*self.origin
        });
        let mut create = Records {
            origin: second.as_ref().unwrap_or(self.origin),
            plan: self.plan,
            block: self.block,
        };
        let value = create.encode_value(Operation::Create, Row::None, Row::Full(new))?;
        self.push(key, Some(value), Some(to_old));
        Ok(2)
    }

    fn tombstone(
        &mut self,
        wanted: Tombstones,
        old: &[Datum<'_>],
        headers: Option<Headers>,
    ) -> Result<(), EncodeError> {
        if wanted == Tombstones::None {
            return Ok(());
        }
        let key = self.encode_key(old)?;
        if key.is_some() || wanted == Tombstones::WithoutKeyToo {
            self.push(key, None, headers);
        }
        Ok(())
    }

    fn header(&self, name: &str, row: &[Datum<'_>]) -> Result<Headers, EncodeError> {
        let mut json = Vec::new();
        self.plan.encode.key_json(row, &mut json)?;
        Ok(Box::new([(name.into(), json)]))
    }

    fn encode_key(&mut self, row: &[Datum<'_>]) -> Result<Option<Span>, EncodeError> {
        if self.plan.encode.key_schema().is_none() {
            return Ok(None);
        }
        let start = self.end();
        self.plan.encode.key(row, self.block.arena_mut())?;
        Ok(Some(start..self.end()))
    }

    fn encode_value(
        &mut self,
        operation: Operation,
        before: Row<'_>,
        after: Row<'_>,
    ) -> Result<Span, EncodeError> {
        let start = self.end();
        self.plan.encode.value(
            operation,
            before,
            after,
            self.origin,
            self.block.arena_mut(),
        )?;
        Ok(start..self.end())
    }

    fn end(&mut self) -> u32 {
        u32::try_from(self.block.arena_mut().len())
            .expect("frames and blocks are bounded far below 4 GiB")
    }

    fn push(&mut self, key: Option<Span>, value: Option<Span>, headers: Option<Headers>) {
        let topic = self.block.topic(&self.plan.topic);
        self.block.push(topic, key, value, headers);
    }
}

/// Marks the place in a block to go back to when a change cannot be written.
pub struct Bookmark {
    records: usize,
    bytes: usize,
}

impl Bookmark {
    /// The end of the block as it is now.
    pub fn of(block: &mut RecordBlock) -> Bookmark {
        Bookmark {
            records: block.len(),
            bytes: block.arena_mut().len(),
        }
    }

    /// Bytes that were written since.
    pub fn bytes_behind(&self, block: &RecordBlock) -> usize {
        block.bytes() - self.bytes
    }

    /// Records that were written since.
    pub(crate) fn records_behind(&self, block: &RecordBlock) -> std::ops::Range<usize> {
        self.records..block.len()
    }

    /// Takes back what was written since.
    pub fn restore(&self, block: &mut RecordBlock) {
        block.truncate(self.records, self.bytes);
    }
}
