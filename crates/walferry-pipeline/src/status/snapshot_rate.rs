//! How fast a table is read, and how long the rest will take.
//!
//! Owns the memory of the last seconds. Pure: the time is an argument.
//! Invariant: a rate is of what was committed, and sinks when nothing more is.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::position::{
    snapshot_id::SnapshotId,
    snapshot_progress::{self, Progress, TableProgress, TableState},
};

/// What the rate is taken over.
const WINDOW: Duration = Duration::from_secs(15);
/// Samples are at least this far apart.
const APART: Duration = Duration::from_millis(250);
/// How often progress is told in the log.
const TOLD: Duration = Duration::from_secs(10);

/// How fast the tables of all snapshots are read.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    tables: HashMap<(SnapshotId, String), VecDeque<(Instant, u64)>>,
    told: Option<Instant>,
}

impl Rates {
    /// Notes what has been committed by now. Whether it is time to tell.
    pub(crate) fn note(&mut self, progress: &Progress, now: Instant) -> bool {
        let key = |it: &TableProgress| (it.id.clone(), it.name.clone());
        let running = |it: &&snapshot_progress::TableJob| it.shown.state == TableState::Running;
        let mut tables = HashMap::new();
        for job in progress.tables.iter().filter(running) {
            let mut samples = self.tables.remove(&key(&job.shown)).unwrap_or_default();
            let last = samples
                .back()
                .map(|(at, _)| now.saturating_duration_since(*at));
            if last.is_none_or(|apart| apart >= APART) {
                samples.push_back((now, job.shown.rows));
            }
            // The oldest sample is just outside of the window, so that the window is covered.
            while samples
                .get(1)
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW)
            {
                samples.pop_front();
            }
            tables.insert(key(&job.shown), samples);
        }
        let due = !tables.is_empty()
            && self
                .told
                .is_none_or(|at| now.saturating_duration_since(at) >= TOLD);
        self.tables = tables;
        if due {
            self.told = Some(now);
        }
        due
    }

    /// Rows a second of a table that is being read, once that can be told.
    pub(crate) fn rows_per_second(&self, table: &TableProgress, now: Instant) -> Option<u64> {
        let samples = self.tables.get(&(table.id.clone(), table.name.clone()))?;
        let (at, rows) = samples.front()?;
        let seconds = now.saturating_duration_since(*at).as_secs_f64();
        (seconds >= APART.as_secs_f64())
            .then(|| (table.rows.saturating_sub(*rows) as f64 / seconds).round() as u64)
    }

    /// Seconds until its end at that rate, as far as the estimate of its rows goes.
    pub(crate) fn seconds_left(&self, table: &TableProgress, now: Instant) -> Option<u64> {
        let rate = self.rows_per_second(table, now).filter(|rate| *rate > 0)?;
        let left = table.rows_estimated.checked_sub(table.rows)?;
        Some(left.div_ceil(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::snapshot_progress::TableJob;

    #[test]
    fn the_rate_is_of_the_last_seconds_and_sinks_when_nothing_comes() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut job = TableJob::new("public.t".into(), SnapshotId::Initial, 10_000);
        job.shown.state = TableState::Running;
        let mut progress = Progress {
            tables: vec![job],
            ..Progress::default()
        };
        let mut rates = Rates::default();
        assert!(rates.note(&progress, at(0)), "it is told at once");
        assert_eq!(
            rates.rows_per_second(&progress.tables[0].shown, at(0)),
            None
        );
        for second in 1..=30 {
            progress.tables[0].shown.rows += if second <= 10 { 1_000 } else { 100 };
            let told = rates.note(&progress, at(second));
            assert_eq!(told, second % 10 == 0, "{second}");
        }
        let shown = &progress.tables[0].shown;
        assert_eq!(rates.rows_per_second(shown, at(30)), Some(100));
        assert_eq!(
            rates.seconds_left(shown, at(30)),
            None,
            "it has more rows than were thought"
        );
        assert_eq!(rates.rows_per_second(shown, at(60)), Some(35));
        progress.tables[0].shown.rows_estimated = 22_000;
        let shown = &progress.tables[0].shown;
        assert_eq!(rates.seconds_left(shown, at(30)), Some(100));
        progress.tables[0].shown.state = TableState::Done;
        assert!(!rates.note(&progress, at(61)));
        assert_eq!(
            rates.rows_per_second(&progress.tables[0].shown, at(61)),
            None
        );
    }
}
