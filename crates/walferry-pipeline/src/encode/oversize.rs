//! What becomes of a change that Kafka refuses for its size: its table's policy, as for one that cannot be encoded.
//!
//! Owns what goes along with a change whose records are larger than their topic says that it takes. Only the broker
//! knows whether they are too large, because what it measures is compressed; so the change is sent, and what takes its
//! place is made beforehand, while its values are at hand. A table that is to be parked is parked when the change comes
//! again, after a restart of the ring at the checkpoint.
//! Never looks at a change of usual size but for one comparison. Such a change was counted as an event of its
//! transaction before it was refused.
//! Start reading at [`watch`].

use std::sync::Arc;

use walferry_event::{Lsn, Origin, SnapshotMark};
use walferry_kafka::{Judge, Oversize};

use super::{Encoder, policy::Context};
use crate::{
    builder::Builder,
    changes::{Bookmark, Change},
    config::Policy,
    dead_letter,
    error::Labels,
    parking::{Obstacle, Refused},
    relations::Plan,
    status::Status,
};

/// What a record needs beside its key and value, at most, where it is alone in its batch.
const ENVELOPE_BYTES: usize = 1024;

/// Watches over the records behind the bookmark, if they may be too large for their topic.
#[inline]
pub(super) fn watch(
    plan: &Plan,
    builder: &mut Builder,
    bookmark: &Bookmark,
    change: Change<'_>,
    origin: &Origin<'_>,
    context: &Context<'_>,
) {
    let bytes = bookmark.bytes_behind(builder.records());
    // A codec may add a little to what it cannot compress.
    let usual = (plan.record_bytes_max - plan.record_bytes_max / 64).saturating_sub(ENVELOPE_BYTES);
    if bytes > usual {
        let (held_bytes, judge) = judge(plan, bytes, change, origin, context);
        let records = bookmark.records_behind(builder.records());
        builder
            .records()
            .may_be_too_large(records, held_bytes, judge);
    }
}

#[cold]
fn judge(
    plan: &Plan,
    bytes: usize,
    change: Change<'_>,
    origin: &Origin<'_>,
    context: &Context<'_>,
) -> (usize, Judge) {
    let refusal = Refusal {
        table: plan.name.clone(),
        topic: plan.topic.clone(),
        record_bytes_max: plan.record_bytes_max,
        lsn: origin.lsn,
        commit_lsn: origin.commit_lsn,
        xid: origin.xid,
        ordinal: origin.ordinal,
        connector: context.config.name.clone(),
        status: context.status.clone(),
    };
    match plan.policy {
        Policy::DeadLetter => {
            let error = ("too_large", refusal.reason(bytes));
            let topic = context.dead_letters;
            let letter = dead_letter::letter(plan, change, origin, (error.0, &error.1), topic);
            let held = letter.value.as_ref().map_or(0, Vec::len);
            let judge = move |bytes, asked| {
                if asked > 0 {
                    return Oversize::Stop(format!(
                        "{}: its dead letter of {bytes} bytes is larger than topic {:?} takes as well: raise that \
                         topic's max.message.bytes",
                        refusal.place(),
                        letter.topic
                    ));
                }
                refusal.count();
                tracing::error!(table = &*refusal.table, lsn = %refusal.lsn, xid = refusal.xid,
                    error = refusal.reason(bytes), "dead letter");
                refusal.count_letter();
                Oversize::Replace(letter.clone())
            };
            (held, Box::new(judge))
        }
        Policy::Skip => {
            let judge = move |bytes, _| {
                refusal.count();
                tracing::error!(table = &*refusal.table, lsn = %refusal.lsn, xid = refusal.xid,
                    error = refusal.reason(bytes), "change skipped");
                Oversize::Skip
            };
            (0, Box::new(judge))
        }
        Policy::Park if origin.snapshot == SnapshotMark::Streamed => {
            let judge = move |bytes, _| {
                refusal.count();
                let reason = refusal.reason(bytes);
                let text = format!("{}: {reason}: the table is to be parked", refusal.place());
                refusal.status.parking.refuse(Refused {
                    table: refusal.table.to_string(),
                    commit_lsn: refusal.commit_lsn,
                    ordinal: refusal.ordinal,
                    reason,
                });
                Oversize::Restart(text)
            };
            (0, Box::new(judge))
        }
        Policy::Stop | Policy::Park => {
            // One that ends the connector is counted at its end.
            let judge = move |bytes, _| Oversize::Stop(refusal.stop(bytes));
            (0, Box::new(judge))
        }
    }
}

/// A change that is too large, for whoever has to hear of it; never its values.
struct Refusal {
    table: Arc<str>,
    topic: Arc<str>,
    record_bytes_max: usize,
    lsn: Lsn,
    commit_lsn: Lsn,
    xid: u32,
    ordinal: u64,
    connector: String,
    status: Arc<Status>,
}

impl Refusal {
    fn place(&self) -> String {
        match self.ordinal {
            0 => format!("table {}: a row of its snapshot", self.table),
            ordinal => format!(
                "table {}: a change at {} (commit {}, xid {}, ordinal {ordinal})",
                self.table, self.lsn, self.commit_lsn, self.xid
            ),
        }
    }

    fn reason(&self, bytes: usize) -> String {
        format!(
            "a record of {bytes} bytes is larger than topic {:?} takes: max.message.bytes = {}",
            self.topic, self.record_bytes_max
        )
    }

    fn stop(&self, bytes: usize) -> String {
        format!(
            "{} cannot be published: {}; raise it (kafka-configs --alter --topic {} --add-config max.message.bytes={}), \
             or set errors = \"park\", \"dead-letter\" or \"skip\" for this table",
            self.place(),
            self.reason(bytes),
            self.topic,
            (bytes + ENVELOPE_BYTES).next_power_of_two()
        )
    }

    fn count(&self) {
        self.status.count_error(Labels {
            stage: "publish",
            kind: "too_large",
        });
    }

    fn count_letter(&self) {
        self.status.count_dead_letter();
        metrics::counter!("walferry_dead_letters_total", "connector" => self.connector.clone(),
            "table" => self.table.to_string())
        .increment(1);
    }
}

impl Encoder {
    /// Parks the table of a change that Kafka has refused for its size before. Whether it was one.
    pub(super) fn parks_again(&mut self, oid: u32, (commit_lsn, ordinal): (Lsn, u64)) -> bool {
        if self.refused.is_empty() {
            return false;
        }
        let Some(table) = self.relations.name(oid) else {
            return false;
        };
        let is_it = |it: &Refused| {
            (it.commit_lsn, it.ordinal) == (commit_lsn, ordinal) && it.table == table
        };
        let Some(at) = self.refused.iter().position(is_it) else {
            return false;
        };
        let obstacle = Obstacle {
            reason: self.refused.swap_remove(at).reason,
            offers: Vec::new(),
        };
        self.park(&table, obstacle, (commit_lsn, ordinal));
        true
    }
}
