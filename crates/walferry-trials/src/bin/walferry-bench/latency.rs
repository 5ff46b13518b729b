//! Freshness at a pace: from before a commit is sent to its row being readable with `read_committed`.
//!
//! Owns: the figures of [`Bench::latency`], and [`Bench::paced`], which another measurement lets run beside its own work.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use walferry_testkit::checker::Session;
use walferry_testkit::load::bench::{self, SentTimes};
use walferry_testkit::process::{Walferry, print_line};
use walferry_testkit::topics::{Ends, Reader, key_long};

use crate::{ASK_EVERY, Bench, READY};

/// Before the first figure, since the broker compiles its code while it runs.
const WARM_UP_SECONDS: u64 = 10;

/// Latencies of the rows of a load, and what the connector took meanwhile.
pub(crate) struct Paced {
    /// From before the commit is sent to readable, in microseconds, in order of size.
    latencies_us: Vec<i64>,
    rows_per_second: f64,
    cores: f64,
}

impl std::fmt::Display for Paced {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| {
            let last = self.latencies_us.len() - 1;
            self.latencies_us[(last as f64 * share) as usize] as f64 / 1e3
        };
        write!(
            out,
            "sent at {:.0}/s: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms, Walferry {:.2} cores; from \
             before the commit is sent to readable",
            self.rows_per_second,
            at(0.50),
            at(0.95),
            at(0.99),
            at(1.0),
            self.cores
        )
    }
}

impl Bench {
    /// Freshness at a rate of rows a second, for so many seconds.
    pub(crate) fn latency(&self, rate: u64, seconds: u64) -> Result<()> {
        let name = format!("paced{rate}");
        let mut walferry = Walferry::start(&self.settings(&name)?, &self.folder)?;
        walferry.wait_ready(READY);
        let paced = self.paced(&walferry, &name, rate, seconds)?;
        walferry.sigterm();
        walferry.wait_exit(READY);
        self.drop_slot(&name)?;
        print_line(&format!("latency at {rate}/s, {paced}"));
        Ok(())
    }

    /// Inserts rows at a pace and reads them from the connector's topic as they come.
    pub(crate) fn paced(
        &self,
        walferry: &Walferry,
        name: &str,
        rate: u64,
        seconds: u64,
    ) -> Result<Paced> {
        let topic = format!("{name}.public.bench");
        let before = Session::connect(&self.url)?.value("select max(id) from public.bench")?;
        let first = 1 + before.map_or(Ok(0), |id| id.parse::<u64>())?;
        let warm_up = SentTimes::new(first, rate.min(1_000) * WARM_UP_SECONDS);
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
        latencies_us.sort_unstable();
        Ok(Paced {
            latencies_us,
            rows_per_second: times.rows() as f64 / took.as_secs_f64(),
            cores: cpu / took.as_secs_f64(),
        })
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
