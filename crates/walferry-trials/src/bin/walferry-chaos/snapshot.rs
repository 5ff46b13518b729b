//! Kills in the middle of snapshots: consistent ones, those beside the stream, and those that are asked for.
//!
//! Owns: a campaign for each kind in turn until the kills are done, each with a database, a slot and topics of its own; a
//! kill falls while rows are still to be read, else it is not counted; tables get other files meanwhile. After each campaign the checker judges, and
//! `walferry audit` has to agree. With `--kills 0` one consistent snapshot runs to its end. `--servers` takes each of the
//! servers down once in the middle of each snapshot, for `--down` seconds.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use walferry_stack::Stack;
use walferry_testkit::checker::{Checker, ReadAgain, Start, parse_lsn};
use walferry_testkit::load::{self, MixedLoad, old_rows};
use walferry_testkit::process::{Settings, Walferry, binary, print_line};

use crate::plan::{DRAIN, Plan, READY, kill_server};

/// A snapshot that takes longer is given up.
const TAKEN: Duration = Duration::from_secs(1_800);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(50);
/// Rounds of meddling touch rows of their own up to this number.
const ROUNDS: u32 = 50;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Consistent,
    Beside,
    Asked,
}

/// Whether all counts are zero in every campaign.
pub(crate) fn campaigns(plan: &Plan, stack: &mut Stack, folder: &Path) -> Result<bool> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let (mut kills, mut number, mut clean) = (0, 0, true);
    let begun = Instant::now();
    while number == 0 || kills < plan.kills && plan.until.is_none_or(|it| begun.elapsed() < it) {
        let kind = [Kind::Consistent, Kind::Beside, Kind::Asked][number % 3];
        number += 1;
        // Each kind gets its share, the last campaigns what is left.
        let share = plan.kills.div_ceil(3).min(plan.kills - kills);
        let campaign = Campaign::prepare(plan, stack, folder, kind, number)?;
        let (killed, report) = campaign.run(plan, stack, &mut random, share)?;
        kills += killed;
        clean &= report;
    }
    print_line(&format!(
        "seed {}: {kills} kills in {number} snapshots: {}",
        plan.seed,
        if clean { "clean" } else { "NOT CLEAN" }
    ));
    Ok(clean)
}

struct Campaign<'a> {
    name: String,
    kind: Kind,
    url: String,
    folder: &'a Path,
    settings: Settings,
    checker: Checker,
}

impl<'a> Campaign<'a> {
    fn prepare(
        plan: &Plan,
        stack: &Stack,
        folder: &'a Path,
        kind: Kind,
        number: usize,
    ) -> Result<Campaign<'a>> {
        let name = format!("snapshot{number}");
        let url = load::create_database(&stack.postgres.url(), &name)?;
        old_rows::create_tables(&url)?;
        let tables = old_rows::tables();
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let (brokers, registry) = (stack.kafka.brokers(), stack.registry.url());
        let witness = format!("witness{number}");
        let checker = Checker::create(&url, &witness, &tables, &brokers, &registry, &name)?;
        let begun = Instant::now();
        old_rows::fill(&url, plan.rows)?;
        print_line(&format!(
            "{name}: {kind:?}, {} rows in six tables (written in {:.1} s)",
            plan.rows,
            begun.elapsed().as_secs_f64()
        ));
        let mut settings = Settings::new(&name, &url, &tables, &brokers, &name, &registry)?;
        settings.set_text("admin.token", "chaos");
        if plan.kills > 0 {
            // Slow enough that a snapshot is in its middle for all of its kills, in chunks that a kill hits the inside of.
            let rate = plan.rows / 20;
            settings
                .set("snapshot.chunk_rows", "2000")
                .set("snapshot.rows_per_second_max", &rate.max(1_000).to_string())
                .set_text("publish.batch_bytes_max", "256 KiB");
        }
        match kind {
            Kind::Consistent => {}
            Kind::Beside => {
                settings.set("snapshot.while_streaming", "true");
            }
            Kind::Asked => {
                settings.set_text("snapshot.mode", "never");
            }
        }
        Ok(Campaign {
            name,
            kind,
            url,
            folder,
            settings,
            checker,
        })
    }

    fn run(
        mut self,
        plan: &Plan,
        stack: &mut Stack,
        random: &mut StdRng,
        kills: u32,
    ) -> Result<(u32, bool)> {
        let load = MixedLoad::start(&self.url, &plan.mixed)?;
        let begun = Instant::now();
        let mut walferry = Walferry::start(&self.settings, self.folder)?;
        if matches!(self.kind, Kind::Asked) {
            walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
            self.ask_for_all()?;
        }
        let (mut killed, mut over, mut rewrites) = (0, false, 0);
        let mut servers = plan.servers.iter();
        for round in 0..ROUNDS {
            old_rows::meddle(&self.url, round, plan.mixed.truncate && round % 7 == 3)?;
            if random.random_ratio(1, 2) {
                let rewritten = load::rewrite(&self.url, &old_rows::tables(), random)?;
                rewrites += u32::from(rewritten.is_some());
            }
            if let Some(server) = servers.next() {
                self.wait_for_rows(&mut walferry, 1_000)?;
                kill_server(server, stack, plan.down)?;
                print_line(&format!("{server} was down for {:?}", plan.down));
                continue;
            }
            if killed == kills {
                break;
            }
            thread::sleep(Duration::from_millis(random.random_range(0..2_500)));
            if let Some(status) = walferry.exited() {
                bail!("walferry ended ({status})\n{}", walferry.log_tail());
            }
            // Without an answer it is in its start, and what it finds there is not complete either.
            let complete = walferry.status().is_ok_and(|status| complete(&status));
            walferry.kill9();
            if !complete {
                killed += 1;
            }
            walferry = Walferry::start(&self.settings, self.folder)?;
            if complete {
                over = true;
                break;
            }
        }
        walferry.wait_ready(READY);
        // A process that is started after the end does not tell of it.
        if !over {
            walferry.wait_status("the snapshot is complete", TAKEN, complete);
        }
        let took = begun.elapsed();
        let peak = walferry.usage().map_or(0, |it| it.rss_peak_bytes) >> 20;
        let counts = load.stop();
        let last = MixedLoad::last_statement("public");
        load::drain(&self.url, &format!("walferry_{}", self.name), &last, DRAIN)
            .with_context(|| format!("the rest did not arrive\n{}", walferry.log_tail()))?;
        // A kill before anything was published has the slot made anew.
        let log = std::fs::read_to_string(walferry.log_path())?;
        let created = log.lines().rfind(|line| line.contains("slot created"));
        let created: serde_json::Value = serde_json::from_str(created.context("no slot")?)?;
        let lsn = created["lsn"].as_str().and_then(parse_lsn);
        self.checker.rules.start = Start::Beside(lsn.context("no LSN of the slot")?);
        // A rewrite takes the places of its rows away, so that its topic is emptied and it is read anew.
        self.checker.rules.read_again = vec![ReadAgain {
            table: "public.log".to_owned(),
            from: 0,
        }];
        let report = self.checker.verdict()?;
        let audited = self.audit()?;
        print_line(&format!(
            "{}: {:?} complete after {:.1} s, {killed} kills and {rewrites} rewrites, peak RSS {peak} MiB, beside {} transactions; audit {}\n{report}",
            self.name,
            self.kind,
            took.as_secs_f64(),
            counts.committed,
            if audited { "clean" } else { "NOT CLEAN" }
        ));
        walferry.sigterm();
        walferry.wait_exit(READY);
        load::drop_slot(&self.url, &format!("walferry_{}", self.name))?;
        let clean = report.is_clean() && report.snapshot_rows > 0 && audited;
        if clean {
            self.checker.drop_slot()?;
        }
        Ok((killed, clean))
    }

    fn wait_for_rows(&self, walferry: &mut Walferry, more: u64) -> Result<()> {
        let (begun, before) = (Instant::now(), walferry.status().map_or(0, |it| rows(&it)));
        while begun.elapsed() < READY {
            match walferry.status() {
                Ok(status) if rows(&status) >= before + more || complete(&status) => return Ok(()),
                _ => thread::sleep(LOOK),
            }
        }
        bail!("no more rows within {READY:?}\n{}", walferry.log_tail())
    }

    fn command(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let file = self.settings.write(self.folder)?;
        let mut command = Command::new(binary()?);
        Ok(command.args(arguments).arg("-c").arg(file).output()?)
    }

    fn ask_for_all(&self) -> Result<()> {
        let tables = old_rows::tables();
        let mut arguments = vec!["snapshot", "start"];
        arguments.extend(tables.iter().map(String::as_str));
        let asked = self.command(&arguments)?;
        let said = String::from_utf8_lossy(&asked.stderr);
        ensure!(asked.status.success(), "snapshot start: {said}");
        Ok(())
    }

    fn audit(&self) -> Result<bool> {
        let audit = self.command(&["audit"])?;
        if !audit.status.success() {
            print_line(&String::from_utf8_lossy(&audit.stdout));
            print_line(&String::from_utf8_lossy(&audit.stderr));
        }
        Ok(audit.status.success())
    }
}

fn rows(status: &serde_json::Value) -> u64 {
    let tables = status["snapshot"].as_array().cloned().unwrap_or_default();
    tables.iter().filter_map(|it| it["rows"].as_u64()).sum()
}

/// Whether the snapshot of all tables is done, as far as the status tells of one.
fn complete(status: &serde_json::Value) -> bool {
    let tables = status["snapshot"].as_array().map_or(&[][..], Vec::as_slice);
    status["state"] == "streaming"
        && !tables.is_empty()
        && tables.iter().all(|table| table["state"] == "done")
}
