//! Measures the drain of a backlog against a bare reader of the same slot's stream, and latencies at a pace.
//!
//! Owns: servers of its own, the load, the figures. All slots are created before the one load, so that bare reader and
//! Walferry take the same WAL in turn. A Walferry run lasts from its start to the moment when the last row is readable
//! with `read_committed`. CPU is read from `/proc`, for the whole run, as seconds per million rows.
//!
//! `walferry-bench [--rows N] [--rounds N] [--postgres MAJOR] [--latency-seconds N] [--rates N,N] [--only drain|latency]`

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use walferry_testkit::checker::{Session, quote_literal};
use walferry_testkit::load::bench::{self, SentTimes};
use walferry_testkit::load::{self, BareReader};
use walferry_testkit::process::{Arguments, Settings, Usage, Walferry, machine_cores, print_line};
use walferry_testkit::stack::{POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::topics::{Ends, Reader, key_long};

const READY: Duration = Duration::from_secs(60);
/// A drain slower than this many rows a second is given up.
const ROWS_PER_SECOND_MIN: u64 = 2_000;
/// The pause between two questions for the committed end of a topic.
const ASK_EVERY: Duration = Duration::from_millis(25);

const NAMES: &[&str] = &[
    "rows",
    "rounds",
    "postgres",
    "latency-seconds",
    "rates",
    "only",
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("bench failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    stack: Stack,
    url: String,
    folder: PathBuf,
}

fn run() -> Result<()> {
    let arguments = Arguments::of_this_program(NAMES, &["keep"])?;
    let rows: u64 = arguments.value("rows", 1_000_000)?;
    let rounds: usize = arguments.value("rounds", 3)?;
    let only: String = arguments.value("only", String::new())?;
    let seconds: u64 = arguments.value("latency-seconds", 20)?;
    let mut rates = arguments.list("rates");
    if rates.is_empty() {
        rates = ["1000", "5000", "10000"].map(str::to_owned).to_vec();
    }
    let stack = Stack::start(arguments.value("postgres", POSTGRES_MAJOR_DEFAULT)?)?;
    let url = load::create_database(&stack.postgres.url(), "bench")?;
    let folder = std::env::temp_dir().join(format!("walferry-bench-{}", std::process::id()));
    let bench = Bench { stack, url, folder };
    bench::create_table(&bench.url)?;
    Session::connect(&bench.url)?.execute("create publication bare for table public.bench")?;
    print_line(&format!(
        "{} cores; servers, load and Walferry share them; PostgreSQL {}",
        machine_cores(),
        Session::connect(&bench.url)?
            .value("show server_version")?
            .unwrap_or_default()
    ));
    if only != "latency" {
        bench.drain(rows, rounds)?;
    }
    if only != "drain" {
        for rate in rates {
            let rate = rate
                .parse()
                .with_context(|| format!("{rate:?} is no rate"))?;
            bench.latency(rate, seconds, rows)?;
        }
    }
    if arguments.has("keep") {
        print_line(&format!("logs are in {}", bench.folder.display()));
    } else {
        let _ = std::fs::remove_dir_all(&bench.folder);
    }
    Ok(())
}

/// What one run of Walferry took.
struct Drain {
    elapsed: Duration,
    first_record: Duration,
    process: Usage,
    walsender_cpu_seconds: f64,
    broker_cpu_seconds: f64,
}

impl Bench {
    fn settings(&self, name: &str) -> Result<Settings> {
        let (brokers, registry) = (self.stack.kafka.brokers(), self.stack.registry.url());
        let mut settings = Settings::new(
            name,
            &self.url,
            &["public.bench"],
            &brokers,
            name,
            &registry,
        )?;
        settings.set_text("snapshot.mode", "never");
        Ok(settings)
    }

    /// Starts a connector that has nothing to do yet and stops it, so that its slot and checkpoint exist.
    fn prepare(&self, name: &str) -> Result<Settings> {
        let settings = self.settings(name)?;
        let mut walferry = Walferry::start(&settings, &self.folder)?;
        walferry.wait_ready(READY);
        walferry.sigterm();
        match walferry.wait_exit(READY) {
            Some(0) => Ok(settings),
            code => bail!(
                "walferry ended with {code:?} on SIGTERM\n{}",
                walferry.log_tail()
            ),
        }
    }

    fn drain(&self, rows: u64, rounds: usize) -> Result<()> {
        let mut runs = Vec::new();
        for round in 1..=rounds {
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
            "round  bare rows/s  walferry rows/s  ratio  CPU s/M: process walsender broker (bare's walsender)  \
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
            print_line(&drain_line(&(round + 1).to_string(), &figure));
            figures.push(figure);
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

    fn drop_slot(&self, connector: &str) -> Result<()> {
        load::drop_slot(&self.url, &format!("walferry_{connector}"))
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

    fn latency(&self, rate: u64, seconds: u64, rows_before: u64) -> Result<()> {
        let name = format!("paced{rate}");
        let settings = self.settings(&name)?;
        let mut walferry = Walferry::start(&settings, &self.folder)?;
        walferry.wait_ready(READY);
        let topic = format!("{name}.public.bench");
        // Ids of each rate are its own, beyond those of the drain.
        let first = (rows_before + 1) + rate * 1_000_000;
        let warm_up = SentTimes::new(first, rate.min(1_000) * 2);
        bench::paced(&self.url, rate.min(1_000), &warm_up)?;
        let reader = wait_topic(&self.stack.kafka.brokers(), &topic)?;
        let times = SentTimes::new(first + warm_up.rows(), rate * seconds);
        let sender = {
            let (url, times) = (self.url.clone(), times.clone());
            thread::spawn(move || bench::paced(&url, rate, &times))
        };
        let (begun, before) = (Instant::now(), walferry.usage().unwrap_or_default());
        let mut latencies_us = Vec::with_capacity((rate * seconds) as usize);
        while (latencies_us.len() as u64) < times.rows() {
            if begun.elapsed() > Duration::from_secs(seconds * 3 + 30) {
                bail!(
                    "{} of {} rows arrived\n{}",
                    latencies_us.len(),
                    times.rows(),
                    walferry.log_tail()
                );
            }
            let Some(message) = reader.next(Duration::from_millis(100))? else {
                continue;
            };
            let sent = key_long(&message).and_then(|id| times.of(id as u64));
            latencies_us.extend(sent.map(|sent| bench::now_us() - sent));
        }
        let took = sender
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        let cpu = walferry.usage().unwrap_or_default().cpu_seconds - before.cpu_seconds;
        walferry.sigterm();
        walferry.wait_exit(READY);
        self.drop_slot(&name)?;
        latencies_us.sort_unstable();
        let at = |share: f64| {
            latencies_us[((latencies_us.len() - 1) as f64 * share) as usize] as f64 / 1e3
        };
        print_line(&format!(
            "latency at {rate}/s (sent at {:.0}/s): p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms, \
             Walferry {:.2} cores; from before the commit is sent to readable",
            times.rows() as f64 / took.as_secs_f64(),
            at(0.50),
            at(0.95),
            at(0.99),
            at(1.0),
            cpu / took.as_secs_f64()
        ));
        Ok(())
    }
}

/// Follows a topic from its end, once it exists.
fn wait_topic(brokers: &str, topic: &str) -> Result<Reader> {
    let ends = Ends::open(brokers)?;
    let begun = Instant::now();
    while ends.total(topic)? == 0 {
        if begun.elapsed() > Duration::from_secs(30) {
            bail!("topic {topic} stays empty");
        }
        thread::sleep(ASK_EVERY);
    }
    Reader::open_at_end(brokers, &[topic.to_owned()])
}

fn drain_line(round: &str, figure: &[f64; 9]) -> String {
    format!(
        "{round:>6} {:>11.0} {:>16.0} {:>6.2} {:>16.2} {:>9.2} {:>6.2} {:>19.2} {:>13.1} {:>16.0}",
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
