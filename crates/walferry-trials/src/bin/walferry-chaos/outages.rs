//! Outages of each server, with the defaults: nothing ends, everything is said, and it goes on within seconds of the end.
//!
//! Owns: one connector on a way through proxies, a load on PostgreSQL itself, and the clock of each outage. A table whose columns
//! change in every outage makes the registry needed. The checker judges at the end.
//!
//! `--down SECONDS` is how long each outage lasts, `--times N` how often each kind comes, `--kinds A,B` which of them.
//! With `--together` each kind has a connector, a database and proxies of its own, and all are away at the same time: what
//! lasts for twenty minutes each is seen in twenty minutes.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use walferry_stack::Stack;
use walferry_testkit::checker::{Checker, Session, parse_lsn};
use walferry_testkit::fake_registry::{FakeRegistry, Fault};
use walferry_testkit::load::{self, MixedLoad};
use walferry_testkit::process::{Settings, Walferry, print_line};
use walferry_testkit::proxy::{Mode, Proxy};

use crate::plan::{DRAIN, Plan, READY};

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
/// Between the outages of connectors side by side.
const APART: Duration = Duration::from_secs(10);
/// What is promised.
const PROMISED: Duration = Duration::from_secs(5);
/// What was seen of one outage.
struct Seen {
    said: Duration,
    resumed: Duration,
    looks: u32,
    dead: u32,
    inactive: u32,
}

/// One connector, its ways to the servers, and what loads it.
struct Bench {
    name: String,
    url: String,
    postgres: Proxy,
    kafka: Proxy,
    registry: Proxy,
    front: FakeRegistry,
    session: Session,
    walferry: Walferry,
    checker: Checker,
    load: MixedLoad,
    columns: u32,
}

/// Whether every promise was kept.
pub(crate) fn campaign(plan: &Plan, stack: &Stack, folder: &Path) -> Result<bool> {
    let wanted = |kind: &&str| plan.kinds.is_empty() || plan.kinds.iter().any(|it| it == kind);
    let kinds: Vec<&str> = KINDS.iter().copied().filter(wanted).collect();
    ensure!(!kinds.is_empty(), "there are {}", KINDS.join(", "));
    if !plan.together {
        return Bench::begin("outages", plan, stack, folder)?.all(&kinds, plan);
    }
    // Connections that hang in a proxy stay open for as long as it is away.
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    setrlimit(Resource::Nofile, all).context("no more open files are to be had")?;
    let mut benches = Vec::new();
    for kind in &kinds {
        let name = format!("outages_{}", kind.replace('-', "_"));
        benches.push(Bench::begin(&name, plan, stack, folder)?);
    }
    thread::scope(|scope| {
        let running: Vec<_> = benches
            .into_iter()
            .zip(&kinds)
            .zip(0..)
            .map(|((bench, kind), place)| {
                scope.spawn(move || {
                    // Each end is seen by itself: what all of them catch up with at once would keep the machine busy.
                    thread::sleep(APART * place);
                    bench.all(&[kind], plan)
                })
            })
            .collect();
        let mut kept = Ok(true);
        for (thread, kind) in running.into_iter().zip(&kinds) {
            let one = thread
                .join()
                .unwrap_or_else(|_| Err(anyhow!("{kind}: a wait of the campaign has failed")));
            match one {
                Ok(one) => kept = kept.map(|all| all && one),
                Err(error) => {
                    print_line(&format!("{kind}: {error:#}"));
                    kept = Ok(false);
                }
            }
        }
        kept
    })
}

impl Bench {
    fn begin(name: &str, plan: &Plan, stack: &Stack, folder: &Path) -> Result<Bench> {
        let url = load::create_database(&stack.postgres.url(), name)?;
        MixedLoad::create_tables(&url, "public")?;
        let mut session = Session::connect(&url)?;
        session.execute("create table changing (id int primary key)")?;
        let mut tables = MixedLoad::tables("public");
        tables.push("public.changing".to_owned());
        let names: Vec<&str> = tables.iter().map(String::as_str).collect();
        let (brokers, registry) = (stack.kafka.brokers(), stack.registry.url());
        let witness = format!("witness_{name}");
        let checker = Checker::create(&url, &witness, &names, &brokers, &registry, name)?;
        let front = FakeRegistry::before(&registry)?;
        let place = url.rsplit('@').next().unwrap_or(&url);
        let place = place.split('/').next().unwrap_or(place).to_owned();
        let (postgres, kafka) = (Proxy::start(&place)?, Proxy::kafka(&brokers)?);
        let registry = Proxy::start(front.url().trim_start_matches("http://"))?;
        let mut settings = Settings::new(
            name,
            &url.replace(&place, &postgres.address()),
            &names,
            &kafka.address(),
            name,
            &format!("http://{}", registry.address()),
        )?;
        settings.set_text("snapshot.mode", "never");
        let mut walferry = Walferry::start(&settings, folder)?;
        walferry.wait_ready(READY);
        let load = MixedLoad::start(&url, &plan.mixed)?;
        Ok(Bench {
            name: name.to_owned(),
            url,
            postgres,
            kafka,
            registry,
            front,
            session,
            walferry,
            checker,
            load,
            columns: 0,
        })
    }

    fn slot(&self) -> String {
        format!("walferry_{}", self.name)
    }

    /// All the outages of some kinds, and the verdict.
    fn all(mut self, kinds: &[&str], plan: &Plan) -> Result<bool> {
        let mut kept = true;
        for kind in kinds {
            let mut seen = Vec::new();
            for _ in 0..plan.times {
                seen.push(self.outage(kind, plan.down)?);
            }
            kept &= tell(kind, &seen);
        }
        let slot = self.slot();
        let counts = self.load.stop();
        load::drain(
            &self.url,
            &slot,
            &MixedLoad::last_statement("public"),
            DRAIN,
        )
        .with_context(|| {
            let tail = self.walferry.log_tail();
            format!("the rest did not arrive\n{tail}")
        })?;
        let report = self.checker.verdict()?;
        self.walferry.sigterm();
        let code = self.walferry.wait_exit(Duration::from_secs(30));
        print_line(&format!(
            "{}: {} transactions committed meanwhile, SIGTERM exit {code:?}",
            self.name, counts.committed
        ));
        print_line(&report.to_string());
        Ok(kept && report.is_clean() && report.expected > 0 && code == Some(0))
    }

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

    fn outage(&mut self, kind: &str, down: Duration) -> Result<Seen> {
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
            "select count(*) from pg_replication_slots where slot_name = '{}' and active",
            self.slot()
        );
        while begun.elapsed() < down || (seen.said == Duration::MAX && begun.elapsed() < READY) {
            ensure!(
                self.walferry.exited().is_none(),
                "walferry ended in {kind}\n{}",
                self.walferry.log_tail()
            );
            let ready = self.walferry.get("/readyz")?;
            if seen.said == Duration::MAX && ready.status == 503 && ready.body.contains(server) {
                seen.said = begun.elapsed();
            }
            seen.looks += 1;
            seen.dead += u32::from(self.walferry.get("/livez")?.status != 200);
            if server != "postgresql" {
                let answer = self.session.value(&active)?;
                seen.inactive += u32::from(answer.as_deref() != Some("1"));
            }
            thread::sleep(LOOK);
        }
        self.set(kind, false);
        let ended = Instant::now();
        // What the topics hold has to reach the changing table's insert; then everything that is there now.
        let before = published(&self.walferry)?;
        while published(&self.walferry)? == before || self.walferry.get("/readyz")?.status != 200 {
            ensure!(
                ended.elapsed() < READY,
                "{kind}: it does not go on\n{}",
                self.walferry.log_tail()
            );
            thread::sleep(LOOK / 5);
        }
        seen.resumed = ended.elapsed();
        let target = self.session.value("select pg_current_wal_lsn()")?;
        let target = target.as_deref().and_then(parse_lsn);
        let target = target.context("no LSN")?;
        while published(&self.walferry)? < target {
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
