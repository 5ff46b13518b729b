//! A small shop, live: changes in PostgreSQL become events in Kafka before your eyes, and a check at the end.
//!
//! Owns: the shop, a connector of its own, the view, the verdict. Uses the servers that the environment names, else
//! starts its own. Exit status 0 only when nothing is missing, doubled, out of order or wrong.
//!
//! `walferry-demo [--seconds N] [--rate N]`

use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use walferry_stack::{Coordinates, POSTGRES_MAJOR_DEFAULT, Stack};
use walferry_testkit::checker::{Checker, Event, Record, Session, lsn_text, quote_literal};
use walferry_testkit::load::{self, SHOP_TABLES, Shop, bench::now_us};
use walferry_testkit::process::{Arguments, Settings, Walferry, print_line};
use walferry_testkit::topics::{Decoder, Ends, Reader, topic_name};

const READY: Duration = Duration::from_secs(60);
/// How many events the live view shows.
const EVENTS_SHOWN: usize = 8;
/// How often the live view on a terminal is drawn again.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Freshness is counted from then on.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often a line is printed where there is no terminal.
const PRINT_EVERY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print_line(&format!("demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let arguments = Arguments::of_this_program(&["seconds", "rate"], &[])?;
    let seconds: u64 = arguments.value("seconds", 20)?;
    let rate: u32 = arguments.value("rate", 80)?;
    let stack = match Coordinates::from_environment() {
        Some(_) => None,
        None => {
            print_line("starting PostgreSQL, Kafka and a schema registry ...");
            Some(Stack::start(POSTGRES_MAJOR_DEFAULT)?)
        }
    };
    let servers = match &stack {
        Some(stack) => stack.coordinates(),
        None => Coordinates::from_environment().context("no servers in the environment")?,
    };
    let folder = std::env::temp_dir().join(format!("walferry-demo-{}", std::process::id()));
    let outcome = demo(&servers, &folder, Duration::from_secs(seconds), rate.max(1));
    if matches!(outcome, Ok(true)) {
        let _ = std::fs::remove_dir_all(&folder);
    } else {
        print_line(&format!("the log is in {}", folder.display()));
    }
    outcome
}

fn demo(servers: &Coordinates, folder: &Path, open_for: Duration, rate: u32) -> Result<bool> {
    let name = format!("demo{}", std::process::id());
    let url = load::create_database(&servers.postgres_url, &name)?;
    Shop::create_tables(&url)?;
    let (brokers, registry) = (
        servers.kafka_brokers.as_str(),
        servers.registry_url.as_str(),
    );
    let checker = Checker::create(
        &url,
        &format!("{name}_witness"),
        &SHOP_TABLES,
        brokers,
        registry,
        &name,
    )?;
    let settings = Settings::new(&name, &url, &SHOP_TABLES, brokers, &name, registry)?;
    let mut walferry = Walferry::start(&settings, folder)?;
    let ready = walferry.wait_ready(READY);
    print_line(&format!(
        "walferry is ready after {} ms; one configuration file:",
        ready.as_millis()
    ));
    settings
        .to_toml()
        .lines()
        .filter(|line| !line.is_empty())
        .for_each(|line| print_line(&format!("    {line}")));
    let admin = walferry.admin_url().to_owned();
    print_line(&format!(
        "status  {admin}/status    metrics  {admin}/metrics    health  {admin}/readyz"
    ));
    print_line("");

    let shop = Shop::open(&url, rate)?;
    let topics: Vec<String> = SHOP_TABLES
        .iter()
        .map(|table| topic_name(&name, table))
        .collect();
    wait_topics(brokers, &name, &topics, &mut walferry)?;
    let reader = Reader::open(brokers, &topics)?;
    let mut view = View::new(Decoder::new(registry));
    let (begun, mut changed) = (Instant::now(), false);
    while begun.elapsed() < open_for {
        view.follow(&reader, DRAW_EVERY)?;
        if !changed && begun.elapsed() > open_for / 2 {
            shop.add_coupons(&url)?;
            view.note("alter table orders add column coupon text");
            changed = true;
        }
        if let Some(status) = walferry.exited() {
            bail!("walferry ended ({status})\n{}", walferry.log_tail());
        }
    }
    let transactions = shop.close()?;
    let last = "insert into customers (id, name) values (0, 'The last one')";
    load::drain(&url, &format!("walferry_{name}"), last, READY)?;
    view.follow(&reader, PRINT_EVERY)?;
    print_line("");
    verdict(
        &checker,
        &url,
        transactions + 1,
        &view,
        &mut walferry,
        servers,
    )
}

fn verdict(
    checker: &Checker,
    url: &str,
    transactions: u64,
    view: &View,
    walferry: &mut Walferry,
    servers: &Coordinates,
) -> Result<bool> {
    let mut session = Session::connect(url)?;
    let mut rows = Vec::new();
    for table in SHOP_TABLES {
        let count = session
            .value(&format!("select count(*) from {table}"))?
            .unwrap_or_default();
        rows.push(format!("{} {count}", table.trim_start_matches("public.")));
    }
    let report = checker.verdict()?;
    print_line(&format!(
        "rows in PostgreSQL   {} (after {transactions} transactions)",
        rows.join(", ")
    ));
    print_line(&format!(
        "events in Kafka      {} for {} committed changes, and {} tombstones after deletes",
        report.observed, report.expected, report.tombstones
    ));
    print_line(&format!("freshness            {}", view.freshness()));
    print_line(&format!(
        "checked              missing {}, doubled {}, out of order {}, wrong {}, unexpected {}",
        report.lost, report.doubled, report.reordered, report.wrong, report.unexpected
    ));
    report
        .examples
        .iter()
        .for_each(|example| print_line(&format!("  {}: {}", example.fault.word(), example.story)));
    walferry.sigterm();
    let code = walferry.wait_exit(Duration::from_secs(30));
    drop(session);
    tidy_up(url, servers)?;
    Ok(report.is_clean() && report.observed > 0 && code == Some(0))
}

/// Removes the demo's slots and database, so that servers which live on keep nothing of it.
fn tidy_up(url: &str, servers: &Coordinates) -> Result<()> {
    let database = url.rsplit('/').next().unwrap_or_default();
    let mut admin = Session::connect(&servers.postgres_url)?;
    let slots = admin.query(&format!(
        "select slot_name from pg_replication_slots where database = {}",
        quote_literal(database)
    ))?;
    for slot in slots.into_iter().flatten().flatten() {
        load::drop_slot(url, &slot)?;
    }
    admin.execute(&format!("drop database {database} with (force)"))
}

fn wait_topics(
    brokers: &str,
    prefix: &str,
    topics: &[String],
    walferry: &mut Walferry,
) -> Result<()> {
    let (ends, begun) = (Ends::open(brokers)?, Instant::now());
    loop {
        let found = ends.topics(prefix)?;
        if topics.iter().all(|topic| found.contains(topic)) {
            return Ok(());
        }
        if walferry.exited().is_some() || begun.elapsed() > READY {
            bail!(
                "the topics {topics:?} do not appear\n{}",
                walferry.log_tail()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What is shown while the shop is open.
struct View {
    decoder: Decoder,
    terminal: bool,
    begun: Instant,
    shown: Instant,
    lines_drawn: usize,
    events: u64,
    by_table: BTreeMap<String, u64>,
    latest: VecDeque<String>,
    freshness_us: Vec<i64>,
    seconds_from: usize,
    position: u64,
    note: Option<String>,
}

impl View {
    fn new(decoder: Decoder) -> View {
        View {
            decoder,
            terminal: std::io::stdout().is_terminal(),
            begun: Instant::now(),
            shown: Instant::now(),
            lines_drawn: 0,
            events: 0,
            by_table: BTreeMap::new(),
            latest: VecDeque::new(),
            freshness_us: Vec::new(),
            seconds_from: 0,
            position: 0,
            note: None,
        }
    }

    /// Takes what comes, for so long at most, and shows it when it is time.
    fn follow(&mut self, reader: &Reader, at_most: Duration) -> Result<()> {
        let until = Instant::now() + at_most;
        while Instant::now() < until
            && let Some(message) = reader.next(Duration::from_millis(20))?
        {
            let arrived_us = now_us();
            if let Record::Event(event) = self.decoder.decode(&message)?.record {
                self.take(&event, arrived_us - event.commit_us);
            }
            self.show_when_due();
        }
        self.show_when_due();
        Ok(())
    }

    fn take(&mut self, event: &Event, freshness_us: i64) {
        self.events += 1;
        *self.by_table.entry(event.table.to_string()).or_default() += 1;
        // The first events waited for this reader to begin.
        if self.begun.elapsed() > WARM_UP {
            self.freshness_us.push(freshness_us);
        }
        self.position = self.position.max(event.lsn);
        let key = event
            .key
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let coupon = event
            .after
            .as_ref()
            .filter(|row| row.column("coupon").is_some());
        self.latest.push_back(format!(
            "{} {:<18} {key:<40} {:>10} tx {:<7} {:>5.1} ms{}",
            event.op.code(),
            event.table,
            lsn_text(event.lsn),
            event.xid,
            freshness_us as f64 / 1e3,
            if coupon.is_some() { "  +coupon" } else { "" }
        ));
        if self.latest.len() > EVENTS_SHOWN {
            self.latest.pop_front();
        }
    }

    fn note(&mut self, text: &str) {
        self.note = Some(text.to_owned());
        if !self.terminal {
            print_line(&format!("---- {text}"));
        }
    }

    fn show_when_due(&mut self) {
        let every = if self.terminal {
            DRAW_EVERY
        } else {
            PRINT_EVERY
        };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let tables: Vec<String> = self
            .by_table
            .iter()
            .map(|(table, count)| format!("{} {count}", table.trim_start_matches("public.")))
            .collect();
        let recent = &self.freshness_us[self.seconds_from.min(self.freshness_us.len())..];
        let line = format!(
            "{:>3} s  {} events ({})  at {}  fresh {}",
            self.begun.elapsed().as_secs(),
            self.events,
            tables.join(", "),
            lsn_text(self.position),
            quantiles(recent)
        );
        self.seconds_from = self.freshness_us.len().saturating_sub(500);
        if self.terminal {
            self.draw(line);
        } else {
            print_line(&line);
            self.latest
                .iter()
                .rev()
                .take(2)
                .for_each(|event| print_line(&format!("       {event}")));
        }
    }

    /// Draws the block over the one before.
    fn draw(&mut self, line: String) {
        let mut lines = vec![line];
        lines.extend(
            self.note
                .iter()
                .map(|note| format!("       schema changed: {note}")),
        );
        lines.extend(self.latest.iter().map(|event| format!("       {event}")));
        let mut out = std::io::stdout().lock();
        let up = if self.lines_drawn > 0 {
            format!("\x1b[{}A", self.lines_drawn)
        } else {
            String::new()
        };
        let text: String = lines
            .iter()
            .map(|line| format!("\x1b[2K{line}\n"))
            .collect();
        // Who closed the output does not want to see more.
        let _ = write!(out, "{up}{text}").and_then(|()| out.flush());
        self.lines_drawn = lines.len();
    }

    fn freshness(&self) -> String {
        format!(
            "{} from commit in PostgreSQL to readable in Kafka",
            quantiles(&self.freshness_us)
        )
    }
}

fn quantiles(freshness_us: &[i64]) -> String {
    let mut sorted = freshness_us.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| match sorted.len() {
        0 => 0.0,
        count => sorted[((count - 1) as f64 * share) as usize] as f64 / 1e3,
    };
    format!("p50 {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99))
}
