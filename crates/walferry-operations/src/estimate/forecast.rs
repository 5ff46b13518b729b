//! From what was measured to figures and proposals.
//!
//! Owns each figure's name, unit and how it was got, and the rules behind the proposals; each rule is in its sentence. Never: asks a
//! server, so that a test can give it any load.
//! Start reading at `figures` and `proposals`.

use serde::Serialize;

use super::sample::TableSize;

/// What one partition is taken to carry with ease, in records' bytes a second.
const PARTITION_BYTES: f64 = (5 << 20) as f64;
/// The same, in records a second.
const PARTITION_RECORDS: f64 = 10_000.0;
/// Hours without the connector that the slot is to outlast.
const OUTAGE_HOURS: u64 = 24;
/// What a busy day may have above the time that was measured, in halves.
const RESERVE_HALVES: u64 = 3;
/// From a change's arrival to the commit in Kafka, at most, while Kafka is well.
const IN_FLIGHT_SECONDS: f64 = 1.0;
const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// A record that is larger than this part of the memory goes alone.
const RECORDS_IN_MEMORY: u64 = 8;

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is of.
    pub name: &'static str,
    /// In its unit.
    pub value: f64,
    /// `rows/s`, `bytes`, …
    pub unit: &'static str,
    /// How it was got.
    pub how: String,
}

/// A value for a key of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The key.
    pub key: &'static str,
    /// As the file has it.
    pub value: String,
    /// The rule, with its figures.
    pub why: String,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) changes: u64,
    pub(super) records: u64,
    pub(super) transactions: u64,
    pub(super) stream_bytes: u64,
    pub(super) avro_bytes: u64,
    pub(super) record_bytes_max: u64,
    /// Of the busiest second.
    pub(super) changes_peak: u64,
    pub(super) avro_bytes_peak: u64,
    /// Records of the busiest table, and their bytes.
    pub(super) busiest: (u64, u64),
    pub(super) busy_seconds: f64,
    pub(super) wal_bytes: u64,
    /// Sessions that a snapshot reads with.
    pub(super) readers: u32,
}

/// Seconds that one session would need to read all of the tables.
fn snapshot_seconds(sizes: &[TableSize]) -> Option<f64> {
    let mut seconds = 0.0;
    let (mut sampled_bytes, mut sampled_seconds) = (0.0, 0.0);
    for size in sizes {
        let Some(sample) = size.sample.as_ref().filter(|it| it.rows > 0) else {
            continue;
        };
        let share = sample.rows as f64 / size.rows_estimated.max(sample.rows) as f64;
        seconds += sample.seconds / share;
        sampled_bytes += size.bytes as f64 * share;
        sampled_seconds += sample.seconds;
    }
    if sampled_bytes == 0.0 {
        return None;
    }
    let sampled = |it: &&TableSize| it.sample.as_ref().is_some_and(|it| it.rows > 0);
    let others = sizes.iter().filter(|it| !sampled(it));
    let others: f64 = others.map(|it| it.bytes as f64).sum();
    Some(seconds + others * sampled_seconds / sampled_bytes)
}

pub(super) fn figures(measured: &Measured, sizes: &[TableSize]) -> Vec<Figure> {
    let m = measured;
    let mut figures = Vec::new();
    let mut figure = |name, value: f64, unit, how: &str| {
        figures.push(Figure {
            name,
            value: (value * 1000.0).round() / 1000.0,
            unit,
            how: how.to_owned(),
        });
    };
    let per_second = |count: u64| count as f64 / m.seconds.max(0.001);
    figure(
        "measured",
        m.seconds,
        "s",
        "while the slot was read, by this machine's clock",
    );
    figure(
        "changes",
        m.changes as f64,
        "rows",
        "inserts, updates, deletes and truncates of followed tables, counted in the stream",
    );
    figure(
        "change_rate",
        per_second(m.changes),
        "rows/s",
        "changes by the time",
    );
    figure(
        "change_rate_peak",
        m.changes_peak as f64,
        "rows/s",
        "changes that arrived in the busiest second",
    );
    figure(
        "transactions",
        m.transactions as f64,
        "transactions",
        "those with a change of a followed table",
    );
    figure(
        "record_rate",
        per_second(m.records),
        "records/s",
        "records that the changes become, tombstones among them",
    );
    figure(
        "stream_rate",
        per_second(m.stream_bytes),
        "bytes/s",
        "messages of the changes as PostgreSQL sends them",
    );
    figure(
        "avro_rate",
        per_second(m.avro_bytes),
        "bytes/s",
        "keys and values of the records, before Kafka compresses them",
    );
    figure(
        "record_bytes_max",
        m.record_bytes_max as f64,
        "bytes",
        "the largest key and value that came",
    );
    if m.busy_seconds > 0.0 && m.changes > 0 {
        figure(
            "encode_rate_max",
            m.changes as f64 / m.busy_seconds,
            "rows/s",
            "changes by the time that decoding and encoding took here, on one thread; the server's decoding is often slower",
        );
    }
    figure(
        "wal_rate",
        per_second(m.wal_bytes) * 3600.0,
        "bytes/h",
        "growth of the WAL (pg_current_wal_insert_lsn) of all databases of the server, scaled to an hour",
    );
    let rows: u64 = sizes.iter().map(|it| it.rows_estimated).sum();
    let bytes: u64 = sizes.iter().map(|it| it.bytes).sum();
    figure(
        "snapshot_rows",
        rows as f64,
        "rows",
        "the planner's statistics of the followed tables",
    );
    figure(
        "snapshot_bytes",
        bytes as f64,
        "bytes",
        "size of the followed tables with TOAST, without indexes",
    );
    let samples: Vec<_> = sizes.iter().filter_map(|it| it.sample.as_ref()).collect();
    let read: u64 = samples.iter().map(|it| it.rows).sum();
    let took: f64 = samples.iter().map(|it| it.seconds).sum();
    if let Some(seconds) = snapshot_seconds(sizes) {
        let of = format!(
            "read and encoded {read} rows of the {} largest tables in one session",
            samples.len()
        );
        figure(
            "snapshot_read_rate",
            read as f64 / took.max(0.000_001),
            "rows/s",
            &of,
        );
        figure(
            "snapshot_time_max",
            seconds,
            "s",
            "all rows at that rate, each table at its own where it was read, in one session",
        );
        figure(
            "snapshot_time_min",
            seconds / f64::from(m.readers.max(1)),
            "s",
            &format!(
                "the same with snapshot.readers = {}, were reading all that it waits for",
                m.readers
            ),
        );
    }
    figures
}

pub(super) fn proposals(measured: &Measured) -> Vec<Proposal> {
    let m = measured;
    let per_second = |count: u64| count as f64 / m.seconds.max(0.001);
    let (records, bytes) = m.busiest;
    // The busiest table has its part of the busiest second.
    let peak = match m.changes {
        0 => 1.0,
        changes => (m.changes_peak as f64 / per_second(changes)).max(1.0),
    };
    let by_bytes = per_second(bytes) * peak / PARTITION_BYTES;
    let by_records = per_second(records) * peak / PARTITION_RECORDS;
    let partitions = by_bytes.max(by_records).ceil().max(1.0) as u64;
    let in_flight = m.avro_bytes_peak as f64 * IN_FLIGHT_SECONDS * 8.0 / 5.0;
    let memory = (in_flight as u64)
        .max(m.record_bytes_max.saturating_mul(RECORDS_IN_MEMORY))
        .max(MEMORY_BYTES_MIN)
        .next_power_of_two();
    let wal_per_hour = (per_second(m.wal_bytes) * 3600.0) as u64;
    let kept = wal_per_hour.saturating_mul(OUTAGE_HOURS * RESERVE_HALVES / 2);
    let kept_gib = kept.div_ceil(1 << 30).max(1);
    vec![
        Proposal {
            key: "kafka.topics.partitions",
            value: partitions.to_string(),
            why: "the busiest topic in the busiest second, at 5 MiB/s and 10000 records/s a partition; changes of one key stay in order, those of \
                  different keys do not"
                .to_owned(),
        },
        Proposal {
            key: "publish.memory_bytes_max",
            value: format!("\"{} MiB\"", memory >> 20),
            why: format!(
                "one second of the busiest second's records in five eighths of it, and {RECORDS_IN_MEMORY} of the largest record; 64 MiB at least"
            ),
        },
        Proposal {
            key: "source.slot_retained_bytes_max",
            value: format!("\"{kept_gib} GiB\""),
            why: format!(
                "{OUTAGE_HOURS} hours without the connector at this rate of WAL and half as much again; the disk of the server has to have it \
                 free, and max_slot_wal_keep_size has to allow it"
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn size(rows: u64, bytes: u64, sample: Option<(u64, f64)>) -> TableSize {
        TableSize {
            name: "public.t".into(),
            rows_estimated: rows,
            bytes,
            key: Vec::new(),
            sample: sample.map(|(rows, seconds)| Sample {
                rows,
                seconds,
                ..Sample::default()
            }),
        }
    }

    #[test]
    fn a_snapshot_takes_what_its_tables_take() {
        // A tenth of the first in 2 s: 20 s; the second is as large as the first.
        let sizes = [
            size(1000, 4000, Some((100, 2.0))),
            size(7, 4000, None),
            size(0, 0, Some((0, 0.1))),
        ];
        assert_eq!(snapshot_seconds(&sizes), Some(40.0));
        assert_eq!(snapshot_seconds(&sizes[1..]), None);
    }

    #[test]
    fn proposals_follow_their_rules() {
        let measured = Measured {
            seconds: 60.0,
            changes: 60_000,
            records: 60_000,
            changes_peak: 30_000,
            avro_bytes_peak: 100 << 20,
            busiest: (60_000, 60 << 20),
            wal_bytes: 60 << 20,
            ..Measured::default()
        };
        let values: Vec<String> = proposals(&measured)
            .into_iter()
            .map(|it| it.value)
            .collect();
        // 30 MiB/s at the peak; 160 MiB in flight; 3.5 GiB an hour, 36 times.
        assert_eq!(values, ["6", "\"256 MiB\"", "\"127 GiB\""]);
        let quiet = proposals(&Measured::default());
        let values: Vec<String> = quiet.into_iter().map(|it| it.value).collect();
        assert_eq!(values, ["1", "\"64 MiB\"", "\"1 GiB\""]);
    }
}
