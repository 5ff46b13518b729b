//! Outages of each server, with the defaults: nothing ends, everything is said, and it goes on within seconds of the end.
//!
//! Owns: one connector on a way through proxies, a load on PostgreSQL itself, and the clock of each outage. A table whose columns
//! change in every outage makes the registry needed. The checker judges at the end.
//!
//! `--down SECONDS` is how long each outage lasts, `--times N` how often each kind comes, `--kinds A,B` which of them.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use walferry_testkit::checker::{Checker, Session, parse_lsn};
use walferry_testkit::fake_registry::{FakeRegistry, Fault};
use walferry_testkit::load::{self, MixedLoad};
use walferry_testkit::process::{Settings, Walferry, print_line};
use walferry_testkit::proxy::{Mode, Proxy};
use walferry_testkit::stack::Stack;

use crate::{DRAIN, Plan, READY};

/// Every kind of outage: the server, and how it is away.
const KINDS: &[&str] = &[
    "kafka-refused",
    "kafka-blackhole",
    "postgresql-refused",
    "postgresql-blackhole",
    "registry-refused",
    "registry-blackhole",
    "registry-500",
    "registry-503-on-post",
];
const LOOK: Duration = Duration::from_millis(100);
/// What is promised.
const PROMISED: Duration = Duration::from_secs(5);
const SLOT: &str = "walferry_outages";

/// What was seen of one outage.
struct Seen {
    said: Duration,
    resumed: Duration,
    looks: u32,
    dead: u32,
    inactive: u32,
}

struct Bench {
    postgres: Proxy,
    kafka: Proxy,
    registry: Proxy,
    front: FakeRegistry,
    session: Session,
    columns: u32,
}

/// Whether every promise was kept.
pub(crate) fn campaign(plan: &Plan, stack: &mut Stack, folder: &Path) -> Result<bool> {
    let url = load::create_database(&stack.postgres.url(), "outages")?;
    MixedLoad::create_tables(&url, "public")?;
    let mut session = Session::connect(&url)?;
    session.execute("create table changing (id int primary key)")?;
    let mut tables = MixedLoad::tables("public");
    tables.push("public.changing".to_owned());
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let (brokers, registry) = (stack.kafka.brokers(), stack.registry.url());
    let checker = Checker::create(&url, "witness", &names, &brokers, &registry, "outages")?;
    let front = FakeRegistry::before(&registry)?;
    let place = url.rsplit('@').next().unwrap_or(&url);
    let place = place.split('/').next().unwrap_or(place).to_owned();
    let mut bench = Bench {
        postgres: Proxy::start(&place)?,
        kafka: Proxy::kafka(&brokers)?,
        registry: Proxy::start(front.url().trim_start_matches("http://"))?,
        front,
        session,
        columns: 0,
    };
    let mut settings = Settings::new(
        "outages",
        &url.replace(&place, &bench.postgres.address()),
        &names,
        &bench.kafka.address(),
        "outages",
        &format!("http://{}", bench.registry.address()),
    )?;
    settings.set_text("snapshot.mode", "never");
    let mut walferry = Walferry::start(&settings, folder)?;
    walferry.wait_ready(READY);
    let load = MixedLoad::start(&url, &plan.mixed)?;
    let mut kept = true;
    for kind in KINDS {
        if plan.kinds.is_empty() || plan.kinds.iter().any(|it| it == kind) {
            let mut seen = Vec::new();
            for _ in 0..plan.times {
                seen.push(bench.outage(kind, plan.down, &mut walferry)?);
            }
            kept &= tell(kind, &seen);
        }
    }
    let counts = load.stop();
    load::drain(&url, SLOT, &MixedLoad::last_statement("public"), DRAIN)
        .with_context(|| format!("the rest did not arrive\n{}", walferry.log_tail()))?;
    let report = checker.verdict()?;
    walferry.sigterm();
    let code = walferry.wait_exit(Duration::from_secs(30));
    print_line(&format!(
        "{} transactions committed meanwhile, SIGTERM exit {code:?}",
        counts.committed
    ));
    print_line(&report.to_string());
    Ok(kept && report.is_clean() && report.expected > 0 && code == Some(0))
}

impl Bench {
    fn set(&self, kind: &str, away: bool) {
        let mode = |wanted| if away { wanted } else { Mode::Pass };
        let (server, how) = kind.split_once('-').unwrap_or((kind, ""));
        let fault = match how {
            _ if !away => Fault::None,
            "500" => Fault::All(500, "{\"error_code\":50001,\"message\":\"store\"}".into()),
            "503-on-post" => Fault::Writes(503, "<html>no backend</html>".into()),
            _ => Fault::None,
        };
        self.front.set(fault);
        let proxy = match server {
            "kafka" => &self.kafka,
            "postgresql" => &self.postgres,
            _ => &self.registry,
        };
        match how {
            "refused" => {
                proxy.set(mode(Mode::Refuse));
                proxy.cut();
            }
            "blackhole" => {
                // What hung stays dead: the connections of before are gone without a word.
                if !away {
                    proxy.cut();
                }
                proxy.set(mode(Mode::BlackHole));
            }
            _ => {}
        }
    }

    fn outage(&mut self, kind: &str, down: Duration, walferry: &mut Walferry) -> Result<Seen> {
        let server = kind.split('-').next().unwrap_or(kind);
        self.set(kind, true);
        let begun = Instant::now();
        self.columns += 1;
        // The registry is needed for a new schema alone; its ping tells of all but the last kind.
        self.session.execute(&format!(
            "alter table changing add column c{n} int; insert into changing (id) values ({n})",
            n = self.columns
        ))?;
        let mut seen = Seen {
            said: Duration::MAX,
            resumed: Duration::MAX,
            looks: 0,
            dead: 0,
            inactive: 0,
        };
        let active = format!(
            "select count(*) from pg_replication_slots where slot_name = '{SLOT}' and active"
        );
        while begun.elapsed() < down || (seen.said == Duration::MAX && begun.elapsed() < READY) {
            ensure!(
                walferry.exited().is_none(),
                "walferry ended in {kind}\n{}",
                walferry.log_tail()
            );
            let ready = walferry.get("/readyz")?;
            if seen.said == Duration::MAX && ready.status == 503 && ready.body.contains(server) {
                seen.said = begun.elapsed();
            }
            seen.looks += 1;
            seen.dead += u32::from(walferry.get("/livez")?.status != 200);
            if server != "postgresql" {
                let answer = self.session.value(&active)?;
                seen.inactive += u32::from(answer.as_deref() != Some("1"));
            }
            thread::sleep(LOOK);
        }
        self.set(kind, false);
        let ended = Instant::now();
        // What the topics hold has to reach the changing table's insert; then everything that is there now.
        let before = published(walferry)?;
        while published(walferry)? == before || walferry.get("/readyz")?.status != 200 {
            ensure!(
                ended.elapsed() < READY,
                "{kind}: it does not go on\n{}",
                walferry.log_tail()
            );
            thread::sleep(LOOK / 5);
        }
        seen.resumed = ended.elapsed();
        let target = self.session.value("select pg_current_wal_lsn()")?;
        let target = target.as_deref().and_then(parse_lsn);
        let target = target.context("no LSN")?;
        while published(walferry)? < target {
            ensure!(ended.elapsed() < DRAIN, "{kind}: it does not catch up");
            thread::sleep(LOOK);
        }
        Ok(seen)
    }
}

/// Up to where the topics hold everything.
fn published(walferry: &Walferry) -> Result<u64> {
    let status = walferry.status()?;
    let text = status["positions"]["checkpointed"]
        .as_str()
        .unwrap_or("0/0");
    parse_lsn(text).with_context(|| format!("{text:?} is no LSN"))
}

/// Prints what was seen of one kind. Whether it is as promised.
fn tell(kind: &str, seen: &[Seen]) -> bool {
    let mut resumed: Vec<Duration> = seen.iter().map(|it| it.resumed).collect();
    resumed.sort();
    let place = |percent: usize| resumed[(resumed.len() * percent).div_ceil(100).max(1) - 1];
    let said = seen.iter().map(|it| it.said).max().unwrap_or_default();
    let sum = |of: fn(&Seen) -> u32| seen.iter().map(of).sum::<u32>();
    let (looks, dead, inactive) = (sum(|it| it.looks), sum(|it| it.dead), sum(|it| it.inactive));
    print_line(&format!(
        "{kind}: {} times; said within {:.1} s; /livez bad {dead} of {looks} looks; slot inactive {inactive}; goes on after \
         p50 {:.1} s, p99 {:.1} s",
        seen.len(),
        said.as_secs_f64(),
        place(50).as_secs_f64(),
        place(99).as_secs_f64()
    ));
    said <= PROMISED && dead == 0 && inactive == 0 && place(99) <= PROMISED
}
