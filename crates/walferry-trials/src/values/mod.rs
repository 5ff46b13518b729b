//! Random values of every type through PostgreSQL and Walferry, against what PostgreSQL's own casts say of them.
//!
//! Owns: families of types with a seeded maker and an oracle for each column (`family`, `scalars`, `numbers`, `moments`, `composed`), the
//! tables, and the comparison. Each family is a table of its name. Half of its rows are there before the connector starts, so that its
//! snapshot reads them; the others come while it streams. What the topic shows is decoded by `apache-avro` with the registry's
//! schema alone and rendered as one text a value; the oracle gives the same text by SQL. Both are read in the order of the
//! rows and compared as they come, so that memory does not grow with their number.
//! Never: code of the product. Invariant: same seed and rows, same values.
//!
//! Start reading at [`Campaign`], then `oracle`.

mod composed;
mod family;
mod modes;
mod moments;
mod numbers;
mod observed;
mod oracle;
mod random;
mod rendered;
mod scalars;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use family::Family;
use observed::Observed;
use walferry_stack::Coordinates;
use walferry_testkit::checker::{Session, quote_identifier, quote_literal};
use walferry_testkit::load;
use walferry_testkit::process::{Settings, Walferry};

pub use modes::{MODES, Modes};

/// How long a connector may take to take the snapshot of all rows.
const READY: Duration = Duration::from_secs(600);
/// How long the streamed half may take.
const DRAIN: Duration = Duration::from_secs(600);
/// Bytes of values in one INSERT.
const STATEMENT_BYTES: usize = 256 << 10;
/// Rows that the oracle's thread hands over at once, and how many such parcels wait.
const PARCEL_ROWS: usize = 256;
const PARCELS: usize = 8;
/// Differences of a family that are told in full.
const EXAMPLES: usize = 5;

/// A row as the oracle has it.
type Expected = Vec<Option<String>>;

/// What is compared, on which servers.
pub struct Campaign {
    servers: Coordinates,
    url: String,
    folder: PathBuf,
    families: Vec<Family>,
    name: String,
    seed: u64,
    rows: u64,
}

/// One family under one combination of modes.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The family's name.
    pub family: &'static str,
    /// The name of the modes.
    pub modes: &'static str,
    /// How many values were compared.
    pub compared: u64,
    /// How many were not what PostgreSQL says.
    pub differences: u64,
    /// Some of these.
    pub examples: Vec<String>,
}

impl Campaign {
    /// Creates a database with the families' tables. `name` is that of the database and the beginning of the topics' names.
    pub fn create(servers: &Coordinates, name: &str, seed: u64, rows: u64) -> Result<Campaign> {
        let url = load::create_database(&servers.postgres_url, name)?;
        let mut session = Session::connect(&url)?;
        session.execute(oracle::FUNCTIONS)?;
        let major = session.value("select current_setting('server_version_num')::int / 10000")?;
        let major: u32 = major.context("no version")?.parse()?;
        let mut families: Vec<Family> = scalars::families();
        families.extend(composed::families());
        for family in &mut families {
            family.columns.retain(|column| column.since <= major);
            session.execute(family.types)?;
            let columns: Vec<String> = family
                .columns
                .iter()
                .map(|it| format!("{} {}", quote_identifier(it.name), it.data_type))
                .collect();
            session.execute(&format!(
                "create table {} (id bigint primary key, {})",
                family.name,
                columns.join(", ")
            ))?;
        }
        session.execute("create table last (id bigint primary key)")?;
        Ok(Campaign {
            servers: servers.clone(),
            url,
            folder: std::env::temp_dir().join(format!("walferry-values-{name}")),
            families,
            name: name.to_owned(),
            seed,
            rows,
        })
    }

    /// Inserts the first half of the rows of every family.
    pub fn fill(&self) -> Result<()> {
        self.insert(1, self.rows / 2)
    }

    /// Follows all tables in these modes and compares. The second half of the rows is inserted while the connector
    /// streams, unless it is there already.
    pub fn run(&self, modes: &'static Modes) -> Result<Vec<Outcome>> {
        let name = format!("{}_{}", self.name, modes.name);
        let applies = |family: &&Family| (family.applies)(modes);
        let followed = self.families.iter().filter(applies);
        let mut tables: Vec<String> = followed.map(|it| format!("public.{}", it.name)).collect();
        tables.push("public.last".to_owned());
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let mut settings = Settings::new(
            &name,
            &self.url,
            &tables,
            &self.servers.kafka_brokers,
            &name,
            &self.servers.registry_url,
        )?;
        modes.set(&mut settings);
        let mut walferry = Walferry::start(&settings, &self.folder)?;
        walferry.wait_ready(READY);
        walferry.wait_status("streaming", READY, |it| it["state"] == "streaming");
        let mut session = Session::connect(&self.url)?;
        let last = session.value("select count(*) from numbers")?;
        if last.as_deref() != Some(&self.rows.to_string()) {
            self.insert(self.rows / 2 + 1, self.rows)?;
        }
        let slot = format!("walferry_{name}");
        let sql = "insert into last select coalesce(max(id), 0) + 1 from last";
        load::drain(&self.url, &slot, sql, DRAIN)
            .with_context(|| format!("the rest did not arrive\n{}", walferry.log_tail()))?;
        let mut outcomes = Vec::new();
        for family in self.families.iter().filter(applies) {
            let compared = self.compare(family, modes, &format!("{name}.public.{}", family.name));
            outcomes.push(
                compared
                    .with_context(|| format!("family {}, modes {}", family.name, modes.name))?,
            );
        }
        walferry.sigterm();
        walferry.wait_exit(READY);
        load::drop_slot(&self.url, &slot)?;
        Ok(outcomes)
    }

    /// Inserts the rows `first..=last` of every family, each row from a seed of its own.
    fn insert(&self, first: u64, last: u64) -> Result<()> {
        let mut session = Session::connect(&self.url)?;
        session.execute(&format!(
            "{}; set synchronous_commit = off",
            oracle::SESSION
        ))?;
        for (number, family) in self.families.iter().enumerate() {
            let insert = format!("insert into {} values ", family.name);
            let mut sql = insert.clone();
            for id in first..=last {
                let seed =
                    self.seed ^ (number as u64) << 48 ^ id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                sql.push_str(&row(family, id, &mut StdRng::seed_from_u64(seed)));
                if sql.len() > STATEMENT_BYTES || id == last {
                    session
                        .execute(&sql)
                        .with_context(|| format!("rows of {} up to {id}", family.name))?;
                    sql.clone_from(&insert);
                } else {
                    sql.push(',');
                }
            }
        }
        Ok(())
    }

    fn compare(&self, family: &Family, modes: &'static Modes, topic: &str) -> Result<Outcome> {
        let (parcels, expected) = mpsc::sync_channel::<Vec<Expected>>(PARCELS);
        let question = question(family, modes);
        let mut outcome = Outcome {
            family: family.name,
            modes: modes.name,
            compared: 0,
            differences: 0,
            examples: Vec::new(),
        };
        thread::scope(|scope| {
            let (url, question) = (&self.url, &question);
            let asking = scope.spawn(move || ask(url, question, parcels));
            let mut ahead = Ahead::new(expected);
            let mut observed = Observed::new(&self.servers.registry_url);
            let read = observed.read(&self.servers.kafka_brokers, topic, |row| {
                let expected = ahead.take(&row)?;
                outcome.compare(family, &expected, &row)
            });
            let rest = ahead.rest();
            asking
                .join()
                .unwrap_or_else(|_| bail!("the oracle's thread panicked"))?;
            read?;
            if rest > 0 {
                bail!("{rest} rows of the table are not in the topic");
            }
            Ok(())
        })?;
        Ok(outcome)
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

impl Outcome {
    fn compare(
        &mut self,
        family: &Family,
        expected: &Expected,
        row: &[(String, Option<String>)],
    ) -> Result<()> {
        let Some((id, expected)) = expected.split_first() else {
            bail!("the oracle gave a row without columns")
        };
        for (column, expected) in family.columns.iter().zip(expected) {
            let found = row.iter().find(|(name, _)| name == column.name);
            let found =
                found.with_context(|| format!("the record has no field {}", column.name))?;
            self.compared += 1;
            if found.1 != *expected {
                self.differences += 1;
                if self.examples.len() < EXAMPLES {
                    self.examples.push(format!(
                        "row {} {} {}: PostgreSQL says {expected:?}, the record {:?}",
                        id.as_deref().unwrap_or_default(),
                        column.name,
                        column.data_type,
                        found.1
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Rows of the oracle that the topic has not shown yet.
struct Ahead {
    rows: Box<dyn Iterator<Item = Expected>>,
    waiting: HashMap<String, Expected>,
}

impl Ahead {
    fn new(parcels: mpsc::Receiver<Vec<Expected>>) -> Ahead {
        Ahead {
            rows: Box::new(parcels.into_iter().flatten()),
            waiting: HashMap::new(),
        }
    }

    /// The oracle's row of the same number as the topic's.
    fn take(&mut self, row: &[(String, Option<String>)]) -> Result<Expected> {
        let id = row.first().and_then(|(_, id)| id.as_deref());
        let id = id.context("a record has no number")?;
        if let Some(expected) = self.waiting.remove(id) {
            return Ok(expected);
        }
        for expected in self.rows.by_ref() {
            match expected.first() {
                Some(Some(found)) if found == id => return Ok(expected),
                Some(Some(found)) => self.waiting.insert(found.clone(), expected),
                _ => bail!("the oracle gave a row without a number"),
            };
        }
        bail!("row {id} is twice in the topic, or not in the table")
    }

    /// How many rows the topic has not shown.
    fn rest(self) -> usize {
        self.waiting.len() + self.rows.count()
    }
}

/// The values of one row between parentheses: the edges first, then random ones, one in twenty NULL.
fn row(family: &Family, id: u64, random: &mut StdRng) -> String {
    let mut values = vec![id.to_string()];
    for column in &family.columns {
        let edge = usize::try_from(id - 1)
            .ok()
            .and_then(|at| column.edges.get(at));
        values.push(match edge {
            Some(edge) => quote_literal(edge),
            None if random.random_ratio(1, 20) => "NULL".to_owned(),
            None => quote_literal(&(column.make)(random)),
        });
    }
    format!("({})", values.join(","))
}

fn question(family: &Family, modes: &Modes) -> String {
    let columns: Vec<String> = family
        .columns
        .iter()
        .map(|it| (it.oracle)(modes, &format!("t.{}", quote_identifier(it.name))))
        .collect();
    format!(
        "select id::text, {} from {} t order by t.id",
        columns.join(", "),
        family.name
    )
}

/// Reads the oracle's answer. A comparison that has ended early is no error here.
fn ask(url: &str, question: &str, parcels: mpsc::SyncSender<Vec<Expected>>) -> Result<()> {
    let mut session = Session::connect(url)?;
    session.execute(oracle::SESSION)?;
    let mut parcel = Vec::with_capacity(PARCEL_ROWS);
    session.query_each(question, |row| {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        parcel.push(row.iter().map(|value| value.map(text)).collect());
        if parcel.len() == PARCEL_ROWS {
            let full = std::mem::replace(&mut parcel, Vec::with_capacity(PARCEL_ROWS));
            let _ = parcels.send(full);
        }
        Ok(())
    })?;
    let _ = parcels.send(parcel);
    Ok(())
}
