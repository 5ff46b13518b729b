//! What becomes of a change that Kafka refuses for good, for its size or for what it is: its table's policy, as for one that
//! cannot be encoded.
//!
//! Owns what goes along with a change whose records may be refused: those that are larger than their topic says that it
//! takes, of which only the broker knows whether they are too large, because what it measures is compressed; and all those of a
//! topic that has refused one. The change is sent, and what takes its place is made beforehand, while its values are at hand. A
//! table that is to be parked is parked when the change comes again, after a restart of the ring at the checkpoint.
//! Never looks at a change of usual size but for one comparison. Such a change was counted as an event of its
//! transaction before it was refused.
//! Start reading at `watch`.

use std::sync::Arc;

use walferry_event::{Lsn, Origin, SnapshotMark};
use walferry_kafka::{Judge, RecordBlock, Refusal, Refused as Kind, Verdict};

use crate::{
    config::{Config, Policy},
    encode::{
        change_records::{Bookmark, Change},
        dead_letter,
        policy::Context,
    },
    error::Labels,
    status::{Status, parked_tables::Refused},
    tables::plan::Plan,
};

/// What a record needs beside its key and value, at most, where it is alone in its batch.
const ENVELOPE_BYTES: usize = 1024;

/// Why a change was not kept on the wire.
#[cold]
pub(super) fn too_long(bytes: u64, config: &Config) -> String {
    format!(
        "its text of {bytes} bytes or more is longer than is kept ({} bytes, which follows from \
         kafka.properties.\"message.max.bytes\" = {}): raise that, and max.message.bytes of the topic",
        config.source.connect.message_bytes_max,
        config.kafka.record_bytes_max()
    )
}

/// Watches over the records behind the bookmark, if they may be refused.
#[inline]
pub(super) fn watch(
    plan: &Plan,
    block: &mut RecordBlock,
    bookmark: &Bookmark,
    change: Change<'_>,
    origin: &Origin<'_>,
    context: &Context<'_>,
) {
    if may_be_refused(plan, bookmark, block) {
        let bytes = bookmark.bytes_behind(block);
        let case = Case::of(plan, origin, context);
        let expected = match refused_one(plan) {
            Some(reason) if bytes <= usual(plan) => ("validation", reason.to_owned()),
            _ => ("too_large", case.too_large(bytes)),
        };
        let (held_bytes, judge) = judge(plan, case, change, origin, &expected, context);
        let records = bookmark.records_behind(block);
        block.may_be_refused(records, held_bytes, judge);
    }
}

/// Whether only the broker knows if it takes the records behind the bookmark.
#[inline]
pub(super) fn may_be_refused(plan: &Plan, bookmark: &Bookmark, block: &RecordBlock) -> bool {
    bookmark.bytes_behind(block) > usual(plan) || refused_one(plan).is_some()
}

/// Bytes that are taken, whatever a codec makes of them: it may add a little to what it cannot compress.
fn usual(plan: &Plan) -> usize {
    (plan.record_bytes_max - plan.record_bytes_max / 64).saturating_sub(ENVELOPE_BYTES)
}

/// Why its topic has refused one record before.
fn refused_one(plan: &Plan) -> Option<&str> {
    plan.barred.as_ref().and_then(|it| it.one.as_deref())
}

#[cold]
fn judge(
    plan: &Plan,
    case: Case,
    change: Change<'_>,
    origin: &Origin<'_>,
    expected: &(&'static str, String),
    context: &Context<'_>,
) -> (usize, Judge) {
    match plan.policy {
        Policy::DeadLetter => {
            let topic = context.dead_letters;
            let (kind, reason) = expected;
            let letter = dead_letter::letter(plan, change, origin, kind, reason, topic);
            let held = letter.value.as_ref().map_or(0, Vec::len);
            let judge = move |refusal: &Refusal, asked| {
                if asked > 0 {
                    return Verdict::Stop(format!(
                        "{}: its dead letter is refused as well: {}",
                        case.place(),
                        refusal.reason
                    ));
                }
                case.tell(refusal, "dead letter");
                case.count_letter();
                Verdict::Replace(letter.clone())
            };
            (held, Box::new(judge))
        }
        Policy::Skip => {
            let judge = move |refusal: &Refusal, _| {
                case.tell(refusal, "change skipped");
                Verdict::Skip
            };
            (0, Box::new(judge))
        }
        Policy::Park if origin.snapshot == SnapshotMark::Streamed => {
            let judge = move |refusal: &Refusal, _| {
                case.count(refusal);
                let reason = case.reason(refusal);
                let text = format!("{}: {reason}: the table is to be parked", case.place());
                case.status.parking.refuse(Refused {
                    table: case.table.to_string(),
                    commit_lsn: case.commit_lsn,
                    ordinal: case.ordinal,
                    reason,
                });
                Verdict::Restart(text)
            };
            (0, Box::new(judge))
        }
        Policy::Stop | Policy::Park => {
            // One that ends the connector is counted at its end.
            let judge = move |refusal: &Refusal, _| Verdict::Stop(case.stop(refusal));
            (0, Box::new(judge))
        }
    }
}

/// A change that may be refused, for whoever has to hear of it; never its values.
struct Case {
    table: Arc<str>,
    topic: Arc<str>,
    record_bytes_max: usize,
    /// What the producer takes, whatever the topic does.
    producer_bytes_max: u64,
    lsn: Lsn,
    commit_lsn: Lsn,
    xid: u32,
    ordinal: u64,
    connector: String,
    status: Arc<Status>,
}

impl Case {
    fn of(plan: &Plan, origin: &Origin<'_>, context: &Context<'_>) -> Case {
        Case {
            table: plan.name.clone(),
            topic: plan.topic.clone(),
            record_bytes_max: plan.record_bytes_max,
            producer_bytes_max: context.config.kafka.record_bytes_max(),
            lsn: origin.lsn,
            commit_lsn: origin.commit_lsn,
            xid: origin.xid,
            ordinal: origin.ordinal,
            connector: context.config.name.clone(),
            status: context.status.clone(),
        }
    }

    fn place(&self) -> String {
        match self.ordinal {
            0 => format!("table {}: a row of its snapshot", self.table),
            ordinal => format!(
                "table {}: a change at {} (commit {}, xid {}, ordinal {ordinal})",
                self.table, self.lsn, self.commit_lsn, self.xid
            ),
        }
    }

    fn too_large(&self, bytes: usize) -> String {
        format!(
            "a record of {bytes} bytes is larger than topic {:?} takes: max.message.bytes = {}",
            self.topic, self.record_bytes_max
        )
    }

    /// Whether the producer itself does not take it.
    fn is_above_producer(&self, refusal: &Refusal) -> bool {
        refusal.bytes as u64 >= self.producer_bytes_max
    }

    fn reason(&self, refusal: &Refusal) -> String {
        match refusal.refused {
            Kind::Size if !self.is_above_producer(refusal) => self.too_large(refusal.bytes),
            Kind::Size | Kind::Record | Kind::Keyless | Kind::Topic => refusal.reason.clone(),
        }
    }

    fn stop(&self, refusal: &Refusal) -> String {
        let raise = match refusal.refused {
            Kind::Size if !self.is_above_producer(refusal) => format!(
                "raise it (kafka-configs --alter --topic {} --add-config max.message.bytes={}), or ",
                self.topic,
                (refusal.bytes + ENVELOPE_BYTES).next_power_of_two()
            ),
            Kind::Size | Kind::Record | Kind::Keyless | Kind::Topic => String::new(),
        };
        format!(
            "{} cannot be published: {}; {raise}set errors = \"park\", \"dead-letter\" or \"skip\" for this table",
            self.place(),
            self.reason(refusal),
        )
    }

    fn tell(&self, refusal: &Refusal, outcome: &str) {
        self.count(refusal);
        tracing::error!(table = &*self.table, lsn = %self.lsn, xid = self.xid, error = self.reason(refusal), "{outcome}");
    }

    fn count(&self, refusal: &Refusal) {
        let kind = match refusal.refused {
            Kind::Size => "too_large",
            Kind::Record | Kind::Keyless | Kind::Topic => "validation",
        };
        self.status.count_error(Labels {
            stage: "publish",
            kind,
        });
    }

    fn count_letter(&self) {
        self.status.count_dead_letter();
        metrics::counter!("walferry_dead_letters_total", "connector" => self.connector.clone(),
            "table" => self.table.to_string())
        .increment(1);
    }
}
