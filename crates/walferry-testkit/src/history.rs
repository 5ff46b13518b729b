//! A random history: DDL and DML of every kind in one session, while the connector is killed, stopped and started.
//!
//! Owns: the connector's runs and what only the writer knows (which key is in force from where on, and when a table is
//! not published). Never: servers, and the comparison itself. The same seed gives the same statements; where the
//! connector stands when they are committed is the machine's.
//! Start reading at [`run`]; the statements are in `writer`.

mod table;
mod writer;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::checker::{Checker, Report, Session};
use crate::load;
use crate::process::{Settings, Walferry};
use writer::Writer;

/// How long a start may take.
const READY: Duration = Duration::from_secs(120);
/// How long the rest may take after the last statement.
const DRAIN: Duration = Duration::from_secs(180);

/// Where and what.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// Seed of all choices.
    pub seed: u64,
    /// Statements of the history, those that are rolled back too.
    pub statements: u32,
    /// One restart in so many transactions, about.
    pub restart_every: u32,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The comparison with the witness.
    pub report: Report,
    /// Statements that changed a table or a publication.
    pub ddl: u32,
    /// Statements that changed rows.
    pub dml: u32,
    /// How often the connector was killed.
    pub kills: u32,
    /// How often it was stopped in order.
    pub stops: u32,
    /// Every statement, in order, to look at when something is wrong.
    pub script: String,
}

/// Runs one history in the empty database of `url`, whose name is the connector's too.
///
/// # Errors
/// A server does not answer, a statement fails, or the connector ends by itself.
pub fn run(
    options: &HistoryOptions,
    url: &str,
    settings: &Settings,
    servers: (&str, &str),
    folder: &Path,
) -> Result<Outcome> {
    let name = settings.name();
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut writer = Writer::create(url, &format!("walferry_{name}"), &mut random)?;
    let names = writer.table_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (brokers, registry) = servers;
    let mut checker = Checker::create(
        url,
        &format!("witness_{name}"),
        &names,
        brokers,
        registry,
        name,
    )?;
    let mut runs = Runs::begin(settings, folder)?;
    while writer.statements() < options.statements {
        writer
            .transaction(&mut random)
            .with_context(|| format!("the history so far:\n{}", writer.script()))?;
        runs.step(&mut random, options.restart_every)?;
    }
    runs.up()?;
    // What is not published now would not be drained.
    let last = writer.last()?;
    let drained = load::drain(url, &format!("walferry_{name}"), &last, DRAIN);
    let status = || runs.connector.as_ref().map(Walferry::status);
    drained.with_context(|| {
        let log = runs.connector.as_ref().map(Walferry::log_tail);
        format!(
            "the rest did not arrive: {:?}\n{}",
            status(),
            log.unwrap_or_default()
        )
    })?;
    writer.tell(&mut checker.rules);
    let report = checker.verdict()?;
    checker.drop_slot()?;
    runs.stop()?;
    load::drop_slot(url, &format!("walferry_{name}"))?;
    Ok(Outcome {
        report,
        ddl: writer.ddl,
        dml: writer.dml,
        kills: runs.kills,
        stops: runs.stops,
        script: writer.script().to_owned(),
    })
}

/// The connector, which is up or down.
struct Runs<'a> {
    settings: &'a Settings,
    folder: &'a Path,
    connector: Option<Walferry>,
    /// Transactions for which it stays down.
    rest: u32,
    kills: u32,
    stops: u32,
}

impl<'a> Runs<'a> {
    fn begin(settings: &'a Settings, folder: &'a Path) -> Result<Runs<'a>> {
        let mut first = Walferry::start(settings, folder)?;
        first.wait_status("streaming", READY, |it| it["state"] == "streaming");
        Ok(Runs {
            settings,
            folder,
            connector: Some(first),
            rest: 0,
            kills: 0,
            stops: 0,
        })
    }

    /// Now and then it is ended, and after a few transactions started again.
    fn step(&mut self, random: &mut StdRng, restart_every: u32) -> Result<()> {
        let Some(connector) = &mut self.connector else {
            self.rest = self.rest.saturating_sub(1);
            return if self.rest == 0 { self.start() } else { Ok(()) };
        };
        // The writer is faster than the connector; sometimes it lets it come up.
        std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
        if !random.random_ratio(1, restart_every.max(1)) {
            return Ok(());
        }
        if random.random_ratio(2, 3) {
            connector.kill9();
            self.kills += 1;
            self.connector = None;
        } else {
            self.stop()?;
            self.stops += 1;
        }
        self.rest = random.random_range(0..12);
        if self.rest == 0 { self.start() } else { Ok(()) }
    }

    fn start(&mut self) -> Result<()> {
        self.connector = Some(Walferry::start(self.settings, self.folder)?);
        Ok(())
    }

    fn up(&mut self) -> Result<()> {
        if self.connector.is_none() {
            self.start()?;
        }
        if let Some(connector) = &mut self.connector {
            connector.wait_status("streaming", READY, |it| it["state"] == "streaming");
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        if let Some(mut connector) = self.connector.take() {
            connector.sigterm();
            let code = connector.wait_exit(READY);
            // A signal that comes before the program listens for it ends it as a kill does.
            anyhow::ensure!(
                matches!(code, Some(0) | None),
                "SIGTERM ended it with {code:?}\n{}",
                connector.log_tail()
            );
        }
        Ok(())
    }
}

/// The LSN from which on what the session writes next stands.
fn next_lsn(session: &mut Session) -> Result<u64> {
    let text = session.value("select pg_current_wal_insert_lsn()")?;
    text.as_deref()
        .and_then(crate::checker::parse_lsn)
        .context("the server tells no LSN")
}
