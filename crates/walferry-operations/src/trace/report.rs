//! What a search says: plain data, serialised as it stands, and one sentence.
//!
//! Owns the shapes, whose names are a contract, and the judgement of where a transaction waits that is in no topic.
//! Start reading at `TraceReport::new`.

use serde::Serialize;
use walferry_event::Lsn;
use walferry_kafka::rfc3339;

use crate::trace::{
    find::{Found, FoundTransaction},
    progress::Progress,
    question::Trace,
    what::What,
};

/// Offsets that are listed of a partition; first, last and their number are told of all.
const OFFSETS_MAX: usize = 1_000;

/// Where it is.
#[derive(Clone, Debug, Serialize)]
pub struct TraceReport {
    /// `committed`: it is in the topics. Otherwise where it waits: `running` (not committed in PostgreSQL), `source` (the connector has not
    /// received it), `encode`, `publish`; or `rolled back`, `nothing published`, `future`, `unknown`.
    pub state: &'static str,
    /// The same in one sentence.
    pub sentence: String,
    /// Up to where the topics hold everything.
    pub checkpoint: Lsn,
    /// What was found; of a key the newest transactions, the newest first.
    pub transactions: Vec<TracedTransaction>,
}

/// A transaction in the topics.
#[derive(Clone, Debug, Serialize)]
pub struct TracedTransaction {
    /// Its id: `source.txId`.
    pub xid: u32,
    /// Of its first and its last change: `source.lsn`.
    pub lsn_first: Lsn,
    /// See `lsn_first`.
    pub lsn_last: Lsn,
    /// When it committed in PostgreSQL, by the server's clock.
    pub committed_at: Option<String>,
    /// When the first and the last of its changes were encoded.
    pub encoded_at: Option<[String; 2]>,
    /// When the first and the last of its records were sent to Kafka.
    pub sent_at: Option<[String; 2]>,
    /// Milliseconds from the commit until the last change was encoded.
    pub commit_to_encoded_ms: Option<f64>,
    /// Milliseconds from there until the last record was sent.
    pub encoded_to_sent_ms: Option<f64>,
    /// Where its records are.
    pub places: Vec<TracedPlace>,
}

/// Its records in a partition. Tombstones behind deletes and records of moved keys are not counted.
#[derive(Clone, Debug, Serialize)]
pub struct TracedPlace {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the first.
    pub first: i64,
    /// The offset of the last.
    pub last: i64,
    /// How many there are.
    pub records: usize,
    /// The offsets, the first 1 000.
    pub offsets: Vec<i64>,
}

/// What PostgreSQL says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Servers {
    pub(crate) wal_end: Option<Lsn>,
    pub(crate) slot_confirmed: Option<Lsn>,
    /// Of the transaction that was asked for.
    pub(crate) outcome: Option<String>,
}

impl TraceReport {
    pub(crate) fn new(
        trace: &Trace,
        found: Vec<FoundTransaction>,
        held: Lsn,
        servers: Option<Servers>,
    ) -> TraceReport {
        let transactions: Vec<_> = found.into_iter().map(TracedTransaction::of).collect();
        let (state, sentence) = match transactions.first() {
            Some(newest) => ("committed", newest.sentence()),
            None => waits(trace, held, &servers.unwrap_or_default()),
        };
        TraceReport {
            state,
            sentence,
            checkpoint: held,
            transactions,
        }
    }
}

/// Where something waits that is in no topic.
fn waits(trace: &Trace, held: Lsn, servers: &Servers) -> (&'static str, String) {
    let progress = trace.progress.as_ref();
    let why = Why {
        looked: format!(
            "the {} records around where it would be were looked at (--records)",
            trace.records_max
        ),
        connector: progress.map_or_else(
            || "no connector answers at admin.listen".to_owned(),
            Progress::words,
        ),
    };
    let end = servers.wal_end.unwrap_or(held);
    match &trace.what {
        What::Key(_) => {
            let records = trace.records_max;
            let text = format!(
                "No change of this key is among the last {records} records of each partition (--records)."
            );
            ("unknown", text)
        }
        What::Lsn(lsn) if *lsn <= held => {
            let looked = &why.looked;
            let text = format!(
                "The topics hold everything up to {held}, and no record of {lsn}; {looked}."
            );
            ("nothing published", text)
        }
        What::Lsn(lsn) if *lsn > end => (
            "future",
            format!("PostgreSQL's WAL ends at {end}: nothing has {lsn} yet."),
        ),
        What::Lsn(lsn) => ahead(*lsn, progress, servers.slot_confirmed.unwrap_or(held), &why),
        What::Xid(xid) => {
            let left = end.0.saturating_sub(held.0);
            unseen(*xid, servers.outcome.as_deref(), left, &why)
        }
    }
}

/// What is said besides.
struct Why {
    looked: String,
    connector: String,
}

/// Of an LSN between the checkpoint and the end of the WAL.
fn ahead(lsn: Lsn, progress: Option<&Progress>, slot: Lsn, why: &Why) -> (&'static str, String) {
    let connector = &why.connector;
    match progress {
        Some(it) if lsn <= it.published => (
            "publish",
            format!(
                "{lsn} was given to Kafka, and its Kafka transaction is not committed; {connector}."
            ),
        ),
        Some(it) if lsn <= it.received => (
            "encode",
            format!("{lsn} was received, and is not published; {connector}."),
        ),
        _ => {
            let bytes = lsn.0.saturating_sub(slot.0);
            let text = format!(
                "{lsn} is not received: the slot stands at {slot}, {bytes} bytes before it; {connector}."
            );
            ("source", text)
        }
    }
}

/// Of a transaction id, with so much of the WAL left to read.
fn unseen(xid: u32, outcome: Option<&str>, left_bytes: u64, why: &Why) -> (&'static str, String) {
    let Why { looked, connector } = why;
    match outcome {
        Some("in progress") => (
            "running",
            format!(
                "Transaction {xid} is still running in PostgreSQL: nothing of it is published before it commits."
            ),
        ),
        Some("aborted") => (
            "rolled back",
            format!("Transaction {xid} was rolled back: nothing of it is published."),
        ),
        Some(_) if left_bytes > 0 => (
            "source",
            format!(
                "Transaction {xid} has committed in PostgreSQL, and is in no topic: it is among the {left_bytes} bytes of WAL behind the \
                 checkpoint, or nothing of it is published; {connector}; {looked}."
            ),
        ),
        Some(_) => (
            "nothing published",
            format!(
                "Transaction {xid} has committed, and the topics hold everything: it has changed no table that is followed; {looked}."
            ),
        ),
        None => (
            "unknown",
            format!(
                "Transaction {xid} is in no topic, and PostgreSQL does not know it: it is too old, or has not begun; {looked}."
            ),
        ),
    }
}

impl TracedTransaction {
    fn of(found: FoundTransaction) -> TracedTransaction {
        let all = || found.records.values().flatten();
        let ends = |pick: fn(&Found) -> Option<i64>| {
            let known = || all().filter_map(pick);
            known().min().zip(known().max())
        };
        let texts = |(first, last): (i64, i64)| [rfc3339(first), rfc3339(last)];
        let lsns = ends(|it| it.change.lsn.map(|it| it as i64)).unwrap_or_default();
        let commit_us = all().find_map(|it| it.change.commit_us);
        let encoded = ends(|it| it.change.encoded_us);
        let sent = ends(|it| it.sent_ms.map(|ms| ms.saturating_mul(1_000)));
        let between = |from: Option<i64>, to: Option<(i64, i64)>| {
            let (_, last) = to?;
            Some((last - from?) as f64 / 1e3)
        };
        let places = found.records.iter().map(|((topic, partition), records)| {
            let offsets = records.iter().map(|it| it.offset);
            TracedPlace {
                topic: topic.clone(),
                partition: *partition,
                first: records.first().map_or(0, |it| it.offset),
                last: records.last().map_or(0, |it| it.offset),
                records: records.len(),
                offsets: offsets.take(OFFSETS_MAX).collect(),
            }
        });
        TracedTransaction {
            xid: found.xid,
            lsn_first: Lsn(lsns.0 as u64),
            lsn_last: Lsn(lsns.1 as u64),
            committed_at: commit_us.map(rfc3339),
            encoded_at: encoded.map(texts),
            sent_at: sent.map(texts),
            commit_to_encoded_ms: between(commit_us, encoded),
            encoded_to_sent_ms: between(encoded.map(|it| it.1), sent),
            places: places.collect(),
        }
    }

    fn sentence(&self) -> String {
        let records: usize = self.places.iter().map(|it| it.records).sum();
        format!(
            "Transaction {} is in Kafka: {records} records in {} partitions.",
            self.xid,
            self.places.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(what: What, progress: Option<Progress>, outcome: Option<&str>) -> &'static str {
        let trace = Trace {
            what,
            table: None,
            records_max: 1_000,
            progress,
        };
        let servers = Servers {
            wal_end: Some(Lsn(1_000)),
            slot_confirmed: Some(Lsn(90)),
            outcome: outcome.map(str::to_owned),
        };
        let (state, sentence) = waits(&trace, Lsn(100), &servers);
        assert!(sentence.ends_with('.'), "{sentence}");
        state
    }

    #[test]
    fn what_is_in_no_topic_waits_somewhere() {
        let running = || {
            Some(Progress {
                state: "streaming".into(),
                received: Lsn(500),
                published: Lsn(300),
                ..Progress::default()
            })
        };
        for (lsn, state) in [
            (50, "nothing published"),
            (200, "publish"),
            (400, "encode"),
            (600, "source"),
            (2_000, "future"),
        ] {
            assert_eq!(told(What::Lsn(Lsn(lsn)), running(), None), state, "{lsn}");
        }
        assert_eq!(told(What::Lsn(Lsn(400)), None, None), "source");
        for (outcome, state) in [
            (Some("in progress"), "running"),
            (Some("aborted"), "rolled back"),
            (Some("committed"), "source"),
            (None, "unknown"),
        ] {
            assert_eq!(told(What::Xid(7), running(), outcome), state);
        }
        let key = serde_json::Map::new();
        assert_eq!(told(What::Key(key), None, None), "unknown");
    }
}
