//! A seeded load of every kind of change over three tables, by several connections.
//!
//! Owns: the tables `orders`, `items`, `documents` of one schema, the writer threads, the counts. Never: two writers
//! on one row, so no deadlock and no wait. Same seed and options, same statements of each writer; their interleaving is
//! the server's. A lost connection is made anew and the writer's keys are read again, since its last commit is in doubt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::options::MixedOptions;
use super::writer::Writer;
use crate::checker::Session;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Transactions that were committed as far as the writers know.
    pub committed: u64,
    /// Transactions that were rolled back on purpose.
    pub rolled_back: u64,
    /// Statements in committed transactions.
    pub statements: u64,
    /// Transactions that failed, for instance because the server was killed.
    pub failed: u64,
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) committed: AtomicU64,
    pub(super) rolled_back: AtomicU64,
    pub(super) statements: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// A load that runs until it is stopped.
pub struct MixedLoad {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    writers: Vec<JoinHandle<()>>,
}

impl MixedLoad {
    /// The tables' names, `schema.table`.
    pub fn tables(schema: &str) -> Vec<String> {
        ["orders", "items", "documents"]
            .iter()
            .map(|table| format!("{schema}.{table}"))
            .collect()
    }

    /// Creates the empty tables.
    pub fn create_tables(url: &str, schema: &str) -> Result<()> {
        Session::connect(url)?.execute(&format!(
            "create schema if not exists {schema};
             create table {schema}.orders (
                id bigint primary key, writer int not null, customer int, note text,
                amount numeric(12,2) not null, placed_at timestamptz not null default now(), paid boolean);
             create table {schema}.items (
                order_id bigint, line int, writer int not null, sku varchar(40), quantity smallint,
                price numeric, ratio double precision, added date, doc jsonb, primary key (order_id, line));
             create table {schema}.documents (
                name text primary key, writer int not null, body text, digest bytea, version int not null,
                changed timestamp);
             alter table {schema}.documents alter column body set storage external"
        ))
    }

    /// A statement of one small transaction, for `drain`.
    pub fn last_statement(schema: &str) -> String {
        format!(
            "insert into {schema}.orders (id, writer, amount) \
             select least(min(id), 0) - 1, -1, 0 from {schema}.orders"
        )
    }

    /// Starts the writers on tables that exist.
    pub fn start(url: &str, options: &MixedOptions) -> Result<MixedLoad> {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let mut writers = Vec::new();
        for number in 0..options.writers {
            let (stop, tally) = (stop.clone(), tally.clone());
            let (options, url) = (options.clone(), url.to_owned());
            let writing = move || write(&url, number, &options, &stop, &tally);
            writers.push(
                thread::Builder::new()
                    .name(format!("load-{number}"))
                    .spawn(writing)?,
            );
        }
        Ok(MixedLoad {
            stop,
            tally,
            writers,
        })
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            committed: count(&self.tally.committed),
            rolled_back: count(&self.tally.rolled_back),
            statements: count(&self.tally.statements),
            failed: count(&self.tally.failed),
        }
    }

    /// Ends the load after each writer's present transaction.
    pub fn stop(mut self) -> Counts {
        self.halt();
        self.counts()
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writers
            .drain(..)
            .for_each(|writer| drop(writer.join()));
    }
}

impl Drop for MixedLoad {
    fn drop(&mut self) {
        self.halt();
    }
}

fn write(url: &str, number: u32, options: &MixedOptions, stop: &AtomicBool, tally: &Tally) {
    let mut random = StdRng::seed_from_u64(options.seed ^ (u64::from(number) << 32));
    let mut writer = Writer::new(number, options.clone());
    let mut session: Option<Session> = None;
    let pause = options
        .transactions_per_second
        .map(|rate| Duration::from_secs_f64(f64::from(options.writers) / rate.max(0.001)));
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if let Some(pause) = pause {
            due = (due + pause).max(Instant::now() - Duration::from_secs(1));
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let connected = match &mut session {
            Some(session) => session,
            None => match Session::connect(url).and_then(|mut fresh| {
                writer.reload(&mut fresh)?;
                Ok(fresh)
            }) {
                Ok(fresh) => session.insert(fresh),
                Err(_) => {
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            },
        };
        let plan = writer.plan(&mut random);
        if connected.execute(&plan.sql).is_err() {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            session = None;
            continue;
        }
        if plan.commits {
            tally.committed.fetch_add(1, Ordering::Relaxed);
            tally
                .statements
                .fetch_add(u64::from(plan.statements), Ordering::Relaxed);
            writer.keep(plan);
        } else {
            tally.rolled_back.fetch_add(1, Ordering::Relaxed);
        }
        if random.random_ratio(1, 64) {
            thread::yield_now();
        }
    }
}
