//! What is done about differences: at a start before the ring turns, and while it turns by the engine on the encode thread.
//!
//! Owns the order of the steps: the record and the snapshots are committed first, then tables are added to the publication, then they
//! are read. Never: decides; a plan says what.
//! Invariant: a table that cannot be added never ends the connector: it is left out, and that is told.
//! Start reading at `carry_out` and `begin`.

use std::time::Duration;
use walferry_event::Code;

use tokio::{sync::oneshot, time};
use walferry_postgres::{Catalog, TableInfo};

use crate::{
    config::Config,
    connector::{
        choice,
        published::{
            look::{Look, look},
            plan::{Plan, foreign, plan, unlogged},
        },
    },
    error::Error,
    position::{
        published_record::{Entry, Lack, Record, RecordChange},
        snapshot_progress::Progress,
    },
    snapshot::mailbox::{Event, Follow, Handle, Refused},
    status::{Status, known::Known},
    tables::publication,
};

/// Between two looks at what is committed.
const LOOK: Duration = Duration::from_millis(20);

impl Plan {
    /// What the engine has to do for it, and its answer.
    pub(crate) fn follow(&self) -> (Follow, oneshot::Receiver<u64>) {
        let (reply, answer) = oneshot::channel();
        let follow = Follow {
            jobs: self.jobs.clone(),
            adding: self
                .add
                .iter()
                .chain(&self.relimit)
                .map(TableInfo::qualified_name)
                .collect(),
            change: self.change.clone(),
            reply,
        };
        (follow, answer)
    }

    /// Says in log and status what has happened.
    pub(crate) fn tell(&self, status: &Status, known: &mut Known) {
        for (table, entry) in &self.change.entries {
            let was_left_out = known.left_out.remove(table);
            match entry {
                None => status.findings.forget(table),
                Some(_) if was_left_out => status.findings.clear(table),
                Some(_) => {}
            }
        }
        for (table, reason) in &self.left_out {
            known.left_out.insert(table.clone());
            status.findings.set(table, Lack::LeftOut, reason);
        }
        for it in &self.told {
            it.tell(status);
        }
        known.standing = self.standing.iter().cloned().collect();
    }

    /// The snapshots that are under way, with those of the plan.
    pub(crate) fn progress(&self, progress: Option<Progress>) -> Option<Progress> {
        let mut progress = progress.unwrap_or_default();
        for job in &self.jobs {
            progress.begin(job.clone());
        }
        (!progress.finished()).then_some(progress)
    }
}

/// What a start knows of what is published: the record before, the one from here on, and what has to be done about the difference.
pub(crate) struct Begun {
    pub(crate) plan: Plan,
    pub(crate) known: Known,
    now: Look,
}

/// Compares at a start with what was committed, or with what `source.tables` chose then, where nothing was.
pub(crate) async fn begin(
    config: &Config,
    catalog: &Catalog,
    status: &Status,
    committed: Option<&serde_json::Value>,
    globs: &[String],
) -> Result<Begun, Error> {
    let mut now = look(config, catalog).await?;
    now.without_refused(None);
    let committed = Record::read(committed).map_err(|error| {
        Error::refused(Code::CheckpointUnreadable, format!(
            "what the checkpoint says of the tables that are published cannot be read: {error}; run the version of Walferry \
             that wrote it"
        ))
    })?;
    let before = committed.unwrap_or_else(|| now.record(globs));
    let plan = plan(config, catalog, &before, &now, Some(&[])).await?;
    let mut known = Known::default();
    plan.tell(status, &mut known);
    tell_foreign(&now);
    known.record = before;
    known.record.apply(&plan.change);
    for (table, entry) in &known.record.tables {
        for lack in &entry.lacks {
            status.findings.tell(table, lack);
        }
    }
    Ok(Begun { plan, known, now })
}

/// What a start would find.
#[derive(Default)]
pub struct Foreseen {
    /// Tables that have partitions of other servers.
    pub foreign: Vec<String>,
    /// Tables that have unlogged partitions, where nothing was committed yet.
    pub unlogged: Vec<String>,
    /// What is known to be wrong with topics, or will be.
    pub lacks: Vec<(String, String)>,
    /// What has changed of tables, and is made good.
    pub changes: Vec<(String, String)>,
}

/// Looks without doing anything.
pub async fn foresee(
    config: &Config,
    catalog: &Catalog,
    checkpoint: Option<&walferry_kafka::Checkpoint>,
) -> Result<Foreseen, Error> {
    let now = look(config, catalog).await?;
    let mut foreseen = Foreseen {
        foreign: foreign(&now).into_iter().map(str::to_owned).collect(),
        ..Foreseen::default()
    };
    let committed = checkpoint.and_then(|it| it.published.as_ref());
    let Some(mut record) = committed.and_then(|it| Record::read(Some(it)).ok().flatten()) else {
        foreseen.unlogged = unlogged(&now).into_iter().map(str::to_owned).collect();
        return Ok(foreseen);
    };
    let plan = plan(config, catalog, &record, &now, None).await?;
    for it in &plan.told {
        if let Some(words) = &it.words {
            foreseen.changes.push((it.table.clone(), words.clone()));
        }
    }
    record.apply(&plan.change);
    for (table, entry) in &record.tables {
        for lack in &entry.lacks {
            foreseen.lacks.push((table.clone(), lack.reason.clone()));
        }
    }
    Ok(foreseen)
}

impl Begun {
    /// What the publication is not to have, as it is called now.
    pub(crate) fn left_out(&self) -> &[choice::LeftOut] {
        &self.now.left_out
    }

    /// Adds tables to the publication, and records them as they are in it. Snapshots of those that cannot be added are ended.
    pub(crate) async fn add(
        &mut self,
        config: &Config,
        catalog: &Catalog,
        status: &Status,
        progress: &mut Option<Progress>,
    ) -> Result<(), Error> {
        for table in &self.plan.relimit {
            publication::put_back(config, catalog, table).await?;
        }
        let added = add(config, catalog, &self.plan.add).await?;
        for (table, reason) in &added.refused {
            self.known.leave_out(&status.findings, table, reason);
            if let Some(progress) = progress {
                progress
                    .tables
                    .retain(|it| it.shown.name != *table || it.ended());
            }
        }
        Ok(())
    }

    /// Makes sure that the publication carries what it is to carry, and records what we have changed of it: that is no difference.
    pub(crate) async fn ensure(
        &mut self,
        config: &Config,
        catalog: &Catalog,
        tables: &[TableInfo],
    ) -> Result<(), Error> {
        let added: Vec<u32> = self.plan.add.iter().map(|it| it.oid).collect();
        let carried = |table: &&TableInfo| {
            let name = table.qualified_name();
            let listed = self
                .now
                .tables
                .get(&name)
                .is_some_and(|it| it.member.is_some());
            let otherwise = self
                .now
                .info
                .as_ref()
                .is_none_or(|it| publication::named_otherwise(&config.source, it, table));
            let followed = self.known.record.tables.contains_key(&name);
            otherwise || (followed && (listed || added.contains(&table.oid)))
        };
        let carried: Vec<TableInfo> = tables.iter().filter(carried).cloned().collect();
        let mut ours = match publication::ensure_publication(config, catalog, &carried).await {
            Err(error)
                if error.code() == Code::PublicationLacks
                    && !publication::added(config, catalog, &carried)
                        .await?
                        .is_empty() =>
            {
                // Each was in it, or was put there, a moment ago.
                return Err(Error::diverged(format!(
                    "{error}: it left while the publication was looked at"
                )));
            }
            ensured => ensured?,
        };
        let changed = self.plan.add.iter().chain(&self.plan.relimit);
        ours.extend(changed.map(TableInfo::qualified_name));
        if !ours.is_empty() {
            let now = look(config, catalog).await?;
            self.known.record.members(&now, &ours);
        }
        Ok(())
    }
}

/// The record of a connector that begins: what is published of every table that it reads.
pub(crate) async fn first(config: &Config, catalog: &Catalog) -> Result<Known, Error> {
    let now = look(config, catalog).await?;
    tell_foreign(&now);
    Ok(Known {
        record: now.record(&[]),
        ..Known::default()
    })
}

impl Record {
    /// The entries in the publication of these tables, which we have put there.
    fn members(&mut self, now: &Look, ours: &[String]) {
        for (name, entry) in &mut self.tables {
            if !ours.contains(name) {
                continue;
            }
            let seen = now.tables.get(name).filter(|it| it.info.oid == entry.oid);
            let Some(seen) = seen.filter(|it| it.member.is_some()) else {
                continue;
            };
            entry.member = seen.member.map(|it| it.entry);
        }
    }
}

/// What became of tables that were to be added to the publication.
#[derive(Default)]
struct Added {
    added: Vec<String>,
    refused: Vec<(String, String)>,
}

/// Adds tables to the publication: all at once or, when that is refused, each that can be.
async fn add(config: &Config, catalog: &Catalog, tables: &[TableInfo]) -> Result<Added, Error> {
    let mut added = Added::default();
    let all: Vec<&TableInfo> = tables.iter().collect();
    match publication::add_tables(config, catalog, &all).await {
        Ok(()) => {
            added.added = tables.iter().map(TableInfo::qualified_name).collect();
            return Ok(added);
        }
        Err(error) if error.is_away() => return Err(error),
        Err(error) => tracing::info!(%error, "tables are added to the publication one by one"),
    }
    for table in tables {
        let name = table.qualified_name();
        match publication::add_tables(config, catalog, &[table]).await {
            Ok(()) => added.added.push(name),
            Err(error) if error.is_away() => return Err(error),
            Err(error) => added.refused.push((name, error.to_string())),
        }
    }
    Ok(added)
}

fn tell_foreign(now: &Look) {
    for table in foreign(now) {
        tracing::warn!(
            table,
            "a partition of the table is a foreign table: its rows are read by snapshots, its changes are never streamed"
        );
    }
}

/// What a configuration that is to be put in force makes of the tables.
pub(crate) async fn plan_of_config(
    config: &Config,
    catalog: &Catalog,
    known: &Known,
) -> Result<Plan, Error> {
    let mut now = look(config, catalog).await?;
    now.without_refused(None);
    plan(config, catalog, &known.record, &now, Some(&[])).await
}

/// Carries a plan out while the connector runs: committed first, then added to the publication, then read. The lock on what is
/// known is held by the caller.
pub(crate) async fn carry_out(
    config: &Config,
    catalog: &Catalog,
    handle: &Handle,
    known: &mut Known,
    plan: Plan,
) -> Result<(), Refused> {
    let control = handle.events()?;
    let (follow, answer) = plan.follow();
    let gone = || Refused::NotStreaming;
    control
        .send(Event::Follow(Box::new(follow)))
        .map_err(|_| gone())?;
    // At the end of the transaction that the stream is in; the connector may end before.
    let serial = answer.await.map_err(|_| gone())?;
    finish(config, catalog, handle, known, plan, serial).await
}

/// What follows when a plan is in a block on its way to Kafka.
pub(crate) async fn finish(
    config: &Config,
    catalog: &Catalog,
    handle: &Handle,
    known: &mut Known,
    plan: Plan,
    serial: u64,
) -> Result<(), Refused> {
    let control = handle.events()?;
    let status: &Status = handle;
    let gone = || Refused::NotStreaming;
    while status.snapshot_serial() < serial {
        if control.is_closed() {
            return Err(gone());
        }
        time::sleep(LOOK).await;
    }
    known.record.apply(&plan.change);
    if plan.add.is_empty() && plan.relimit.is_empty() {
        return Ok(());
    }
    let invalid = |error: Error| Refused::Invalid(error.to_string());
    for table in &plan.relimit {
        // What is not put back now is found again: the record says that it is to be.
        publication::put_back(config, catalog, table)
            .await
            .map_err(invalid)?;
    }
    let mut added = add(config, catalog, &plan.add).await.map_err(invalid)?;
    added
        .added
        .extend(plan.relimit.iter().map(TableInfo::qualified_name));
    let mut change = RecordChange::default();
    for (table, reason) in &added.refused {
        known.leave_out(&status.findings, table, reason);
        change.entries.push((table.clone(), None));
    }
    let refused: Vec<String> = added.refused.iter().map(|it| it.0.clone()).collect();
    // Whatever comes of the look: they are in the publication, and may be read.
    control
        .send(Event::Published(added.added.clone(), refused, change))
        .map_err(|_| gone())?;
    let now = look(config, catalog).await.map_err(invalid)?;
    known.record.members(&now, &added.added);
    let entries = added.added.iter();
    let entries = entries.filter_map(|it| {
        let entry = Entry {
            lacks: Vec::new(),
            ..known.record.tables.get(it)?.clone()
        };
        Some((it.clone(), Some(entry)))
    });
    let change = RecordChange {
        entries: entries.collect(),
        ..RecordChange::default()
    };
    control
        .send(Event::Published(Vec::new(), Vec::new(), change))
        .map_err(|_| gone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{snapshot_id::SnapshotId, snapshot_progress::TableJob};

    /// A snapshot of a table that is under way and has read something.
    fn under_way(condition: Option<&str>) -> Progress {
        let mut job = TableJob::new("public.t".into(), SnapshotId::Asked("1f2e3d4c".into()), 0);
        job.condition = condition.map(str::to_owned);
        job.advance(0, vec!["7".into()]);
        Progress {
            tables: vec![job],
            ..Progress::default()
        }
    }

    #[test]
    fn a_table_that_is_put_back_is_read_whole_whatever_is_read_of_it() {
        let mut job = TableJob::new("public.t".into(), SnapshotId::Added, 0);
        (job.added, job.sweep) = (true, true);
        let plan = Plan {
            jobs: vec![job],
            ..Plan::default()
        };
        // Through no condition, also when a snapshot with one is under way (A4); from its beginning, also when one without is.
        for (condition, jobs) in [(Some("a > 1"), 2), (None, 1)] {
            let progress = plan.progress(Some(under_way(condition))).unwrap();
            let whole = |it: &&TableJob| it.condition.is_none() && it.left[0].after.is_none();
            assert_eq!(progress.tables.len(), jobs);
            let own = progress.tables.iter().find(whole).unwrap();
            assert!(own.added && own.sweep);
        }
    }

    #[test]
    fn a_table_that_is_only_looked_through_loses_nothing_that_is_still_to_be_read() {
        let mut sweep = TableJob::new("public.t".into(), SnapshotId::Added, 0);
        (sweep.sweep, sweep.mends) = (true, true);
        sweep.left.clear();
        let plan = Plan {
            jobs: vec![sweep.clone()],
            ..Plan::default()
        };
        let begun = under_way(None);
        let mut waits = Progress::default();
        waits.begin(TableJob::new("public.t".into(), SnapshotId::Initial, 0));
        for before in [begun, waits] {
            let left = before.tables[0].left.clone();
            let progress = plan.progress(Some(before)).unwrap();
            let [job] = progress.tables.as_slice() else {
                panic!("{progress:?}");
            };
            assert_eq!((&job.left, job.sweep, job.mends), (&left, true, true));
        }
        // Beside one that reads a part, or has ended, it stands by itself.
        let mut ended = under_way(None);
        ended.tables[0].give_up("cancelled");
        for before in [under_way(Some("a > 1")), ended] {
            let progress = plan.progress(Some(before.clone())).unwrap();
            assert_eq!(progress.tables, [before.tables[0].clone(), sweep.clone()]);
        }
        // What takes its place looks through the topic as well.
        let again = Plan {
            jobs: vec![TableJob::new("public.t".into(), SnapshotId::Added, 0)],
            ..Plan::default()
        };
        let progress = again.progress(plan.progress(None)).unwrap();
        let [job] = progress.tables.as_slice() else {
            panic!("{progress:?}");
        };
        assert!(job.sweep && job.mends && !job.left.is_empty());
    }
}
