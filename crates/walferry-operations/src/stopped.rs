//! What a person does to a connector that does not run: move its position, forget it, remove all of it.
//!
//! Owns the checks before that. Never: touches a connector that runs, or what belongs to another cluster, database or slot.
//! Invariant: whatever moment one of these is interrupted at, the next start refuses to go on or begins anew; it never
//! loses changes silently.
//! Start reading at `set_checkpoint`, `clear_checkpoint` and `remove`.

use walferry_event::{Code, Lsn, Position};
use walferry_kafka::Checkpoint;
use walferry_postgres::{Catalog, Replication};

use walferry_pipeline::{
    blocking::blocking,
    config::Config,
    connector::startup,
    error::Error,
    position::{
        checkpoint_writer,
        recovery::{Server, Slot},
    },
};

/// Makes `lsn` the position: the topics are taken to hold all that was committed before it, and nothing after.
///
/// # Errors
/// The connector runs, the slot cannot go on from there, tables are parked, or a server does not answer.
pub async fn set_checkpoint(config: &Config, lsn: Lsn) -> Result<Checkpoint, Error> {
    config.kafka.check()?;
    let (catalog, server, slot) = look(config).await?;
    let Slot::Usable { confirmed } = slot else {
        return Err(Error::invalid(
            Code::SlotLost,
            format!(
                "slot {:?} does not exist or is lost: there is nothing that could go on from {lsn}; `walferry checkpoint clear -c FILE` \
             lets the connector begin anew",
                config.source.slot
            ),
        ));
    };
    let end = catalog.current_wal().await?;
    if !(confirmed..=end).contains(&lsn) {
        return Err(Error::invalid(
            Code::CommandLine,
            format!(
                "slot {:?} can go on from {confirmed}, up to which it is confirmed, to {end}, where the WAL ends; {lsn} is not \
             between them",
                config.source.slot
            ),
        ));
    }
    let (name, slot) = (config.name.clone(), config.source.slot.clone());
    let tables = config.source.tables.clone();
    let amended = amend(config, true, move |found| {
        if let Some(parked) = found.as_ref().and_then(|it| it.parked.first()) {
            return Err(Error::invalid(
                Code::TableParked,
                format!(
                    "table {:?} is parked, and its own position would be lost: let it go on first",
                    parked.table
                ),
            ));
        }
        tracing::info!(target: "audit", verb = "checkpoint set", connector = name, lsn = %lsn,
            from = found.as_ref().and_then(|it| it.position).map(|it| it.end_lsn.to_string()), "the position is moved by hand");
        Ok(Some(Checkpoint {
            version: 1,
            system_id: server.system_id,
            timeline: server.timeline,
            database: server.database,
            slot,
            position: Some(Position::at(lsn)),
            events: None,
            last_commit_lsn: None,
            parked: Vec::new(),
            tables: found.as_ref().map_or(tables, |it| it.tables.clone()),
            topics: found
                .as_ref()
                .map(|it| it.topics.clone())
                .unwrap_or_default(),
            snapshot: found.as_ref().and_then(|it| it.snapshot.clone()),
            published: None,
            instance: uuid::Uuid::new_v4().to_string(),
            counter: found.map_or(0, |it| it.counter) + 1,
            written_at: walferry_kafka::now_rfc3339(),
            walferry: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    });
    let written = amended.await?;
    written.ok_or_else(|| {
        Error::failed(
            Code::CheckpointUnreadable,
            "the checkpoint that was written is not there",
        )
    })
}

/// Deletes the checkpoint record. Whether there was one that could be read.
///
/// # Errors
/// Kafka does not answer, or does not allow it.
pub async fn clear_checkpoint(config: &Config) -> Result<bool, Error> {
    config.kafka.check()?;
    if topic_missing(config).await? {
        return Ok(false);
    }
    let name = config.name.clone();
    let (told, heard) = std::sync::mpsc::channel();
    amend(config, false, move |found| {
        // The receiver lives as long as this call.
        let _ = told.send(found.is_some());
        tracing::info!(target: "audit", verb = "checkpoint clear", connector = name,
            from = found.as_ref().and_then(|it| it.position).map(|it| it.end_lsn.to_string()), "the checkpoint is deleted by hand");
        Ok(None)
    })
    .await?;
    Ok(heard.try_recv().unwrap_or(false))
}

/// What [`remove`] did away with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The slot.
    pub slot: bool,
    /// The publication; one that `source.create = false` only uses is left alone.
    pub publication: bool,
    /// The checkpoint record.
    pub checkpoint: bool,
}

/// Removes slot, publication and checkpoint.
///
/// # Errors
/// The connector runs, the checkpoint belongs elsewhere, or a server does not answer or allow it.
pub async fn remove(config: &Config) -> Result<Removed, Error> {
    let (catalog, server, slot) = look(config).await?;
    let checkpoint = walferry_pipeline::position::checkpoint_reader::checkpoint(config).await?;
    if let Some(home) = checkpoint_writer::evidence(checkpoint.as_ref()).home()
        && (home.system_id != server.system_id
            || home.database != server.database
            || home.slot != config.source.slot)
    {
        return Err(Error::refused(
            Code::CheckpointForeign,
            format!(
                "the checkpoint of connector {:?} belongs to slot {:?} in database {:?} of the cluster with system identifier \
             {}, and the configuration says slot {:?} in database {:?} of {}: nothing was removed",
                config.name,
                home.slot,
                home.database,
                home.system_id,
                config.source.slot,
                server.database,
                server.system_id
            ),
        ));
    }
    let mut removed = Removed::default();
    let (name, publication) = (&config.source.slot, &config.source.publication);
    let there = match config.source.create {
        true => catalog.publication(publication).await?,
        false => None,
    };
    if there.as_ref().is_some_and(|there| !there.owned) {
        return Err(Error::invalid(
            Code::SourceRight,
            format!(
                "publication {publication:?} belongs to another role, and {:?} may not drop it: nothing was removed. Let its owner \
             run DROP PUBLICATION {}, or set source.create = false to leave it, then drop again",
                config.source.connect.user,
                walferry_postgres::quote_ident(publication)
            ),
        ));
    }
    if slot != Slot::Missing {
        catalog.drop_slot(name).await?;
        tracing::info!(target: "audit", verb = "drop", slot = name, "slot dropped");
        removed.slot = true;
    }
    if there.is_some() {
        catalog.drop_publication(publication).await?;
        tracing::info!(target: "audit", verb = "drop", publication, "publication dropped");
        removed.publication = true;
    }
    removed.checkpoint = clear_checkpoint(config).await?;
    Ok(removed)
}

/// The server and the slot, which nobody may be following.
async fn look(config: &Config) -> Result<(Catalog, Server, Slot), Error> {
    let connect = &config.source.connect;
    let catalog = Catalog::connect(connect).await?;
    let mut replication = Replication::connect(connect).await?;
    let identity = replication.identify().await?;
    let server = startup::server(&mut replication, &identity).await?;
    let holder = catalog.slot(&config.source.slot).await?;
    if let Some(pid) = holder.and_then(|slot| slot.active_pid) {
        return Err(Error::invalid(
            Code::SlotInUse,
            format!(
                "slot {:?} is in use by process {pid} of the server: stop the connector first",
                config.source.slot
            ),
        ));
    }
    let slot = startup::slot(config, &catalog).await?;
    Ok((catalog, server, slot))
}

async fn topic_missing(config: &Config) -> Result<bool, Error> {
    let kafka = config.kafka.clone();
    let asked = blocking("asking for the checkpoint topic", move || {
        let topic = kafka.checkpoint_topic.as_str();
        Ok(!walferry_kafka::topics_missing(&kafka, &[topic])?.is_empty())
    });
    asked.await
}

async fn amend(
    config: &Config,
    create: bool,
    change: impl FnOnce(Option<Checkpoint>) -> Result<Option<Checkpoint>, Error> + Send + 'static,
) -> Result<Option<Checkpoint>, Error> {
    let kafka = config.kafka.clone();
    let amended = blocking("changing the checkpoint", move || {
        if create {
            walferry_kafka::ensure_checkpoint_topic(&kafka)?;
        }
        walferry_kafka::amend_checkpoint(&kafka, change)
    });
    amended.await
}
