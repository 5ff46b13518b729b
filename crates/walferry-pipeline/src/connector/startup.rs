//! The PostgreSQL side of a start: what is there, what has to be created, and the slot that others may hold.
//!
//! Owns the questions and the DDL of a start; decides nothing (see `recovery`). Each check names its remedy.

use std::time::Duration;

use tokio::{sync::watch, time};
use walferry_event::{Code, Lsn};
use walferry_postgres::{Catalog, Identity, Provider, Replication, TableInfo};

use crate::{
    config::Config,
    connector::choice::{self, Choice, choose},
    error::Error,
    position::recovery::{self, Server, Slot},
    tables::followed::origin_unknown,
};

/// The tables that a connector follows, and the server they are on.
pub(crate) struct Survey {
    pub(crate) server_version: u32,
    pub(crate) choice: Choice,
}

/// Checks what has to be right before anything is created, and lists the tables.
pub(crate) async fn survey(config: &Config, catalog: &Catalog) -> Result<Survey, Error> {
    let wal_level = catalog.wal_level().await?;
    if !wal_level.decodes() {
        return Err(Error::invalid(
            Code::WalLevel,
            format!(
                "wal_level is {:?}, but logical decoding needs \"logical\": ALTER SYSTEM SET wal_level = 'logical', \
             then restart the server; `walferry check` has the way of a managed service",
                wal_level.set
            ),
        ));
    }
    let role = catalog.role().await?;
    if !role.superuser && !role.replication {
        return Err(Error::invalid(
            Code::ReplicationRight,
            format!(
                "role {:?} may not use replication: {}",
                role.name,
                let_replicate(catalog, &role.name).await?
            ),
        ));
    }
    if let Some(reason) = origin_unknown(&config.source, catalog.server_version()) {
        return Err(Error::invalid(Code::OriginFilter, reason));
    }
    Ok(Survey {
        server_version: catalog.server_version(),
        choice: choose(config, catalog).await?,
    })
}

/// The SQL that lets a role replicate, where this server runs.
async fn let_replicate(catalog: &Catalog, role: &str) -> Result<String, Error> {
    let ident = walferry_postgres::quote_ident(role);
    Ok(match catalog.provider().await? {
        Provider::Rds | Provider::Aurora => format!("GRANT rds_replication TO {ident}"),
        _ => format!("ALTER ROLE {ident} REPLICATION"),
    })
}

/// The slot as the recovery table wants it.
pub async fn slot(config: &Config, catalog: &Catalog) -> Result<Slot, Error> {
    let Some(slot) = catalog.slot(&config.source.slot).await? else {
        return Ok(Slot::Missing);
    };
    if slot.plugin.as_deref() != Some("pgoutput") {
        return Err(Error::invalid(
            Code::SlotForeign,
            format!(
                "slot {:?} exists but uses the output plugin {:?}, not \"pgoutput\"; choose another source.slot",
                config.source.slot,
                slot.plugin.as_deref().unwrap_or("none: it is physical")
            ),
        ));
    }
    if slot.database.as_deref() != Some(&config.source.connect.database) {
        return Err(Error::invalid(
            Code::SlotForeign,
            format!(
                "slot {:?} belongs to database {:?}, not {:?}; choose another source.slot",
                config.source.slot,
                slot.database.as_deref().unwrap_or("none"),
                config.source.connect.database
            ),
        ));
    }
    if let Some(reason) = slot.is_lost() {
        return Ok(Slot::Lost(reason));
    }
    Ok(Slot::Usable {
        confirmed: slot.confirmed_flush_lsn.unwrap_or(Lsn::ZERO),
    })
}

/// The server as the recovery table wants it.
pub async fn server(replication: &mut Replication, identity: &Identity) -> Result<Server, Error> {
    let history = if identity.timeline > 1 {
        replication.timeline_history(identity.timeline).await?
    } else {
        Vec::new()
    };
    Ok(Server {
        system_id: identity.system_id.to_string(),
        timeline: identity.timeline,
        database: identity.database.clone(),
        wal_flush: identity.wal_flush,
        history,
    })
}

/// How far the log is flushed once the checkpoint was read: until then another process may have moved both on, and what it
/// published after the server was first asked would seem never to have been there.
pub async fn flushed_by_now(
    replication: &mut Replication,
    server: &mut Server,
) -> Result<(), Error> {
    server.wal_flush = replication.identify().await?.wal_flush;
    Ok(())
}

/// The evidence for a decision.
pub fn evidence(
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

/// Whether a missing slot may be created.
pub(crate) async fn may_create_slot(config: &Config, catalog: &Catalog) -> Result<(), Error> {
    let source = &config.source;
    if source.create || catalog.slot(&source.slot).await?.is_some() {
        return Ok(());
    }
    Err(Error::invalid(
        Code::SlotMissing,
        format!(
            "slot {:?} does not exist and source.create is false: SELECT pg_create_logical_replication_slot({}, 'pgoutput'), \
         then start with --adopt-slot --with-snapshot",
            source.slot,
            walferry_postgres::quote_literal(&source.slot)
        ),
    ))
}

/// Drops the slot, whoever holds it. Whether there was one. A session that was creating it takes it along when it ends.
pub(crate) async fn drop_slot(
    config: &Config,
    catalog: &Catalog,
    stop: &watch::Receiver<bool>,
) -> Result<bool, Error> {
    let slot = &config.source.slot;
    if catalog.slot(slot).await?.is_none() {
        return Ok(false);
    }
    free_slot(config, catalog, None, Ok(()), stop).await?;
    match catalog.drop_slot(slot).await {
        Err(error) if error.sqlstate() != Some("42704") => Err(error.into()),
        _ => Ok(true),
    }
}

/// Refuses tables whose rows a snapshot may not read. An empty one is not read, and would be missed only when it has rows.
pub(crate) fn can_be_read(config: &Config, tables: &[TableInfo]) -> Result<(), Error> {
    match tables.iter().find(|table| !table.can_select) {
        None => Ok(()),
        Some(table) => Err(Error::invalid(
            Code::TableUnreadable,
            format!(
                "table {}: its rows may not be read; {}, or set snapshot.mode = \"never\"",
                table.qualified_name(),
                table.grant_select(&config.source.connect.user)
            ),
        )),
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
            let text = format!(
                "slot {:?} is held by process {pid}, which may belong to a newer instance: {why}",
                config.source.slot
            );
            return Err(Error::away(
                Error::failed(Code::KafkaUnreachable, text).labelled("kafka", "connection"),
            ));
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
            return Err(Error::failed(
                Code::SlotInUse,
                format!(
                    "slot {:?} is still held by process {pid} after {} s, and ending it had no effect",
                    config.source.slot,
                    begun.elapsed().as_secs()
                ),
            ));
        }
        time::sleep(POLL).await;
    }
}

/// What a start has found out.
pub(crate) struct Found {
    pub(crate) catalog: Catalog,
    pub(crate) replication: Replication,
    pub(crate) server: Server,
    pub(crate) tables: Vec<walferry_postgres::TableInfo>,
    /// Chosen and not followed.
    pub(crate) left_out: Vec<choice::LeftOut>,
}
