//! Kills in the middle of resyncs: after a lost slot, and of single tables while the slot is whole.
//!
//! Owns: rounds until the kills are done, in one database under a load that does not stop. In each the connector is stopped, rows
//! change without it, every second time the slot is dropped, and a resync is begun, killed at random moments, and gone on with by
//! `walferry resync` or `walferry run` in turn, until it ends. In the end `walferry audit` and `agreement` judge the topics.
//! A kill is counted when it falls while the resync is under way.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use walferry_stack::Stack;
use walferry_testkit::checker::{Checker, Compared, Session, agreement, quote_literal};
use walferry_testkit::load::{self, MixedLoad, old_rows};
use walferry_testkit::process::{Settings, Walferry, binary, print_line};

use crate::plan::{DRAIN, Plan};

const NAME: &str = "resync";
/// A resync that takes longer is given up.
const TAKEN: Duration = Duration::from_secs(600);
/// How long a start or a stop may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at whether a process has ended.
const LOOK: Duration = Duration::from_millis(20);
/// Kills of one resync.
const KILLS_EACH: u32 = 6;

struct Campaign<'a> {
    url: String,
    folder: &'a Path,
    settings: Settings,
}

/// Whether every topic agrees with its table in the end.
pub(crate) fn campaign(plan: &Plan, stack: &Stack, folder: &Path) -> Result<bool> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let url = load::create_database(&stack.postgres.url(), NAME)?;
    old_rows::create_tables(&url)?;
    let tables = old_rows::tables();
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let (brokers, registry) = (stack.kafka.brokers(), stack.registry.url());
    let checker = Checker::create(&url, "witness", &names, &brokers, &registry, NAME)?;
    let keys = checker.rules.keys.clone();
    checker.drop_slot()?;
    old_rows::fill(&url, plan.rows)?;
    let mut settings = Settings::new(NAME, &url, &names, &brokers, NAME, &registry)?;
    settings.set("source.heartbeat_ms", "200");
    let campaign = Campaign {
        url,
        folder,
        settings,
    };
    let (begun, load) = (
        Instant::now(),
        MixedLoad::start(&campaign.url, &plan.mixed)?,
    );
    let (mut kills, mut resyncs) = (0, 0);
    while kills < plan.kills && plan.until.is_none_or(|it| begun.elapsed() < it) {
        let wanted = KILLS_EACH.min(plan.kills - kills);
        kills += campaign.round(&mut random, resyncs, plan.rows, wanted)?;
        resyncs += 1;
    }
    let _walferry = campaign.streaming(None)?;
    let counts = load.stop();
    let last = MixedLoad::last_statement("public");
    load::drain(&campaign.url, &format!("walferry_{NAME}"), &last, DRAIN)?;
    let compared = keys.into_iter().map(|(table, key)| Compared {
        topic: format!("{NAME}.{table}"),
        table,
        key,
        ..Compared::default()
    });
    let compared: Vec<Compared> = compared.collect();
    let found = agreement(&campaign.url, &brokers, &registry, &compared)?;
    let wrong: Vec<_> = found.iter().filter(|it| it.faults() > 0).collect();
    for it in &wrong {
        print_line(&format!("WRONG: {it}"));
    }
    let audited = campaign.audit()?;
    let clean = wrong.is_empty() && audited;
    print_line(&format!(
        "seed {}: {kills} kills in {resyncs} resyncs of {} rows beside {} transactions, {} tables compared, audit {}: {}",
        plan.seed,
        plan.rows,
        counts.committed,
        found.len(),
        if audited { "clean" } else { "NOT CLEAN" },
        if clean { "clean" } else { "NOT CLEAN" }
    ));
    Ok(clean)
}

impl Campaign<'_> {
    /// One resync with its kills.
    fn round(&self, random: &mut StdRng, number: u32, rows: u64, wanted: u32) -> Result<u32> {
        let mut walferry = self.streaming(None)?;
        walferry.wait_status("every row is read", TAKEN, |status| {
            let tables = status["snapshot"].as_array().map_or(&[][..], Vec::as_slice);
            tables.iter().all(|it| it["state"] == "done")
        });
        walferry.sigterm();
        ensure!(
            walferry.wait_exit(PATIENCE) == Some(0),
            "{}",
            walferry.log_tail()
        );
        old_rows::meddle(&self.url, number, false)?;
        let mut named: Vec<String> = Vec::new();
        if number.is_multiple_of(2) {
            let slot = quote_literal(&format!("walferry_{NAME}"));
            Session::connect(&self.url)?
                .execute(&format!("select pg_drop_replication_slot({slot})"))?;
        } else {
            let all = old_rows::tables();
            named.extend(all.into_iter().filter(|_| random.random_ratio(1, 2)));
        }
        // Slow enough to be in its middle for all of its kills.
        let rate = Some((rows / 10).max(500));
        let mut kills = 0;
        let mut process = self.resync(&named, rate)?;
        while kills < wanted {
            let until = Instant::now() + Duration::from_millis(random.random_range(0..3_000));
            while process.exited().is_none() && Instant::now() < until {
                thread::sleep(LOOK);
            }
            if process.exited().is_some() {
                break;
            }
            process.kill9();
            kills += 1;
            // A named one begins anew when it is asked for anew; whichever goes on does so where it stands.
            process = match random.random_ratio(1, 2) {
                true => self.resync(&named, rate)?,
                false => self.started(rate)?,
            };
        }
        // What was killed as it began may not have begun: it is asked for again.
        process.kill9();
        let mut last = self.resync(&named, None)?;
        let code = last.wait_exit(TAKEN);
        if code != Some(0) {
            bail!("the resync ended with {code:?}\n{}", last.log_tail());
        }
        Ok(kills)
    }

    fn paced(&self, rate: Option<u64>) -> Settings {
        let mut settings = self.settings.clone();
        if let Some(rate) = rate {
            settings
                .set("snapshot.chunk_rows", "500")
                .set("snapshot.rows_per_second_max", &rate.to_string())
                .set_text("publish.batch_bytes_max", "256 KiB");
        }
        settings
    }

    fn started(&self, rate: Option<u64>) -> Result<Walferry> {
        Walferry::start(&self.paced(rate), self.folder)
    }

    fn streaming(&self, rate: Option<u64>) -> Result<Walferry> {
        let mut walferry = self.started(rate)?;
        walferry.wait_status("streaming", PATIENCE, |it| it["state"] == "streaming");
        Ok(walferry)
    }

    fn resync(&self, tables: &[String], rate: Option<u64>) -> Result<Walferry> {
        let settings = self.paced(rate);
        let path = settings.write(self.folder)?;
        let mut arguments = vec!["resync", "-c", path.to_str().context("a path")?];
        arguments.extend(tables.iter().map(String::as_str));
        Walferry::start_with(&arguments, &settings, self.folder)
    }

    fn audit(&self) -> Result<bool> {
        let file = self.settings.write(self.folder)?;
        let mut command = Command::new(binary()?);
        let audit = command.arg("audit").arg("-c").arg(file).output()?;
        if !audit.status.success() {
            print_line(&String::from_utf8_lossy(&audit.stdout));
            print_line(&String::from_utf8_lossy(&audit.stderr));
        }
        Ok(audit.status.success())
    }
}
