//! A random history: DDL and DML of every kind in one session, while the connector is killed, stopped and started.
//!
//! Owns: the order of a history. The same seed gives the same statements; where the connector stands when they are committed is
//! the machine's. Three judges look at it: the witness at each change, `agreement` at what the topics say in the end, and
//! `walferry audit`. Never: servers.
//! Start reading at [`run`]; the statements are in `writer`, the verdict in `verdict`.

mod lsn;
mod menu;
mod runs;
mod table;
mod verdict;
mod writer;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use menu::{Kind, Menu, Snapshot};
pub use runs::Counts;
use runs::{Runs, TOKEN};
use verdict::Place;
pub use verdict::{Audited, Outcome, TableVerdict};
use walferry_testkit::checker::{Checker, ReadAgain, Session, Start, parse_lsn};
use walferry_testkit::load;
use walferry_testkit::process::{Settings, Walferry};
use writer::Writer;

/// How long the rest may take after the last statement.
const DRAIN: Duration = Duration::from_secs(90);

/// Where and what.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// Seed of all choices.
    pub seed: u64,
    /// Statements of the history, those that are rolled back too.
    pub statements: u32,
    /// One restart in so many transactions, about; by the seed when it is not said.
    pub restart_every: Option<u32>,
    /// Rows of each table before the start, where a snapshot reads them.
    pub rows: u32,
    /// What the history has; by the seed when it is not said.
    pub kinds: Option<Vec<Kind>>,
    /// How the first rows come; by the seed when it is not said.
    pub snapshot: Option<Snapshot>,
    /// How long tables and topics may take to agree after the last change.
    pub settle: Duration,
}

impl HistoryOptions {
    /// The defaults of a seed.
    pub fn new(seed: u64) -> HistoryOptions {
        HistoryOptions {
            seed,
            statements: 300,
            restart_every: None,
            rows: 600,
            kinds: None,
            snapshot: None,
            settle: Duration::from_secs(40),
        }
    }

    fn menu(&self, random: &mut StdRng) -> Menu {
        let mut menu = Menu::of(random);
        if let Some(kinds) = &self.kinds {
            menu.kinds.clone_from(kinds);
        }
        menu.snapshot = self.snapshot.unwrap_or(menu.snapshot);
        menu.restart_every = self.restart_every.unwrap_or(menu.restart_every);
        menu
    }
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
    let mut random = StdRng::seed_from_u64(options.seed);
    let menu = options.menu(&mut random);
    let name = settings.name().to_owned();
    let settings = configured(settings, url, &menu)?;
    let rows = match menu.snapshot {
        Snapshot::Never => 0,
        _ => options.rows,
    };
    let role = role(&name);
    let publication = format!("walferry_{name}");
    let owner = (publication.as_str(), role.as_str());
    let mut writer = Writer::new(url, owner, menu.clone())?;
    let names = writer.table_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (brokers, registry) = servers;
    let witness = format!("witness_{name}");
    // It has to know every row from the first on.
    let mut checker = Checker::create(url, &witness, &names, brokers, registry, &name)?;
    writer.make_tables(rows, &mut random)?;
    if matches!(menu.snapshot, Snapshot::Never | Snapshot::Asked) {
        writer.publish_tables()?;
    }
    let mut runs = Runs::begin(&settings, folder, &menu, &mut writer)?;
    let place = Place {
        url,
        brokers,
        registry,
        settings: &settings,
        folder,
    };
    let outcome = judged(
        options,
        &mut random,
        &mut writer,
        &mut runs,
        &mut checker,
        place,
    );
    let outcome = outcome.with_context(|| format!("{menu}; the history:\n{}", writer.script()))?;
    checker.drop_slot()?;
    runs.stop()?;
    load::drop_slot(url, &publication)?;
    Ok(outcome)
}

/// The history itself, and the verdict on it.
fn judged(
    options: &HistoryOptions,
    random: &mut StdRng,
    writer: &mut Writer,
    runs: &mut Runs<'_>,
    checker: &mut Checker,
    place: Place<'_>,
) -> Result<Outcome> {
    while writer.statements() < options.statements {
        writer.transaction(random)?;
        runs.step(writer, random)?;
    }
    runs.refused(writer)?;
    runs.up()?;
    let slot = format!("walferry_{}", place.settings.name());
    load::drain(place.url, &slot, &writer.last(), DRAIN).with_context(|| {
        let connector = runs.connector.as_ref();
        let status = connector.map(Walferry::status);
        let log = connector.map(Walferry::log_tail).unwrap_or_default();
        format!("the rest did not arrive: {status:?}\n{log}")
    })?;
    let compared = writer.compared(place.settings.name());
    let (mut tables, told) = place.settled(runs, &compared, options.settle)?;
    writer.tell(&mut checker.rules);
    // Of a table that the connector says is not whole, changes may be absent.
    let told = told.into_keys();
    checker
        .rules
        .read_again
        .extend(told.map(|table| ReadAgain { table, from: 0 }));
    checker.rules.start = Start::Streamed(slot_created(&runs.log()?)?);
    let report = checker.verdict()?;
    let audit_failed = place.audit(&mut tables, &compared, &writer.secured())?;
    Ok(Outcome {
        report,
        tables,
        audit_failed,
        ddl: writer.ddl,
        dml: writer.dml,
        counts: runs.counts.clone(),
        menu: writer.menu().to_string(),
        script: writer.script().to_owned(),
    })
}

/// A role that is no superuser, and owns every table.
fn role(name: &str) -> String {
    format!("role_{name}")
}

fn configured(settings: &Settings, url: &str, menu: &Menu) -> Result<Settings> {
    let name = settings.name();
    let role = role(name);
    Session::connect(url)?.execute(&format!(
        "create role {role} login replication; grant create on database {name} to {role};
         grant usage, create on schema public to {role}"
    ))?;
    let (scheme, rest) = url.split_once("://").context("a URL")?;
    let (_, address) = rest.split_once('@').context("a URL with a role")?;
    let mut settings = settings.clone();
    settings
        .set_text("source.url", &format!("{scheme}://{role}@{address}"))
        .set("source.heartbeat_ms", "200")
        .set_text("admin.token", TOKEN)
        .set("snapshot.chunk_rows", "50")
        .set("snapshot.rows_per_second_max", "500");
    if menu.leaves {
        settings.set_text("source.partitions", "leaf");
    }
    match menu.snapshot {
        Snapshot::Consistent => {}
        Snapshot::Beside => {
            settings.set("snapshot.while_streaming", "true");
        }
        Snapshot::Never | Snapshot::Asked => {
            settings.set_text("snapshot.mode", "never");
        }
    }
    Ok(settings)
}

/// Where the connector's slot begins; one that is killed before it has published anything makes it anew.
fn slot_created(log: &str) -> Result<u64> {
    let created = log.lines().rfind(|line| line.contains("slot created"));
    let created: serde_json::Value = serde_json::from_str(created.context("no slot was created")?)?;
    let lsn = created["lsn"].as_str().and_then(parse_lsn);
    lsn.context("the slot was created without a word where")
}
