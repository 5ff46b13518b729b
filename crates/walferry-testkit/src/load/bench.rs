//! The table of the speed tests: seven columns, a hundred rows a transaction.
//!
//! Owns: `bench` of one schema: a bigint key, int, bigint, 50 characters of text, timestamptz, numeric(12,2), bool;
//! its filling at the server's own speed, and paced inserts whose sending times are kept for latencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::checker::Session;

/// Rows of one transaction of [`fill`].
pub const ROWS_PER_TRANSACTION: u64 = 100;

const COLUMNS: &str = "g, (g * 7919 % 1000000)::int, g * 1000003, \
    rpad(md5(g::text), 50, 'walferry'), clock_timestamp(), (g % 10000000)::numeric / 100, g % 3 = 0";

/// Creates the empty table and the procedure that fills it.
pub fn create_table(url: &str) -> Result<()> {
    Session::connect(url)?.execute(&format!(
        "create table public.bench (
            id bigint primary key, part int not null, big bigint not null, label text not null,
            at timestamptz not null, price numeric(12,2) not null, flag boolean not null);
         create procedure public.bench_fill(first bigint, last bigint) language plpgsql as $$
         begin
            for start in first .. last by {ROWS_PER_TRANSACTION} loop
               insert into public.bench select {COLUMNS}
               from generate_series(start::bigint, least(start + {ROWS_PER_TRANSACTION} - 1, last)) g;
               commit;
            end loop;
         end $$"
    ))
}

/// Inserts the rows `first..=last`, each hundred in a transaction of its own.
pub fn fill(url: &str, first: u64, last: u64) -> Result<Duration> {
    let begun = Instant::now();
    let mut session = Session::connect(url)?;
    session.execute("set synchronous_commit = off")?;
    session.execute(&format!("call public.bench_fill({first}, {last})"))?;
    Ok(begun.elapsed())
}

/// When each row was sent: microseconds since 1970 by row, from the first id on; 0 for not yet.
#[derive(Clone)]
pub struct SentTimes {
    first: u64,
    us: Arc<[AtomicI64]>,
}

impl SentTimes {
    /// For `rows` ids from `first` on.
    pub fn new(first: u64, rows: u64) -> SentTimes {
        SentTimes {
            first,
            us: (0..rows).map(|_| AtomicI64::new(0)).collect(),
        }
    }

    /// When a row was sent, if it is one of these and was sent.
    pub fn of(&self, id: u64) -> Option<i64> {
        let at = usize::try_from(id.checked_sub(self.first)?).ok()?;
        Some(self.us.get(at)?.load(Ordering::Acquire)).filter(|us| *us != 0)
    }

    /// How many rows these are.
    pub fn rows(&self) -> u64 {
        self.us.len() as u64
    }
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Inserts the rows at a pace, up to a thousand transactions a second, each begun when it is due. A row's time is taken
/// before its statement, which commits by itself, is sent. Returns how long it took.
pub fn paced(url: &str, rows_per_second: u64, times: &SentTimes) -> Result<Duration> {
    let mut session = Session::connect(url)?;
    let per_transaction = rows_per_second.div_ceil(1_000).max(1);
    let step = Duration::from_secs_f64(per_transaction as f64 / rows_per_second as f64);
    let begun = Instant::now();
    let mut due = begun;
    let mut next = 0;
    while next < times.rows() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += step;
        let last = (next + per_transaction).min(times.rows());
        let us = now_us();
        for row in &times.us[next as usize..last as usize] {
            row.store(us, Ordering::Release);
        }
        let (first_id, last_id) = (times.first + next, times.first + last - 1);
        session.execute(&format!(
            "insert into public.bench select {COLUMNS} from generate_series({first_id}::bigint, {last_id}) g"
        ))?;
        next = last;
    }
    Ok(begun.elapsed())
}
