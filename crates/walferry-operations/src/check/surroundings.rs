//! What `walferry check` says of the surroundings: tables that are left out, globs without a table, connections, settings that
//! end slots, sessions that a start would wait for, and whoever follows the slot.
//!
//! Owns these findings. Never: asks what a start has to know; these are for people.
//! Start reading at `before` and `after`.

use walferry_event::Code;
use walferry_postgres::{Catalog, Provider, PublicationInfo, RelationName, TableInfo, quote_ident};

use crate::check::{
    finding::{Finding, Severity},
    service,
};
use walferry_pipeline::{
    config::{Config, SnapshotMode, selection::Selection},
    error::Error,
    position::recovery::Slot,
};

/// A transaction that lasts longer than this is told of: the creation of a slot waits for its end.
const LONG_SECONDS: i32 = 5;
/// Sessions beside the readers of a snapshot: the stream, the catalog, the monitor.
const SESSIONS: i64 = 3;
/// A limit of WAL below this is used up by one busy hour or less.
const KEPT_MIB_MIN: i64 = 1024;
/// Names that a message lists.
const LISTED_MAX: usize = 10;

/// What can be said before the tables are chosen.
pub(super) async fn before(
    config: &Config,
    catalog: &Catalog,
    provider: Provider,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let relations = catalog.relations().await?;
    chosen(config, &relations, findings);
    connections(config, catalog, findings).await?;
    kept(catalog, provider, findings).await
}

/// What can be said when the tables, the slot and the publication are known.
pub(super) async fn after(
    config: &Config,
    catalog: &Catalog,
    slot: &Slot,
    publication: Option<&PublicationInfo>,
    tables: &[TableInfo],
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    follower(config, catalog, findings).await?;
    if *slot == Slot::Missing && config.source.create {
        for holder in catalog.long_transactions(LONG_SECONDS).await? {
            let message = format!(
                "its creation waits for {}, and begins to see changes when that has ended",
                holder.who
            );
            let subject = format!("slot {}", config.source.slot);
            findings.push(
                Finding::warning(Code::StartWaits, subject, message)
                    .remedy(format!("let it end, or end it: {}", holder.sql)),
            );
        }
    }
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    if *slot == Slot::Missing && config.snapshot.mode != SnapshotMode::Never {
        let unknown = tables.iter().filter(|table| table.rows_estimated == 0);
        let unknown: Vec<&TableInfo> = unknown.collect();
        let filled = catalog
            .filled(&unknown.iter().map(|it| it.oid).collect::<Vec<_>>())
            .await?;
        let unknown: Vec<String> = unknown
            .iter()
            .filter(|it| filled.contains(&it.oid))
            .map(|it| it.qualified_name())
            .collect();
        if !unknown.is_empty() {
            let names: Vec<&str> = unknown.iter().map(String::as_str).collect();
            let message = format!(
                "how many rows these have is not known, because they were never analysed, and they are not in the estimate: {}",
                listed(&names)
            );
            findings
                .push(Finding::plan("snapshot", message).remedy("ANALYZE them for an estimate"));
        }
    }
    if publication.is_none() && config.source.create {
        for holder in catalog.lockers(&oids).await? {
            let subject = format!("publication {}", config.source.publication);
            let message = format!("its creation waits for a lock: {}", holder.who);
            findings.push(
                Finding::warning(Code::StartWaits, subject, message)
                    .remedy(format!("let it end, or end it: {}", holder.sql)),
            );
        }
    }
    Ok(())
}

/// Globs that match nothing, and relations that are left out.
fn chosen(config: &Config, relations: &[RelationName], findings: &mut Vec<Finding>) {
    let selection = Selection::new(&config.source.tables);
    for glob in selection.idle(relations.iter().map(|it| it.qualified.as_str())) {
        let message = format!(
            "{glob:?} matches nothing in database {:?}",
            config.source.connect.database
        );
        findings.push(
            Finding::warning(Code::TableNotFollowed, "source.tables", message)
                .remedy("correct it, or take it out; a table that is created later is followed from then on"),
        );
    }
    let included = |it: &&RelationName| selection.includes(&it.qualified);
    for it in relations.iter().filter(included).filter(|it| it.unlogged) {
        let subject = format!("table {}", it.qualified);
        findings.push(
            Finding::warning(
                Code::TableKind,
                subject,
                "is left out: it is unlogged, so its changes are not in the WAL",
            )
            .remedy(
                "ALTER TABLE … SET LOGGED (which writes it anew), or exclude it in source.tables",
            ),
        );
    }
    let other: Vec<&str> = relations
        .iter()
        .filter(included)
        .filter(|it| !it.is_table)
        .map(|it| it.qualified.as_str())
        .collect();
    if !other.is_empty() {
        let message = format!(
            "views, materialized views and foreign tables have no changes of their own and are left out: {}",
            listed(&other)
        );
        findings.push(Finding::ok("source.tables", message));
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names.len().min(LISTED_MAX);
    let more = match names.len() - shown {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..shown].join(", "))
}

/// Whether there is room for the connector's sessions.
async fn connections(
    config: &Config,
    catalog: &Catalog,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let readers = match config.snapshot.mode {
        SnapshotMode::Never => 0,
        // One more holds the snapshot.
        _ => i64::from(config.snapshot.readers) + 1,
    };
    let needed = SESSIONS + readers;
    for it in catalog.connections().await? {
        // The one that asks is ours and ends.
        let room = it.limit - (it.open - 1);
        if room >= needed {
            continue;
        }
        let least = SESSIONS + readers.min(2);
        let severity = match room >= least {
            true => Severity::Warning,
            false => Severity::Error,
        };
        let message = format!(
            "{}: {} of {} connections are in use, and the connector opens up to {needed}",
            it.limit_of,
            it.open - 1,
            it.limit
        );
        let finding = Finding::of(severity, Code::ConnectionsFull, "connections", message)
            .remedy("raise it, end sessions that nobody needs, or set snapshot.readers lower");
        findings.push(match it.limit_of.split_once(" of role ") {
            Some((_, role)) => finding.sql(format!(
                "ALTER ROLE {role} CONNECTION LIMIT {};",
                it.open + needed
            )),
            None => finding,
        });
    }
    Ok(())
}

/// Settings under which the server gives the slot up.
async fn kept(
    catalog: &Catalog,
    provider: Provider,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    const NAMES: [&str; 2] = ["max_slot_wal_keep_size", "idle_replication_slot_timeout"];
    for (name, value) in catalog.settings(&NAMES).await? {
        let value: i64 = value.parse().unwrap_or(-1);
        let message = match name.as_str() {
            "max_slot_wal_keep_size" if (0..KEPT_MIB_MIN).contains(&value) => format!(
                "{value} MiB: the slot is lost when more WAL than this is written while the connector is away or behind"
            ),
            "idle_replication_slot_timeout" if value > 0 => format!(
                "{value} s: the slot is lost when the connector does not follow it for so long"
            ),
            _ => continue,
        };
        let message = format!("{message}; a lost slot needs walferry resync");
        let finding = Finding::warning(Code::SlotGivenUp, name.as_str(), message);
        let value = match name.as_str() {
            "max_slot_wal_keep_size" => "'50GB'",
            _ => "0",
        };
        findings.push(service::set(finding, provider, &name, value, false));
    }
    Ok(())
}

/// Whoever follows the slot now: a start takes over from it.
async fn follower(
    config: &Config,
    catalog: &Catalog,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let slot = catalog.slot(&config.source.slot).await?;
    let Some(pid) = slot.and_then(|slot| slot.active_pid) else {
        return Ok(());
    };
    let who = catalog.follower(pid).await?;
    let message = format!(
        "is followed by {who}: if that is a connector of the name {:?}, run takes over and that one ends with 4",
        config.name
    );
    findings.push(Finding::plan(
        format!("slot {}", config.source.slot),
        message,
    ));
    Ok(())
}

/// SQL that lets the role connect to the database.
pub(super) fn connect_sql(config: &Config) -> String {
    format!(
        "GRANT CONNECT ON DATABASE {} TO {};",
        quote_ident(&config.source.connect.database),
        quote_ident(&config.source.connect.user)
    )
}
