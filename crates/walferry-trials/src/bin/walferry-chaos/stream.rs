//! Kills under a mixed load of a connector that streams.
//!
//! Owns: one campaign and its verdict. Four kills in ten fall into a start; tables get other files meanwhile.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use walferry_stack::Stack;
use walferry_testkit::checker::Checker;
use walferry_testkit::load::{self, MixedLoad};
use walferry_testkit::process::{Settings, Walferry, print_line};

use crate::plan::{DRAIN, Plan, READY, kill_server};

/// Whether all counts are zero.
pub(crate) fn campaign(plan: &Plan, stack: &mut Stack, folder: &Path) -> Result<bool> {
    let url = load::create_database(&stack.postgres.url(), "chaos")?;
    MixedLoad::create_tables(&url, "public")?;
    let tables = MixedLoad::tables("public");
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let (brokers, registry) = (stack.kafka.brokers(), stack.registry.url());
    let checker = Checker::create(&url, "witness", &names, &brokers, &registry, "chaos")?;
    let settings = Settings::new("chaos", &url, &names, &brokers, "chaos", &registry)?;

    let mut walferry = Walferry::start(&settings, folder)?;
    let first_start = walferry.wait_ready(READY);
    // Until then a kill would begin the snapshot anew, and rows of the load would come as rows of a snapshot.
    walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
    print_line(&format!(
        "first start: ready after {} ms",
        first_start.as_millis()
    ));
    let load = MixedLoad::start(&url, &plan.mixed)?;
    let outcome = killing(plan, stack, &url, &tables, &settings, folder, &mut walferry)?;
    let counts = load.stop();
    print_line(&format!(
        "load: {} transactions committed, {} rolled back, {} failed with their server, {} statements",
        counts.committed, counts.rolled_back, counts.failed, counts.statements
    ));

    if walferry.exited().is_some() {
        walferry = Walferry::start(&settings, folder)?;
    }
    walferry.wait_ready(READY);
    let last = MixedLoad::last_statement("public");
    let drained = load::drain(&url, "walferry_chaos", &last, DRAIN)
        .with_context(|| format!("the rest did not arrive\n{}", walferry.log_tail()))?;
    print_line(&format!("drained within {} ms", drained.as_millis()));
    let report = checker.verdict()?;
    walferry.sigterm();
    let code = walferry.wait_exit(Duration::from_secs(30));
    print_line(&format!(
        "seed {}: kills {} ({} during a start, {} of servers), {} rewrites, own exits {}, SIGTERM exit {code:?}",
        plan.seed,
        outcome.kills,
        outcome.early,
        outcome.servers,
        outcome.rewrites,
        outcome.own_exits
    ));
    print_line(&report.to_string());
    Ok(report.is_clean() && outcome.own_exits == 0 && code == Some(0) && report.expected > 0)
}

#[derive(Default)]
struct Outcome {
    kills: u32,
    early: u32,
    servers: u32,
    rewrites: u32,
    own_exits: u32,
}

fn killing(
    plan: &Plan,
    stack: &mut Stack,
    url: &str,
    tables: &[String],
    settings: &Settings,
    folder: &Path,
    walferry: &mut Walferry,
) -> Result<Outcome> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let (mut outcome, begun) = (Outcome::default(), Instant::now());
    while outcome.kills < plan.kills && plan.until.is_none_or(|until| begun.elapsed() < until) {
        // Four in ten fall into the start, which takes less than a second; the others into the stream.
        let early = random.random_ratio(4, 10);
        let wait_ms = random.random_range(if early { 0..700 } else { 500..3_000 });
        thread::sleep(Duration::from_millis(wait_ms));
        if !plan.servers.is_empty() && random.random_ratio(1, 4) {
            let server = &plan.servers[random.random_range(0..plan.servers.len())];
            let down = Duration::from_millis(random.random_range(0..3_000));
            kill_server(server, stack, down)?;
            outcome.servers += 1;
        }
        if random.random_ratio(1, 3) {
            outcome.rewrites += u32::from(load::rewrite(url, tables, &mut random)?.is_some());
        }
        if let Some(status) = walferry.exited() {
            outcome.own_exits += 1;
            print_line(&format!(
                "walferry ended by itself ({status}):\n{}",
                walferry.log_tail()
            ));
        } else {
            outcome.early += u32::from(walferry.get("/readyz").map_or(true, |it| it.status != 200));
            walferry.kill9();
            outcome.kills += 1;
        }
        *walferry = Walferry::start(settings, folder)?;
        if outcome.kills > 0 && outcome.kills % 10 == 0 {
            print_line(&format!(
                "{} kills after {} s",
                outcome.kills,
                begun.elapsed().as_secs()
            ));
        }
    }
    Ok(outcome)
}
