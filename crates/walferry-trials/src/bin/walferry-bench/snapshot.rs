//! Snapshots: rows a second against `COPY … TO STDOUT` to nowhere, many tables, wide rows, freshness beside one.
//!
//! Owns: the figures of its four measurements. A snapshot lasts from the start of the process, which has neither slot nor
//! topic, to the moment when the process says that all rows are committed; then the topics are counted with
//! `read_committed`, outside of the time. As with the drain, a first round warms the servers up.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use walferry_testkit::checker::Session;
use walferry_testkit::load::bench;
use walferry_testkit::process::{Settings, Usage, Walferry, binary, print_line};
use walferry_testkit::topics::Reader;

use crate::{ASK_EVERY, Bench, READY, median};

/// A snapshot that takes longer is given up.
const TAKEN: Duration = Duration::from_secs(900);
/// `memory_bytes_max` of the wide rows.
const MEMORY_BYTES: u64 = 64 << 20;
const MIB: f64 = (1 << 20) as f64;

/// What one snapshot took.
struct Taken {
    elapsed: Duration,
    process: Usage,
    broker_cpu_seconds: f64,
}

impl Bench {
    /// The seven columns, by one reader and by two, each after a bare `COPY` of the same table.
    pub(crate) fn snapshot_speed(&self, rows: u64, rounds: usize) -> Result<()> {
        let mut session = Session::connect(&self.url)?;
        session.execute("truncate public.bench")?;
        bench::fill(&self.url, 1, rows)?;
        session.execute("vacuum analyze public.bench")?;
        session.execute("checkpoint")?;
        print_line(&format!("snapshot of {rows} rows, 7 columns"));
        print_line(
            "  round readers  COPY rows/s  walferry rows/s  ratio  CPU s/M: process broker  peak RSS MiB",
        );
        let mut ratios = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for readers in [1, 2] {
                let begun = Instant::now();
                session.copy_to_nowhere("copy public.bench to stdout")?;
                let copy = begun.elapsed();
                let name = format!("speed{round}x{readers}");
                let mut settings = self.settings_of(&name, &["public.bench"])?;
                settings.set("snapshot.readers", &readers.to_string());
                let taken = self.take(&settings, &["public.bench"], rows)?;
                let million = rows as f64 / 1e6;
                let ratio = copy.as_secs_f64() / taken.elapsed.as_secs_f64();
                print_line(&format!(
                    "{:>7} {readers:>7} {:>12.0} {:>16.0} {ratio:>6.2} {:>16.2} {:>6.2} {:>13.1}",
                    if round == 0 {
                        "warm up".to_owned()
                    } else {
                        round.to_string()
                    },
                    rows as f64 / copy.as_secs_f64(),
                    rows as f64 / taken.elapsed.as_secs_f64(),
                    taken.process.cpu_seconds / million,
                    taken.broker_cpu_seconds / million,
                    taken.process.rss_peak_bytes as f64 / MIB,
                ));
                if round > 0 {
                    ratios[readers - 1].push(ratio);
                }
            }
        }
        let [one, two] = ratios.map(median);
        print_line(&format!("median ratio: one reader {one:.2}, two {two:.2}"));
        Ok(())
    }

    /// Many small tables.
    pub(crate) fn snapshot_of_tables(&self, tables: u32, rows: u32) -> Result<()> {
        let mut session = Session::connect(&self.url)?;
        session.execute(&format!(
            "create schema many;
             do $$ begin
                for n in 1..{tables} loop
                   execute format('create table many.t%s (id int primary key, note text, at timestamptz)', n);
                   execute format('insert into many.t%s select i, md5(i::text), now() from generate_series(1, {rows}) i', n);
                end loop;
             end $$;
             analyze"
        ))?;
        let settings = self.settings_of("many", &["many.*"])?;
        let names: Vec<String> = (1..=tables).map(|n| format!("many.t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let taken = self.take(&settings, &names, u64::from(tables * rows))?;
        print_line(&format!(
            "snapshot of {tables} tables of {rows} rows: {:.1} s, CPU {:.1} s, peak RSS {:.1} MiB",
            taken.elapsed.as_secs_f64(),
            taken.process.cpu_seconds,
            taken.process.rss_peak_bytes as f64 / MIB
        ));
        session.execute("drop schema many cascade")
    }

    /// One table whose rows have 1 kB to 5 MB.
    pub(crate) fn snapshot_of_wide_rows(&self) -> Result<()> {
        let mut session = Session::connect(&self.url)?;
        session.execute(
            "create table public.wide (id serial primary key, body text not null);
             alter table public.wide alter column body set storage external;
             insert into public.wide (body)
                select (select string_agg(md5(size::text || i || n), '') from generate_series(0, size / 32) n)
                from (values (1000, 20000), (20000, 2000), (200000, 200), (1000000, 50), (5000000, 30)) kind (size, rows),
                     lateral generate_series(1, rows) i
                order by md5(size::text || i);
             analyze public.wide",
        )?;
        let mut settings = self.settings_of("wide", &["public.wide"])?;
        settings
            .set("publish.memory_bytes_max", &MEMORY_BYTES.to_string())
            .set(
                "kafka.topics.config",
                "{ \"max.message.bytes\" = \"10000000\" }",
            );
        let taken = self.take(&settings, &["public.wide"], 22_280)?;
        print_line(&format!(
            "snapshot of 22280 rows of 1 kB to 5 MB (300 MB): {:.1} s, peak RSS {:.1} MiB with memory_bytes_max {:.0} MiB",
            taken.elapsed.as_secs_f64(),
            taken.process.rss_peak_bytes as f64 / MIB,
            MEMORY_BYTES as f64 / MIB
        ));
        session.execute("drop table public.wide")
    }

    /// Freshness of a steady load while a snapshot that was asked for runs beside it.
    pub(crate) fn freshness_beside_a_snapshot(
        &self,
        rows: u64,
        rate: u64,
        seconds: u64,
    ) -> Result<()> {
        let name = "beside";
        let mut session = Session::connect(&self.url)?;
        session.execute("truncate public.bench")?;
        bench::fill(&self.url, 1, rows)?;
        session.execute(
            "create table public.history (like public.bench including all);
             insert into public.history select * from public.bench;
             truncate public.bench",
        )?;
        session.execute("vacuum analyze public.history")?;
        let mut settings = self.settings_of(name, &["public.bench", "public.history"])?;
        settings
            .set_text("snapshot.mode", "never")
            .set_text("admin.token", "bench");
        let mut walferry = Walferry::start(&settings, &self.folder)?;
        walferry.wait_ready(READY);
        let quiet = self.paced(&walferry, name, rate, seconds)?;
        print_line(&format!("no snapshot, {quiet}"));
        let file = settings.write(&self.folder)?;
        let asked = std::process::Command::new(binary()?)
            .args(["snapshot", "start", "public.history", "-c"])
            .arg(file)
            .output()?;
        ensure!(
            asked.status.success(),
            "snapshot start: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
        walferry.wait_status("the snapshot runs", READY, |it| snapshot_rows(it) > 0);
        let before = snapshot_rows(&walferry.status()?);
        let begun = Instant::now();
        let paced = self.paced(&walferry, name, rate, seconds)?;
        let status = walferry.status()?;
        let read = snapshot_rows(&status) - before;
        print_line(&format!(
            "beside a snapshot ({:.0} rows/s, {}), {paced}",
            read as f64 / begun.elapsed().as_secs_f64(),
            if done(&status) {
                "done before the end"
            } else {
                "running to the end"
            },
        ));
        walferry.sigterm();
        walferry.wait_exit(READY);
        self.drop_slot(name)?;
        session.execute("drop table public.history")
    }

    /// Starts a connector, waits until its snapshot is complete, ends it and counts what the topics hold.
    fn take(&self, settings: &Settings, tables: &[&str], rows: u64) -> Result<Taken> {
        let kafka = self.stack.kafka.pid().context("the broker is down")?;
        let broker_before = Usage::of(kafka).unwrap_or_default().cpu_seconds;
        let begun = Instant::now();
        let mut walferry = Walferry::start(settings, &self.folder)?;
        loop {
            if walferry.status().is_ok_and(|status| done(&status)) {
                break;
            }
            if let Some(status) = walferry.exited() {
                bail!("walferry ended ({status})\n{}", walferry.log_tail());
            }
            if begun.elapsed() > TAKEN {
                bail!("not complete after {TAKEN:?}\n{}", walferry.log_tail());
            }
            thread::sleep(ASK_EVERY);
        }
        let elapsed = begun.elapsed();
        let process = walferry.usage().context("walferry is gone")?;
        let broker = Usage::of(kafka).unwrap_or_default().cpu_seconds - broker_before;
        walferry.sigterm();
        walferry.wait_exit(READY);
        self.drop_slot(settings.name())?;
        let topics: Vec<String> = tables
            .iter()
            .map(|table| format!("{}.{table}", settings.name()))
            .collect();
        let count = Reader::open(&self.stack.kafka.brokers(), &topics)?.read_to_end(|_| Ok(()))?;
        ensure!(count == rows, "the topics hold {count} records, not {rows}");
        Ok(Taken {
            elapsed,
            process,
            broker_cpu_seconds: broker,
        })
    }
}

fn done(status: &serde_json::Value) -> bool {
    status["state"] == "streaming"
        && status["snapshot"]
            .as_array()
            .is_some_and(|tables| tables.iter().all(|table| table["state"] == "done"))
}

fn snapshot_rows(status: &serde_json::Value) -> u64 {
    let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
    tables.iter().filter_map(|it| it["rows"].as_u64()).sum()
}
