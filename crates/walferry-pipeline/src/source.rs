//! The PostgreSQL side of a start: what is there, what has to be created, and the slot that others may hold.
//!
//! Owns the questions and the DDL of a start; decides nothing (see `recovery`). Each check names its remedy.

use std::time::Duration;

use tokio::{sync::watch, time};
use walferry_event::Lsn;
use walferry_postgres::{
    Catalog, Identity, PublicationInfo, RelationKind, Replication, TableInfo, TableName,
};

use crate::{
    config::{Config, Source},
    error::Error,
    recovery::{self, Server, Slot},
    selection::Selection,
};

/// The tables that a connector follows, and the server they are on.
pub(crate) struct Survey {
    pub(crate) server_version: u32,
    pub(crate) tables: Vec<TableInfo>,
}

/// Checks what has to be right before anything is created, and lists the tables.
pub(crate) async fn survey(config: &Config, catalog: &Catalog) -> Result<Survey, Error> {
    let wal_level = catalog.wal_level().await?;
    if wal_level != "logical" {
        return Err(Error::invalid(format!(
            "wal_level is {wal_level:?}, but logical decoding needs \"logical\": ALTER SYSTEM SET wal_level = 'logical', \
             then restart the server"
        )));
    }
    let role = catalog.role().await?;
    if !role.superuser && !role.replication {
        return Err(Error::invalid(format!(
            "role {:?} may not use replication: ALTER ROLE {} REPLICATION",
            role.name,
            walferry_postgres::quote_ident(&role.name)
        )));
    }
    Ok(Survey {
        server_version: catalog.server_version(),
        tables: select(&config.source, catalog).await?,
    })
}

/// The tables that the globs choose. A table that is named outright and does not exist is an error.
pub(crate) async fn select(source: &Source, catalog: &Catalog) -> Result<Vec<TableInfo>, Error> {
    let selection = Selection::new(&source.tables);
    let mut tables = catalog.tables().await?;
    let names: Vec<String> = tables.iter().map(TableInfo::qualified_name).collect();
    if let Some(missing) = selection.missing(&names).first() {
        return Err(Error::invalid(format!(
            "table {missing:?} of source.tables does not exist in database {:?}, or the role {:?} may not see it; create \
             it, grant USAGE on its schema, or take it out of source.tables",
            source.connect.database, source.connect.user
        )));
    }
    tables.retain(|table| {
        selection.includes(&table.qualified_name()) && table.followed(source.partitions_root)
    });
    tables.sort_by_key(TableInfo::qualified_name);
    if tables.is_empty() {
        return Err(Error::invalid(format!(
            "source.tables = {:?} matches no table in database {:?}",
            source.tables, source.connect.database
        )));
    }
    Ok(tables)
}

/// Creates the publication when it is missing and that is allowed; otherwise checks that it carries the tables.
pub(crate) async fn ensure_publication(
    config: &Config,
    catalog: &Catalog,
    tables: &[TableInfo],
) -> Result<(), Error> {
    let name = &config.source.publication;
    let Some(publication) = catalog.publication(name).await? else {
        if !config.source.create {
            return Err(Error::invalid(format!(
                "publication {name:?} does not exist and source.create is false: CREATE PUBLICATION {} FOR TABLE …",
                walferry_postgres::quote_ident(name)
            )));
        }
        let wanted: Vec<TableName> = tables.iter().map(TableInfo::table_name).collect();
        catalog
            .create_publication(name, &wanted, config.source.partitions_root)
            .await?;
        tracing::info!(target: "audit", publication = name, tables = wanted.len(), "publication created");
        return Ok(());
    };
    let unpublished = tables
        .iter()
        .find_map(|table| unpublished(&config.source, &publication, table));
    match unpublished {
        None => Ok(()),
        Some(it) => Err(Error::invalid(format!(
            "publication {name:?} {}: {}, with {}",
            it.what, it.remedy, it.sql
        ))),
    }
}

/// The chosen tables that a publication of ours, which lists its tables, does not carry yet: they were added to the
/// configuration. A publication of all tables had them from the moment of their creation.
pub(crate) async fn added<'a>(
    config: &Config,
    catalog: &Catalog,
    tables: &'a [TableInfo],
) -> Result<Vec<&'a TableInfo>, Error> {
    let publication = catalog.publication(&config.source.publication).await?;
    let Some(publication) = publication.filter(|it| config.source.create && !it.all_tables) else {
        return Ok(Vec::new());
    };
    let fresh = tables.iter().filter(|it| {
        !lists(&publication, it) && !named_otherwise(&config.source, &publication, it)
    });
    Ok(fresh.collect())
}

/// Adds tables to our publication.
pub(crate) async fn add_tables(
    config: &Config,
    catalog: &Catalog,
    added: &[&TableInfo],
) -> Result<(), Error> {
    if added.is_empty() {
        return Ok(());
    }
    let names: Vec<TableName> = added.iter().map(|table| table.table_name()).collect();
    let publication = &config.source.publication;
    catalog.add_publication_tables(publication, &names).await?;
    for table in added {
        tracing::info!(target: "audit", table = table.qualified_name(), publication, "table added to the publication");
    }
    Ok(())
}

/// Why the changes of a table do not arrive by a publication, and what mends it.
pub(crate) struct Unpublished {
    pub(crate) what: String,
    pub(crate) remedy: String,
    pub(crate) sql: String,
}

/// Whether the changes of a table arrive by a publication under its own name. What a publication lists follows its
/// `publish_via_partition_root`, also when it is of all tables.
pub(crate) fn unpublished(
    source: &Source,
    publication: &PublicationInfo,
    table: &TableInfo,
) -> Option<Unpublished> {
    if lists(publication, table) {
        return None;
    }
    let ident = walferry_postgres::quote_ident(&source.publication);
    let qualified = table.qualified_name();
    if named_otherwise(source, publication, table) {
        let (under, setting) = match source.partitions_root {
            true => ("its partitions", "leaf"),
            false => ("its partitioned table", "root"),
        };
        return Some(Unpublished {
            what: format!(
                "carries the changes of table {qualified} under the name of {under}, so none arrives under its own"
            ),
            remedy: format!(
                "let both agree: set source.partitions = {setting:?}, or the publication"
            ),
            sql: format!(
                "ALTER PUBLICATION {ident} SET (publish_via_partition_root = {});",
                source.partitions_root
            ),
        });
    }
    Some(Unpublished {
        what: format!("does not hold table {qualified}, so its changes never arrive"),
        remedy: "add the table, or take it out of source.tables".to_owned(),
        sql: format!(
            "ALTER PUBLICATION {ident} ADD TABLE {};",
            walferry_postgres::quote_table(&table.schema, &table.name)
        ),
    })
}

/// Whether a publication lists a table.
pub(crate) fn lists(publication: &PublicationInfo, table: &TableInfo) -> bool {
    let same = |it: &TableName| it.schema == table.schema && it.name == table.name;
    publication.tables.iter().any(same)
}

/// Whether it carries partitions, or what has them, under the other's name.
fn named_otherwise(source: &Source, publication: &PublicationInfo, table: &TableInfo) -> bool {
    table.kind != RelationKind::Table && publication.via_root != source.partitions_root
}

/// The slot as the recovery table wants it.
pub(crate) async fn slot(config: &Config, catalog: &Catalog) -> Result<Slot, Error> {
    let Some(slot) = catalog.slot(&config.source.slot).await? else {
        return Ok(Slot::Missing);
    };
    if slot.plugin.as_deref() != Some("pgoutput") {
        return Err(Error::invalid(format!(
            "slot {:?} exists but uses the output plugin {:?}, not \"pgoutput\"; choose another source.slot",
            config.source.slot,
            slot.plugin.as_deref().unwrap_or("none: it is physical")
        )));
    }
    if slot.database.as_deref() != Some(&config.source.connect.database) {
        return Err(Error::invalid(format!(
            "slot {:?} belongs to database {:?}, not {:?}; choose another source.slot",
            config.source.slot,
            slot.database.as_deref().unwrap_or("none"),
            config.source.connect.database
        )));
    }
    if let Some(reason) = slot.is_lost() {
        return Ok(Slot::Lost(reason));
    }
    Ok(Slot::Usable {
        confirmed: slot.confirmed_flush_lsn.unwrap_or(Lsn::ZERO),
    })
}

/// The server as the recovery table wants it.
pub(crate) async fn server(
    replication: &mut Replication,
    identity: &Identity,
) -> Result<Server, Error> {
    let history = if identity.timeline > 1 {
        replication.timeline_history(identity.timeline).await?
    } else {
        Vec::new()
    };
    Ok(Server {
        system_id: identity.system_id.to_string(),
        timeline: identity.timeline,
        database: identity.database.clone(),
        history,
    })
}

/// The evidence for a decision.
pub(crate) fn evidence(
    config: &Config,
    slot: Slot,
    checkpoint: recovery::Checkpoint,
    server: Server,
) -> recovery::Evidence {
    recovery::Evidence {
        connector: config.name.clone(),
        slot_name: config.source.slot.clone(),
        slot,
        checkpoint,
        server,
        adopt_slot: config.source.adopt_slot,
    }
}

/// How long another holder of the slot may take to let go before its walsender is ended.
const GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// Waits until nobody holds the slot. While the connector is ours, whoever holds it can publish nothing any more: after
/// a grace its walsender is ended, at once when it is one of ours that the network lost. `others` says why it is not
/// known whether the connector is ours: then the holder may be a newer instance, and is let be.
pub(crate) async fn free_slot(
    config: &Config,
    catalog: &Catalog,
    ours: Option<i32>,
    others: Result<(), String>,
    stop: &watch::Receiver<bool>,
) -> Result<(), Error> {
    let begun = time::Instant::now();
    let mut told = false;
    loop {
        let holder = catalog
            .slot(&config.source.slot)
            .await?
            .and_then(|slot| slot.active_pid);
        let Some(pid) = holder else {
            return Ok(());
        };
        if *stop.borrow() {
            return Err(Error::stopped());
        }
        let graced = begun.elapsed() >= GRACE;
        if graced
            && ours != Some(pid)
            && let Err(why) = &others
        {
            return Err(Error::away(Error::failed(format!(
                "slot {:?} is held by process {pid}, which may belong to a newer instance: {why}",
                config.source.slot
            ))));
        }
        if graced || ours == Some(pid) {
            tracing::warn!(target: "audit", slot = config.source.slot, pid, "ending the walsender that holds the slot");
            catalog.terminate_backend(pid).await?;
        } else if !told {
            told = true;
            tracing::info!(
                slot = config.source.slot,
                pid,
                "the slot is held; waiting for its holder to let go"
            );
        }
        if begun.elapsed() > 15 * GRACE {
            return Err(Error::failed(format!(
                "slot {:?} is still held by process {pid} after {} s, and ending it had no effect",
                config.source.slot,
                begun.elapsed().as_secs()
            )));
        }
        time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::ReplicaIdentity;
    use walferry_postgres::ConnectConfig;

    use super::*;

    fn source(partitions_root: bool) -> Source {
        Source {
            connect: ConnectConfig::from_url("postgres://u@localhost/d").unwrap(),
            tables: vec!["public.*".into()],
            slot: "s".into(),
            publication: "p".into(),
            create: true,
            partitions_root,
            origin_none: false,
            slot_retained_bytes_max: None,
            heartbeat_ms: 1000,
            adopt_slot: false,
        }
    }

    fn table(name: &str, kind: RelationKind) -> TableInfo {
        TableInfo {
            oid: 1,
            schema: "public".into(),
            name: name.into(),
            replica_identity: ReplicaIdentity::Default,
            kind,
            key_columns: Vec::new(),
            rows_estimated: 0,
            owned: true,
            can_select: true,
            unlogged: false,
        }
    }

    fn sql(root: bool, via_root: bool, listed: &str, table: &TableInfo) -> Option<String> {
        let publication = PublicationInfo {
            all_tables: true,
            via_root,
            inserts: true,
            updates: true,
            deletes: true,
            truncates: true,
            tables: vec![TableName {
                schema: "public".into(),
                name: listed.into(),
            }],
        };
        unpublished(&source(root), &publication, table).map(|it| it.sql)
    }

    #[test]
    fn a_publication_carries_a_table_only_under_the_name_that_it_lists() {
        let whole = table("m", RelationKind::Partitioned);
        let part = table("m_1", RelationKind::Partition);
        assert_eq!(sql(true, true, "m", &whole), None);
        assert_eq!(sql(false, false, "m_1", &part), None);
        let disagrees = sql(true, false, "m_1", &whole).unwrap();
        assert!(
            disagrees.contains("(publish_via_partition_root = true)"),
            "{disagrees}"
        );
        let disagrees = sql(false, true, "m", &part).unwrap();
        assert!(
            disagrees.contains("(publish_via_partition_root = false)"),
            "{disagrees}"
        );
        let missing = sql(true, true, "m", &table("t", RelationKind::Table)).unwrap();
        assert!(missing.contains("ADD TABLE"), "{missing}");
    }
}
