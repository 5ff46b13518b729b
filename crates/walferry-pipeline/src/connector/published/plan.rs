//! What is to be done about the differences of a look, with what their remedies need.
//!
//! Owns the facts of each case and the words for the operator. Never: changes anything.
//! Start reading at `plan`.

use walferry_postgres::{Catalog, RelationKind, TableInfo, quote_ident, quote_literal};

use crate::{
    config::Config,
    connector::published::{
        compare::{Change, Difference, differences},
        facts::{case, narrowed, topics_missing},
        look::{Look, Seen},
        remedy::{self, Case, Remedy},
        renewal::is_stale,
    },
    error::Error,
    position::{
        published_record::{Entry, KnownLack, Mend, Publication, Record, RecordChange},
        snapshot_id::SnapshotId,
        snapshot_progress::TableJob,
    },
    status::Status,
};

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Tables to be read, and partitions, and topics to be looked through.
    pub(crate) jobs: Vec<TableJob>,
    /// Tables to be added to the publication before they are read.
    pub(crate) add: Vec<TableInfo>,
    /// Tables of which the publication shows other rows or columns than it is to show, until we have put that back.
    pub(crate) relimit: Vec<TableInfo>,
    /// What the record is to say.
    pub(crate) change: RecordChange,
    /// Tables that are left out, and why.
    pub(crate) left_out: Vec<(String, String)>,
    /// What is said of tables that are followed.
    pub(crate) told: Vec<Told>,
    /// Tables of which changes are missing for as long as something stands, and what mends that.
    pub(crate) standing: Vec<(String, Mend)>,
    /// Differences that wait until the stream has begun anew.
    pub(crate) stale: Vec<Difference>,
}

/// Something that is said of a table.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) table: String,
    /// The row of the table of remedies.
    pub(crate) row: &'static str,
    /// What happened, for the log; nothing of what everybody may expect.
    pub(crate) words: Option<String>,
    /// What is known to be wrong from here on.
    pub(crate) lack: Option<KnownLack>,
}

impl Plan {
    /// Whether the connector has to do or remember anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
            && self.add.is_empty()
            && self.relimit.is_empty()
            && self.change.is_empty()
    }

    /// The names of the tables that are read from their beginning.
    pub(crate) fn read(&self) -> Vec<String> {
        let whole = self.jobs.iter().filter(|it| it.condition.is_none());
        whole.map(|it| it.shown.name.clone()).collect()
    }
}

/// The differences between a record and a look, and what is to be done about each; but for those for which the stream has to begin
/// anew, and has not (`renewed`; none: it is only asked what is different).
pub(crate) async fn plan(
    config: &Config,
    catalog: &Catalog,
    before: &Record,
    now: &Look,
    renewed: Option<&[Difference]>,
) -> Result<Plan, Error> {
    let mut plan = Plan {
        left_out: now.refused.clone().into_iter().collect(),
        ..Plan::default()
    };
    let differences = differences(before, now);
    let topics = topics_missing(config, &differences, now).await?;
    for difference in &differences {
        let Some(seen) = now.tables.get(&difference.table) else {
            plan.gone(difference, before, now);
            continue;
        };
        let old = before.tables.get(&difference.table);
        let waits = |done: &[Difference]| !done.contains(difference);
        let version = catalog.server_version();
        if renewed.is_some_and(waits) && is_stale(version, &difference.change, old, seen) {
            plan.stale.push(difference.clone());
            continue;
        }
        let case = case(config, catalog, before, now, difference, seen, &topics).await?;
        let row = remedy::decide(&case);
        plan.add_remedy(config, catalog, &case, row, old, seen)
            .await?;
    }
    plan.unlogged(catalog, before, now).await?;
    plan.narrowed(config, before, now);
    let publication = now.publication.as_ref().map(|it| Publication {
        operations: united(before.publication.as_ref(), it),
        ..it.clone()
    });
    if publication != before.publication {
        plan.change.publication = Some(publication);
    }
    Ok(plan)
}

/// Every operation that was published once.
fn united(before: Option<&Publication>, now: &Publication) -> String {
    let before = before.map_or("", |it| &it.operations);
    let either = |it: &char| before.contains(*it) || now.operations.contains(*it);
    "iudt".chars().filter(either).collect()
}

impl Plan {
    /// A table that is not there any more, or not chosen any more.
    fn gone(&mut self, difference: &Difference, before: &Record, now: &Look) {
        let name = &difference.table;
        let oid = before.tables.get(name).map(|it| it.oid);
        let renamed = now
            .tables
            .iter()
            .find(|(_, seen)| Some(seen.info.oid) == oid);
        let words = match renamed {
            Some((to, _)) => format!("the table is called {to} now"),
            None => {
                "the table was dropped, renamed or made unlogged, or is not chosen any more".into()
            }
        };
        self.change.entries.push((name.clone(), None));
        if now.refused.contains_key(name) {
            return;
        }
        self.told.push(Told {
            table: name.clone(),
            row: "gone",
            words: Some(format!("{words}; its topic stays as it is")),
            lack: None,
        });
    }

    /// Does what a remedy says of one table.
    async fn add_remedy(
        &mut self,
        config: &Config,
        catalog: &Catalog,
        case: &Case,
        row: &'static remedy::Row,
        old: Option<&Entry>,
        seen: &Seen,
    ) -> Result<(), Error> {
        let name = seen.info.qualified_name();
        let rows = u64::try_from(seen.info.rows_estimated).unwrap_or(0);
        let mut entry = seen.entry();
        let mut lack = None;
        match row.remedy {
            Remedy::Ignore => return Ok(()),
            Remedy::LeaveOut => {
                self.left_out.push((name, left_out(config, case)));
                return Ok(());
            }
            Remedy::Note | Remedy::Forget => {}
            Remedy::Read => {
                let mut job = TableJob::new(name.clone(), SnapshotId::Added, rows);
                (job.added, job.mends) = (true, true);
                self.jobs.push(job);
            }
            Remedy::ReadAgain => {
                let mut job = TableJob::new(name.clone(), SnapshotId::Added, rows);
                (job.added, job.mends) = (true, true);
                (job.sweep, job.truncate) = (case.keyed, !case.keyed);
                self.jobs.push(job);
                lack = (case.change != Change::New).then(|| "it is read again now".to_owned());
            }
            Remedy::Sweep => {
                let mut job = TableJob::new(name.clone(), SnapshotId::Added, 0);
                (job.mends, job.by, job.sweep) = (true, Mend::Sweep, true);
                job.left.clear();
                self.jobs.push(job);
                let words = "what its topic holds beside its rows is deleted now";
                lack = (case.change != Change::New).then(|| words.to_owned());
            }
            Remedy::ReadPartitions => {
                self.read_partitions(catalog, case, &name).await?;
                lack = Some("their rows are read now".into());
            }
            Remedy::Tell => {
                lack = Some(mending(config, case, &name));
                // What cannot be mended now is found again when it can.
                let again = !case.listed
                    || case.other_rows.is_some()
                    || (case.keyed && case.unreadable.is_some());
                if let Some(old) = old.filter(|_| again) {
                    entry = old.clone();
                    entry.lacks.clear();
                }
            }
            Remedy::TellSurplus => {
                lack = Some(format!(
                    "the rows stay in its topic until `walferry resync {name} -c FILE` deletes them"
                ));
            }
        }
        if !case.listed && matches!(row.remedy, Remedy::Read | Remedy::ReadAgain) {
            self.add.push(seen.info.clone());
            entry.member = None;
        } else if case.limits_change {
            self.relimit.push(seen.info.clone());
            entry.member = None;
        }
        let lack = lack.map(|remedy| KnownLack {
            surplus: row.remedy == Remedy::TellSurplus,
            until: match case.narrowed {
                Some(_) if row.remedy == Remedy::Tell => Mend::Published,
                _ => row.remedy.mends(),
            },
            reason: format!("{}; {remedy}", remedy::words(case)),
        });
        let quiet = matches!(case.change, Change::Joined)
            || (row.remedy == Remedy::Note && case.change != Change::New);
        let is_known = |it: &KnownLack| old.is_some_and(|old| old.lacks.contains(it));
        let fresh = lack.as_ref().is_none_or(|it| !is_known(it));
        entry.lacks = lack.iter().filter(|_| fresh).cloned().collect();
        if !old.is_some_and(|old| old.is_but_for_lacks(&entry)) || !entry.lacks.is_empty() {
            self.change.entries.push((name.clone(), Some(entry)));
        }
        if !quiet && fresh {
            self.told.push(Told {
                table: name,
                row: row.name,
                words: lack.is_none().then(|| remedy::words(case)),
                lack,
            });
        }
        Ok(())
    }

    /// Partitions whose changes are not in the WAL: what is missing of them is known for as long as that is so.
    async fn unlogged(
        &mut self,
        catalog: &Catalog,
        before: &Record,
        now: &Look,
    ) -> Result<(), Error> {
        for (name, seen) in &now.tables {
            let leaf = seen.leaves.iter().find(|it| it.unlogged);
            let Some(leaf) = leaf.filter(|_| self.follows(before, name)) else {
                continue;
            };
            self.standing.push((name.clone(), Mend::Logged));
            let Some(leaf) = catalog.quoted_name(leaf.oid).await? else {
                continue;
            };
            let lack = KnownLack {
                surplus: false,
                until: Mend::Logged,
                reason: format!(
                    "its partition {leaf} is unlogged: its rows are read by snapshots, its changes are not in the WAL and never \
                     streamed; ALTER TABLE {leaf} SET LOGGED (it is read again then)"
                ),
            };
            self.stands(before, name, "unlogged partitions", lack);
        }
        Ok(())
    }

    /// Operations that the publication does not publish any more are missing of each table, whatever else is read and mended, and
    /// of one that is new as well.
    fn narrowed(&mut self, config: &Config, before: &Record, now: &Look) {
        let Some(missing) = narrowed(before, now) else {
            return;
        };
        for name in now.tables.keys() {
            if !self.follows(before, name) {
                continue;
            }
            self.standing.push((name.clone(), Mend::Published));
            let lack = KnownLack {
                surplus: false,
                until: Mend::Published,
                reason: format!(
                    "{}; {}",
                    remedy::not_published(&missing),
                    publishing_again(config)
                ),
            };
            self.stands(before, name, "operations not published", lack);
        }
    }

    /// Whether the table is in the record when this is done.
    fn follows(&self, before: &Record, name: &str) -> bool {
        match self.change.entries.iter().find(|it| it.0 == *name) {
            Some((_, entry)) => entry.is_some(),
            None => before.tables.contains_key(name),
        }
    }

    /// What stands for as long as its cause does is in the record, and told once.
    fn stands(&mut self, before: &Record, name: &str, row: &'static str, lack: KnownLack) {
        let old = before.tables.get(name);
        if old.is_some_and(|it| it.lacks.contains(&lack)) {
            return;
        }
        match (self.change.entries.iter_mut().find(|it| it.0 == *name), old) {
            (Some((_, Some(entry))), _) if entry.lacks.contains(&lack) => return,
            (Some((_, Some(entry))), _) => entry.lacks.push(lack.clone()),
            (_, Some(old)) => {
                let entry = Entry {
                    lacks: vec![lack.clone()],
                    ..old.clone()
                };
                self.change.entries.push((name.to_owned(), Some(entry)));
            }
            _ => {}
        }
        self.told.push(Told {
            table: name.to_owned(),
            row,
            words: None,
            lack: Some(lack),
        });
    }

    /// A snapshot of the rows of each partition that has come with rows.
    async fn read_partitions(
        &mut self,
        catalog: &Catalog,
        case: &Case,
        name: &str,
    ) -> Result<(), Error> {
        let Change::Attached(leaves) = &case.change else {
            return Ok(());
        };
        for leaf in catalog.filled(leaves).await? {
            let Some(condition) = catalog.partition_condition(leaf).await? else {
                continue;
            };
            let mut job = TableJob::new(name.to_owned(), SnapshotId::Attached, 0);
            (job.added, job.condition) = (true, Some(condition));
            (job.mends, job.by) = (true, Mend::Part);
            self.jobs.push(job);
        }
        Ok(())
    }
}

/// Why a table that was chosen is left out.
fn left_out(config: &Config, case: &Case) -> String {
    let why = [&case.bar, &case.unreadable].into_iter().flatten().next();
    match why {
        Some(why) => why.clone(),
        None => format!(
            "it is not in publication {:?}, and source.new_tables is \"warn\": it is followed with its rows when that is \"follow\"",
            config.source.publication
        ),
    }
}

/// What a person has to do.
fn mending(config: &Config, case: &Case, name: &str) -> String {
    if case.narrowed.is_some() {
        return publishing_again(config);
    }
    if let Some(other) = &case.other_rows {
        return other.clone();
    }
    if let Some(bar) = case.bar.as_ref().filter(|_| !case.listed) {
        return format!("{bar} (it is read again then)");
    }
    if !case.keyed {
        return match &case.bar {
            Some(bar) => bar.clone(),
            None => "without a key its topic would have to be ended by a truncate, and truncates are not published \
                     (format.skipped_operations, format.envelope): give it a key, or a new topic".into(),
        };
    }
    match &case.unreadable {
        Some(why) => why.clone(),
        None => format!("`walferry resync {name} -c FILE` makes its topic agree with it"),
    }
}

/// What a person has to do about operations that are not published.
fn publishing_again(config: &Config) -> String {
    format!(
        "changes are missing: ALTER PUBLICATION {} SET (publish = {}); it is read again then",
        quote_ident(&config.source.publication),
        quote_literal("insert, update, delete, truncate")
    )
}

/// Tables with partitions whose changes are not in the WAL.
pub(crate) fn unlogged(now: &Look) -> Vec<&str> {
    let has = |seen: &Seen| seen.leaves.iter().any(|it| it.unlogged);
    let tables = now.tables.iter().filter(|(_, seen)| has(seen));
    tables.map(|(name, _)| name.as_str()).collect()
}

/// Partitions of other servers, whose changes are never streamed.
pub(crate) fn foreign(now: &Look) -> Vec<&str> {
    let has = |seen: &Seen| {
        seen.info.kind == RelationKind::Partitioned && seen.leaves.iter().any(|it| it.foreign)
    };
    let tables = now.tables.iter().filter(|(_, seen)| has(seen));
    tables.map(|(name, _)| name.as_str()).collect()
}

impl Told {
    /// Says in log and status what has happened.
    pub(super) fn tell(&self, status: &Status) {
        let Told { table, row, .. } = self;
        match (&self.lack, &self.words) {
            (Some(lack), _) => status.findings.tell(table, lack),
            (None, Some(words)) => tracing::warn!(target: "audit", table, row, "{words}"),
            (None, None) => {}
        }
    }
}
