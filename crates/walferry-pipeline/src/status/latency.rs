//! How long changes take from the commit in PostgreSQL to the commit in Kafka, where that time goes, and what takes most of it.
//!
//! Owns the figures of the last minute, the totals for the metrics, and the comparison of the server's clock with ours. Never: asks a
//! server or the time of a change; the publisher tells of each batch, and the monitor of the clocks.
//! Invariant: the stages of a batch add up to its whole way, so their means add up to the mean of the whole.
//! Start reading at `Latency::count`.

mod bottleneck;
mod figures;
pub mod report;
pub(crate) mod server_clock;
mod spread;
pub(crate) mod stage;
pub mod totals;
pub(crate) mod work;

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::status::latency::{
    figures::{Figures, WINDOW},
    report::LatencyStatus,
    server_clock::Comparison,
    stage::Parts,
    totals::Totals,
    work::Work,
};

const SLICE: Duration = Duration::from_secs(10);

/// The latency of one connector.
#[derive(Debug)]
pub(crate) struct Latency {
    freshness_ms: AtomicI64,
    clocks: Mutex<Option<Comparison>>,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// The oldest first; none of a time in which nothing was published.
    slices: VecDeque<Slice>,
    totals: Totals,
}

/// A part of the window.
#[derive(Debug)]
struct Slice {
    begun: Instant,
    figures: Figures,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency {
            freshness_ms: AtomicI64::new(-1),
            clocks: Mutex::default(),
            account: Mutex::default(),
        }
    }
}

impl Latency {
    /// So many transactions spent so long in each stage, on average.
    pub(crate) fn count(&self, transactions: u64, parts: &Parts, now: Instant) {
        let mut account = lock(&self.account);
        account.totals.add(transactions, parts);
        let figures = account.now(now);
        figures.transactions += transactions;
        let times = u32::try_from(transactions).unwrap_or(u32::MAX);
        for (at, us) in parts.0.into_iter().enumerate() {
            figures.sums.0[at] += us.saturating_mul(transactions);
            figures.spreads[at].add(us, times);
        }
        figures.whole.add(parts.sum(), times);
    }

    /// The encode thread has spent so long on what is published now.
    pub(crate) fn count_work(&self, work: Work, now: Instant) {
        lock(&self.account).now(now).work += work;
    }

    /// The clocks were compared.
    pub(crate) fn compare(&self, newer: Comparison) {
        let mut clocks = lock(&self.clocks);
        *clocks = Some(clocks.map_or(newer, |known| known.or_newer(newer)));
    }

    /// By how many microseconds the server's clock is ahead of ours, as far as is known.
    pub(crate) fn server_ahead_us(&self) -> i64 {
        lock(&self.clocks).map_or(0, |it| it.ahead_us)
    }

    /// Age of the newest published transaction when it became readable; none before the first.
    pub(crate) fn freshness_ms(&self) -> Option<i64> {
        let freshness_ms = self.freshness_ms.load(Ordering::Relaxed);
        (freshness_ms >= 0).then_some(freshness_ms)
    }

    pub(crate) fn set_freshness_ms(&self, freshness_ms: i64) {
        self.freshness_ms
            .store(freshness_ms.max(0), Ordering::Relaxed);
    }

    /// The last minute.
    pub(crate) fn report(&self, now: Instant) -> LatencyStatus {
        let clocks = *lock(&self.clocks);
        let account = lock(&self.account);
        let mut all = Figures::default();
        for slice in account.slices.iter().filter(|it| it.is_of_window(now)) {
            all.merge(&slice.figures);
        }
        drop(account);
        LatencyStatus::of(&all, clocks)
    }

    /// Everything since the start.
    pub(crate) fn totals(&self) -> Totals {
        lock(&self.account).totals.clone()
    }
}

impl Account {
    /// What is counted into now.
    fn now(&mut self, now: Instant) -> &mut Figures {
        let current = self.slices.back();
        if current.is_none_or(|it| now.saturating_duration_since(it.begun) >= SLICE) {
            self.slices.retain(|it| it.is_of_window(now));
            self.slices.push_back(Slice {
                begun: now,
                figures: Figures::default(),
            });
        }
        let last = self.slices.len() - 1;
        &mut self.slices[last].figures
    }
}

impl Slice {
    fn is_of_window(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) < WINDOW
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A holder that panicked left at worst a figure too few.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::latency::stage::Stage;

    #[test]
    fn the_last_minute_is_told_and_the_totals_are_of_all_time() {
        let (latency, begun) = (Latency::default(), Instant::now());
        let mut parts = Parts::default();
        *parts.of_mut(Stage::Source) = 1_000;
        *parts.of_mut(Stage::Commit) = 3_000;
        latency.count(3, &parts, begun);
        *parts.of_mut(Stage::Network) = 400_000;
        latency.count(1, &parts, begun + SLICE);
        let told = latency.report(begun + SLICE);
        assert_eq!(told.transactions, 4);
        let means: f64 = told.stages.iter().map(|it| it.figures.mean_ms).sum();
        assert_eq!(told.end_to_end.unwrap().mean_ms, 104.0);
        assert!((means - 104.0).abs() < 0.01, "{means}");
        assert_eq!(told.bottleneck, Some("network"));
        assert_eq!(latency.report(begun + WINDOW).transactions, 1);
        let told = latency.report(begun + SLICE + WINDOW);
        assert_eq!((told.transactions, told.bottleneck), (0, None));
        let totals = latency.totals();
        assert_eq!(totals.transactions, 4);
        assert_eq!(totals.stage(Stage::Source).sum_us, 4_000);
    }
}
