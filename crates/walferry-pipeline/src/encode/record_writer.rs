//! One change by its relation's plan: written, or by the table's policy. The stream, snapshots and a replay write through it.
//!
//! Owns the order of what may be in a change's way, the widening of plans, and the count of what was written. Never: moves a position;
//! parks a table for a row of a snapshot, which cannot wait for one table.
//! Start reading at `write`.

use std::sync::Arc;

use walferry_avro::EncodeErrorKind;
use walferry_event::{Code, Datum, Operation, Origin};
use walferry_kafka::RecordBlock;

use crate::{
    config::Config,
    encode::{
        change_records::{self, Bookmark, Change, Deletes},
        keys::Left,
        oversize,
        policy::{Context, unwritable},
        relations::{Entry, Relations, urgency::Urgency},
        transactions::Told,
    },
    error::Error,
    status::{Status, parked_tables::Obstacle},
    tables::plan::Plan,
};

/// Operations that are counted, in the order of `Plan::changes`.
const OPERATIONS: [Operation; 4] = [
    Operation::Create,
    Operation::Update,
    Operation::Delete,
    Operation::Truncate,
];

/// Writes changes into blocks.
pub struct RecordWriter {
    config: Arc<Config>,
    status: Arc<Status>,
    dead_letters: Arc<str>,
    /// What says how.
    pub relations: Relations,
}

/// A change, and what goes with it.
pub(super) struct Put<'a> {
    pub(super) change: Change<'a>,
    pub(super) origin: &'a Origin<'a>,
    /// What is told of its transaction.
    pub(super) told: Option<&'a mut Told>,
    /// What becomes of the key that the old row had.
    pub(super) left: Left,
    /// The change was too long to be kept, and its long values are not there: so many bytes came.
    pub(super) cut: Option<u64>,
}

/// How a change stands in the block, or the kind and reason of why it does not.
type Outcome = Result<Bookmark, (&'static str, String)>;

/// A change that was tried again.
pub enum Again {
    /// It stands in the block.
    Written,
    /// It does, and it has to be tried alone: only the broker knows whether its topic takes it.
    Doubtful,
    /// It does not, for this reason.
    Refused(String),
    /// Its table is not followed.
    NotFollowed,
}

impl RecordWriter {
    /// Writes by these relations.
    pub fn new(config: Arc<Config>, status: Arc<Status>, relations: Relations) -> RecordWriter {
        RecordWriter {
            dead_letters: config.errors.dead_letter_topic.as_str().into(),
            config,
            status,
            relations,
        }
    }

    /// Another configuration is in force from here on.
    pub(super) fn reload(&mut self, config: Arc<Config>) {
        self.relations.reload(config.clone());
        self.config = config;
    }

    /// Writes a change, or applies its table's policy. The table and its obstacle where it has to wait.
    pub(super) fn publish(
        &mut self,
        block: &mut RecordBlock,
        oid: u32,
        put: Put<'_>,
    ) -> Result<Option<(Arc<str>, Obstacle)>, Error> {
        let context = Context {
            config: &self.config,
            status: &self.status,
            dead_letters: &self.dead_letters,
        };
        let origin = put.origin;
        let waits = write(
            &mut self.relations,
            &context,
            block,
            oid,
            put,
            |plan, block, change, outcome| match outcome {
                Ok(bookmark) => {
                    oversize::watch(plan, block, &bookmark, change, origin, &context);
                    if let Some(i) = OPERATIONS.iter().position(|op| *op == change.operation()) {
                        plan.changes[i] += 1;
                    }
                    Ok(None)
                }
                Err((kind, reason)) => {
                    unwritable(plan, block, change, origin, kind, &reason, &context)
                }
            },
        );
        Ok(waits?.flatten())
    }

    /// Writes a row of a snapshot. One that was too long to be kept lacks its long values, which no other row does.
    pub(super) fn read_row(
        &mut self,
        block: &mut RecordBlock,
        oid: u32,
        row: &[Datum<'_>],
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        let cut = row
            .contains(&Datum::Unchanged)
            .then_some(self.config.source.connect.message_bytes_max);
        match self.publish(block, oid, beside(Change::Read(row), origin, cut))? {
            None => Ok(()),
            Some((table, obstacle)) => Err(Error::failed(
                Code::SnapshotRow,
                format!(
                    "table {table}: a row of its snapshot cannot be encoded: {}; a snapshot cannot wait for one table: mend \
                     the value or the subject's compatibility level, or set errors = \"dead-letter\" for this table",
                    obstacle.reason
                ),
            )),
        }
    }

    /// Writes a change that could not be written before. What is too large is judged as for the stream.
    pub fn again(
        &mut self,
        block: &mut RecordBlock,
        oid: u32,
        change: Change<'_>,
        origin: &Origin<'_>,
    ) -> Result<Again, Error> {
        let context = Context {
            config: &self.config,
            status: &self.status,
            dead_letters: &self.dead_letters,
        };
        let tried = write(
            &mut self.relations,
            &context,
            block,
            oid,
            beside(change, origin, None),
            |plan, block, _, outcome| {
                Ok(match outcome {
                    Ok(bookmark) if oversize::may_be_refused(plan, &bookmark, block) => {
                        Again::Doubtful
                    }
                    Ok(_) => Again::Written,
                    Err((_, reason)) => Again::Refused(reason),
                })
            },
        );
        Ok(tried?.unwrap_or(Again::NotFollowed))
    }

    /// Hands the counts of what was written to the metric.
    pub(super) fn count_changes(&mut self) {
        for plan in self.relations.plans() {
            for (operation, count) in OPERATIONS.iter().zip(&mut plan.changes) {
                let count = std::mem::take(count);
                if count > 0 {
                    metrics::counter!("walferry_changes_total", "connector" => self.config.name.clone(),
                        "table" => plan.name.to_string(), "op" => operation.code())
                    .increment(count);
                    self.status.count_changes(&plan.name, count);
                }
            }
        }
    }
}

/// What is no change of the stream.
pub(super) fn beside<'a>(change: Change<'a>, origin: &'a Origin<'a>, cut: Option<u64>) -> Put<'a> {
    Put {
        change,
        origin,
        told: None,
        left: Left::Free,
        cut,
    }
}

/// Writes a change by its relation's plan, and widens the plan when a value proves it too narrow. How that ended goes to `then`, with
/// the plan and the change as far as it is sure; nothing when the table is not followed.
fn write<T>(
    relations: &mut Relations,
    context: &Context<'_>,
    block: &mut RecordBlock,
    oid: u32,
    put: Put<'_>,
    then: impl FnOnce(&mut Plan, &mut RecordBlock, Change<'_>, Outcome) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let Put {
        change,
        origin,
        mut told,
        left,
        cut,
    } = put;
    let mut widened = 0;
    // A snapshot cannot wait for one table.
    let urgency = match change {
        Change::Read(_) => Urgency::Waits,
        _ => Urgency::MayPark,
    };
    relations.settle(oid, origin.lsn, urgency)?;
    loop {
        let plan = match relations.entry(oid) {
            Some(Entry::Followed(plan)) => plan,
            Some(Entry::Ignored) => return Ok(None),
            None => {
                return Err(Error::failed(
                    Code::StreamUnreadable,
                    format!(
                        "a change at {} is of relation {oid}, which the stream has not described",
                        origin.lsn
                    ),
                ));
            }
        };
        let change = change.as_far_as_sure(plan.mixed);
        if let Some(refusal) = in_the_way(plan, &change, cut, context) {
            return then(plan, block, change, Err(refusal)).map(Some);
        }
        let bookmark = Bookmark::of(block);
        let placed = told.as_ref().map(|told| Origin {
            block: Some(told.next(&plan.name)),
            ..*origin
        });
        let deletes = Deletes {
            tombstones: context.config.tombstones(),
            taken: left == Left::Taken,
        };
        let placed = placed.as_ref().unwrap_or(origin);
        let error = match change_records::write(plan, change, placed, deletes, block) {
            Ok(events) => {
                if let Some(told) = &mut told {
                    told.count(&plan.name, events);
                }
                return then(plan, block, change, Ok(bookmark)).map(Some);
            }
            Err(error) => error,
        };
        bookmark.restore(block);
        let can_widen = plan.can_widen(&error, widened);
        if error.kind == EncodeErrorKind::NullInKey && relations.forget_key(oid, origin.lsn)? {
            continue;
        }
        if can_widen {
            widened += 1;
            relations.widen(oid, error.column, error.kind, origin.lsn)?;
            continue;
        }
        let Some(Entry::Followed(plan)) = relations.entry(oid) else {
            return Ok(None);
        };
        let refusal = ("validation", error.to_string());
        return then(plan, block, change, Err(refusal)).map(Some);
    }
}

/// Kind and reason of why a change cannot be written by this plan, as far as that is known before it is tried.
fn in_the_way(
    plan: &mut Plan,
    change: &Change<'_>,
    cut: Option<u64>,
    context: &Context<'_>,
) -> Option<(&'static str, String)> {
    if let Some(reason) = &plan.refused {
        return Some(("schema", reason.clone()));
    }
    if plan.barred.is_some()
        && let Some(reason) = plan.bars(change.operation(), &context.status.refusals)
    {
        return Some(("validation", reason));
    }
    if let Some(reason) = change.untold(plan) {
        return Some(("validation", reason.to_owned()));
    }
    cut.map(|bytes| ("too_large", oversize::too_long(bytes, context.config)))
}
