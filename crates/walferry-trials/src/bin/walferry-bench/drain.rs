//! The drain of a backlog, against a bare reader of the same slot's stream.
//!
//! Owns: the figures of [`Bench::drain`]. All slots are created before the one load, so that bare reader and Walferry take the
//! same WAL in turn. The first round warms the servers up, which compile their code while they run, and is no part of the median. A run lasts from the start of the process to the moment when the last row is readable with
//! `read_committed`. CPU is read from `/proc`, for the whole run, as seconds per million rows.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use walferry_testkit::checker::{Session, quote_literal};
use walferry_testkit::load::{BareReader, bench};
use walferry_testkit::process::{Settings, Usage, Walferry, print_line};
use walferry_testkit::topics::{Ends, Reader, key_long};

use crate::{ASK_EVERY, Bench, READY, median};

/// A drain slower than this many rows a second is given up.
const ROWS_PER_SECOND_MIN: u64 = 2_000;

/// What one run of Walferry took.
struct Drain {
    elapsed: Duration,
    first_record: Duration,
    process: Usage,
    walsender_cpu_seconds: f64,
    broker_cpu_seconds: f64,
}

impl Bench {
    pub(crate) fn drain(&self, rows: u64, rounds: usize) -> Result<()> {
        let mut runs = Vec::new();
        for round in 0..=rounds {
            let bare = BareReader::create(&self.url, &format!("bare_{round}"), "bare")?;
            runs.push((bare, self.prepare(&format!("drain{round}"))?));
        }
        let filled = bench::fill(&self.url, 1, rows)?;
        // The load's own work in the background must not disturb the first run.
        let mut session = Session::connect(&self.url)?;
        session.execute("vacuum analyze public.bench")?;
        session.execute("checkpoint")?;
        print_line(&format!(
            "drain of {rows} rows, 7 columns, {} a transaction (written in {:.1} s)",
            bench::ROWS_PER_TRANSACTION,
            filled.as_secs_f64()
        ));
        print_line(
            "  round  bare rows/s  walferry rows/s  ratio  CPU s/M: process walsender broker (bare's walsender)  \
             peak RSS MiB  first record ms",
        );
        let mut figures = Vec::new();
        for (round, (bare, settings)) in runs.iter().enumerate() {
            let bare = bare.run(rows)?;
            let walferry = self.drain_once(settings, rows)?;
            let million = rows as f64 / 1e6;
            let figure = [
                rows as f64 / bare.elapsed.as_secs_f64(),
                rows as f64 / walferry.elapsed.as_secs_f64(),
                bare.elapsed.as_secs_f64() / walferry.elapsed.as_secs_f64(),
                walferry.process.cpu_seconds / million,
                walferry.walsender_cpu_seconds / million,
                walferry.broker_cpu_seconds / million,
                bare.walsender_cpu_seconds / million,
                walferry.process.rss_peak_bytes as f64 / f64::from(1 << 20),
                walferry.first_record.as_secs_f64() * 1e3,
            ];
            if round == 0 {
                print_line(&drain_line("warm up", &figure));
            } else {
                print_line(&drain_line(&round.to_string(), &figure));
                figures.push(figure);
            }
        }
        let middle: [f64; 9] =
            std::array::from_fn(|at| median(figures.iter().map(|figure| figure[at]).collect()));
        print_line(&drain_line("median", &middle));
        for (bare, settings) in runs {
            bare.drop_slot(&self.url)?;
            self.drop_slot(settings.name())?;
        }
        Ok(())
    }

    fn drain_once(&self, settings: &Settings, rows: u64) -> Result<Drain> {
        let topic = format!("{}.public.bench", settings.name());
        let kafka = self.stack.kafka.pid().context("the broker is down")?;
        let broker_before = Usage::of(kafka).unwrap_or_default().cpu_seconds;
        let ends = Ends::open(&self.stack.kafka.brokers())?;
        let mut session = Session::connect(&self.url)?;
        let walsender_sql = format!(
            "select active_pid from pg_replication_slots where slot_name = {}",
            quote_literal(&format!("walferry_{}", settings.name()))
        );
        let limit = Duration::from_secs(30 + rows / ROWS_PER_SECOND_MIN);
        let begun = Instant::now();
        let mut walferry = Walferry::start(settings, &self.folder)?;
        let (mut walsender, mut first_record) = (None, None);
        let mut readable = 0;
        // Offsets count the marks of transactions too, so the last row is near when the end has reached the count.
        while (readable as u64) < rows {
            if let Some(status) = walferry.exited() {
                bail!("walferry ended ({status})\n{}", walferry.log_tail());
            }
            if begun.elapsed() > limit {
                bail!(
                    "{readable} of {rows} after {limit:?}\n{}",
                    walferry.log_tail()
                );
            }
            thread::sleep(if first_record.is_none() {
                Duration::from_millis(5)
            } else {
                ASK_EVERY
            });
            readable = ends.of(&topic, 0).map_or(0, |(_, end)| end);
            if readable > 0 && first_record.is_none() {
                first_record = Some(begun.elapsed());
            }
            if walsender.is_none() && readable > 0 {
                let pid = session.value(&walsender_sql)?;
                walsender = pid.and_then(|pid| pid.parse::<u32>().ok());
            }
        }
        let reader = Reader::open_at(&self.stack.kafka.brokers(), &topic, 0, rows as i64 - 1)?;
        loop {
            let message = reader.next(Duration::from_secs(1))?;
            if message.as_ref().and_then(key_long) == Some(rows as i64) {
                break;
            }
            if begun.elapsed() > limit {
                bail!(
                    "the last row is not readable after {limit:?}\n{}",
                    walferry.log_tail()
                );
            }
        }
        let elapsed = begun.elapsed();
        let process = walferry.usage().context("walferry is gone")?;
        let walsender = walsender.and_then(Usage::of).unwrap_or_default();
        let broker = Usage::of(kafka).unwrap_or_default().cpu_seconds - broker_before;
        walferry.sigterm();
        walferry.wait_exit(READY);
        Ok(Drain {
            elapsed,
            first_record: first_record.unwrap_or(elapsed),
            process,
            walsender_cpu_seconds: walsender.cpu_seconds,
            broker_cpu_seconds: broker,
        })
    }
}

fn drain_line(round: &str, figure: &[f64; 9]) -> String {
    format!(
        "{round:>7} {:>11.0} {:>16.0} {:>6.2} {:>16.2} {:>9.2} {:>6.2} {:>19.2} {:>13.1} {:>16.0}",
        figure[0],
        figure[1],
        figure[2],
        figure[3],
        figure[4],
        figure[5],
        figure[6],
        figure[7],
        figure[8]
    )
}
