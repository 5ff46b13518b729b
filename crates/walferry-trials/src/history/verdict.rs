//! The verdict on a history: what the witness says, what the topics say in the end, what the connector and its audit say.
//!
//! Owns: which disagreement is a fault. A table whose topic does not agree with it is none when the connector says so, with the
//! reason; in silence it is one. The audit has to see what the comparison sees, and nothing else.
//! Never: servers of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value as Json;

use super::runs::{Counts, Runs};
use walferry_testkit::checker::{Agreement, Compared, Report, agreement};
use walferry_testkit::process::{Settings, binary};

/// How long snapshots may take after the last change.
const READ: Duration = Duration::from_secs(240);
/// What the audit says of a table that the next start takes out of the publication, and that is whole until then.
const LEFT_OUT: &str = "the table is left out: PostgreSQL refuses the application's";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What is known of one table in the end.
#[derive(Clone, Debug)]
pub struct TableVerdict {
    /// The comparison with its topic.
    pub agreement: Agreement,
    /// What the connector says about what is missing.
    pub told: Option<String>,
    /// What the audit finds; none when it is not clean and has no sentence for it.
    pub audited: Audited,
}

/// What an audit finds of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audited {
    /// It was not asked.
    Not,
    /// Nothing.
    Clean,
    /// Faults, or reasons why it could not compare.
    Found(String),
}

impl TableVerdict {
    /// What is wrong and was said by nobody, or said wrongly.
    pub fn fault(&self) -> Option<String> {
        let name = &self.agreement.table;
        match (self.agreement.faults(), &self.told, &self.audited) {
            (1.., None, _) => Some(format!("SILENT {}", self.agreement)),
            (1.., _, Audited::Clean) => Some(format!("the audit is blind to {}", self.agreement)),
            (0, None, Audited::Found(found)) if !found.starts_with(LEFT_OUT) => Some(format!(
                "the audit finds what is not there in {name}: {found}"
            )),
            _ => None,
        }
    }
}

/// What came of a history.
#[derive(Debug)]
pub struct Outcome {
    /// The comparison with the witness.
    pub report: Report,
    /// The tables in the end.
    pub tables: Vec<TableVerdict>,
    /// What the audit says when it does not come to an end.
    pub audit_failed: Option<String>,
    /// Statements that changed a table or a publication.
    pub ddl: u32,
    /// Statements that changed rows.
    pub dml: u32,
    /// What happened to the connector.
    pub counts: Counts,
    /// What the history has.
    pub menu: String,
    /// Every statement, in order, to look at when something is wrong.
    pub script: String,
}

impl Outcome {
    /// Everything that is wrong.
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.tables.iter().filter_map(TableVerdict::fault).collect();
        if !self.report.is_clean() {
            faults.push(format!("the witness: {}", self.report));
        }
        faults.extend(
            self.audit_failed
                .iter()
                .map(|it| format!("the audit: {it}")),
        );
        faults
    }

    /// Tables about which the connector said that something is missing.
    pub fn told(&self) -> impl Iterator<Item = &TableVerdict> {
        self.tables.iter().filter(|it| it.told.is_some())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(
            out,
            "{} DDL, {} DML, {} kills, {} stops, {} snapshots asked for, {} resyncs, {} events and {} rows of snapshots, \
             {} tables compared ({} told as incomplete), {} refusals, {} wrong; {}",
            self.ddl,
            self.dml,
            counts.kills,
            counts.stops,
            counts.asked,
            counts.resyncs,
            self.report.observed - self.report.snapshot_rows,
            self.report.snapshot_rows,
            self.tables.len(),
            self.told().count(),
            counts.refusals.len(),
            self.faults().len(),
            self.menu
        )
    }
}

/// Where topics are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) url: &'a str,
    pub(super) brokers: &'a str,
    pub(super) registry: &'a str,
    pub(super) settings: &'a Settings,
    pub(super) folder: &'a Path,
}

impl Place<'_> {
    /// Compares until every table agrees with its topic or is told, at most for `settle` after the last row of a snapshot. Returns
    /// what is told of any table, too.
    pub(super) fn settled(
        &self,
        runs: &mut Runs<'_>,
        tables: &[Compared],
        settle: Duration,
    ) -> Result<(Vec<TableVerdict>, BTreeMap<String, String>)> {
        let (begun, mut read) = (Instant::now(), Instant::now());
        loop {
            let status = runs.connector.as_ref().context("it is down")?.status();
            let status = status.unwrap_or_default();
            let mut told = told(&status, &["left-out", "incomplete"]);
            let reading = reads(&status, &told);
            if runs.are_rows_asked_for() {
                told.extend(ended(&runs.log()?));
            }
            if reading {
                read = Instant::now();
            }
            anyhow::ensure!(
                begun.elapsed() < READ,
                "rows are still being read after {READ:?}: {}",
                status["snapshot"]
            );
            let found = agreement(self.url, self.brokers, self.registry, tables)?;
            // Of a table that is said to have too much, nothing else may be wrong.
            let mut surplus = self::told(&status, &["surplus"]);
            let only = |it: &&Agreement| it.faults() == it.extra;
            told.extend(
                found
                    .iter()
                    .filter(only)
                    .filter_map(|it| surplus.remove_entry(&it.table)),
            );
            let open = found
                .iter()
                .any(|it| it.faults() > 0 && !told.contains_key(&it.table));
            if (!open && !reading) || read.elapsed() > settle {
                let verdict = |agreement: Agreement| TableVerdict {
                    told: told.get(&agreement.table).cloned(),
                    agreement,
                    audited: Audited::Not,
                };
                let tables = found.into_iter().map(verdict).collect();
                return Ok((tables, told));
            }
            if let Some(connector) = &mut runs.connector {
                let ended = connector.exited();
                anyhow::ensure!(
                    ended.is_none(),
                    "walferry ended by itself ({ended:?})\n{}",
                    connector.log_tail()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Has the product compare the tables. What it says when it does not come to its end.
    pub(super) fn audit(
        &self,
        tables: &mut [TableVerdict],
        compared: &[Compared],
        secured: &[String],
    ) -> Result<Option<String>> {
        let named = tables.iter().map(|it| it.agreement.table.clone());
        // Through a policy it reads nothing, and says so of all of them.
        let named: Vec<String> = named.filter(|it| !secured.contains(it)).collect();
        if named.is_empty() {
            return Ok(None);
        }
        let path = self.settings.write(self.folder)?;
        let output = Command::new(binary()?)
            .args(["audit", "--json", "--patience", "60", "-c"])
            .arg(path)
            .args(&named)
            .output()?;
        let Ok(report) = serde_json::from_slice::<Json>(&output.stdout) else {
            let said = String::from_utf8_lossy(&output.stderr);
            return Ok(Some(said.trim().to_owned()));
        };
        for table in tables {
            let all = report["tables"].as_array().map_or(&[][..], Vec::as_slice);
            let name = &table.agreement.table;
            let found = all.iter().find(|it| it["name"] == name.as_str());
            let meant = compared.iter().find(|it| it.table == *name);
            if let (Some(found), Some(meant)) = (found, meant) {
                table.audited = audited(found, meant);
            }
        }
        Ok(None)
    }
}

/// What it finds, but for values that a rewrite gave another meaning, of which PostgreSQL tells nothing.
fn audited(found: &Json, compared: &Compared) -> Audited {
    let counts = [
        "missing",
        "extra",
        "different",
        "duplicates",
        "out_of_order",
        "split",
    ];
    let differences = found["differences"].as_array().cloned().unwrap_or_default();
    let rewritten = |it: &Json| {
        let columns = it["columns"].as_array().map_or(&[][..], Vec::as_slice);
        let columns = columns.iter().filter_map(Json::as_str);
        columns
            .into_iter()
            .all(|column| compared.meanings.contains_key(column))
    };
    let mut different = differences.iter().filter(|it| it["kind"] == "different");
    let known = different.clone().next().is_some() && different.all(rewritten);
    let mut parts: Vec<String> = Vec::new();
    for name in counts {
        let count = found[name].as_u64().unwrap_or_default();
        if count > 0 && !(name == "different" && known) {
            parts.push(format!("{name} {count}"));
        }
    }
    let reasons = found["incomplete"].as_array().cloned().unwrap_or_default();
    parts.extend(reasons.iter().filter_map(Json::as_str).map(str::to_owned));
    if parts.is_empty() {
        return Audited::Clean;
    }
    parts.extend(differences.iter().take(3).map(Json::to_string));
    Audited::Found(parts.join("; "))
}

/// The tables that the connector shows in one of these states, with the reason.
fn told(status: &Json, states: &[&str]) -> BTreeMap<String, String> {
    let tables = status["tables"].as_array().map_or(&[][..], Vec::as_slice);
    let lacking = |it: &&Json| states.iter().any(|state| it["state"] == *state);
    let said = |it: &Json| {
        let reason = it["reason"].as_str().filter(|it| !it.is_empty())?;
        Some((it["name"].as_str()?.to_owned(), reason.to_owned()))
    };
    tables.iter().filter(lacking).filter_map(said).collect()
}

/// The tables whose snapshots that were asked for have ended with a reason, and none was complete since: where all rows come by
/// being asked for, they are missing.
fn ended(log: &str) -> BTreeMap<String, String> {
    let (mut asked, mut ended) = (BTreeMap::new(), BTreeMap::new());
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<Json>(line) else {
            continue;
        };
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match text("message").as_str() {
            "snapshot asked for" => {
                asked.insert(text("id"), text("tables"));
            }
            "a snapshot that was asked for cannot go on" => {
                if let Some(table) = asked.get(&text("id")) {
                    ended.insert(table.clone(), text("reason"));
                }
            }
            "snapshot of a table is complete" => {
                ended.remove(&text("table"));
            }
            _ => {}
        }
    }
    ended
}

/// Whether rows are still being read, but for those of tables that are told and wait for somebody.
fn reads(status: &Json, told: &BTreeMap<String, String>) -> bool {
    let tables = status["snapshot"].as_array().map_or(&[][..], Vec::as_slice);
    let over = ["done", "failed", "cancelled", "paused"];
    let open = |it: &Json| {
        it["state"]
            .as_str()
            .is_some_and(|state| !over.contains(&state))
    };
    let waits = |it: &Json| {
        let reason = it["name"].as_str().and_then(|name| told.get(name));
        reason.is_some_and(|reason| reason.contains("its snapshot waits"))
    };
    tables.iter().any(|it| open(it) && !waits(it))
}
