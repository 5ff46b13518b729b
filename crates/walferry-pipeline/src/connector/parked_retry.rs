//! Offers the schemas of parked tables to the registry again, and answers the operator who approves one.
//!
//! Owns the task. Never: parks a table; the encoder does.
//! Start reading at `watch`.

mod lifted;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use walferry_event::Disposition;
use walferry_registry::Registry;

use crate::{
    config::InForce,
    connector::parked_retry::lifted::LevelNote,
    status::{
        Status,
        parked_tables::{POLL_MIN, ParkedTables, lock},
    },
    tables::plan::Offer,
};

/// Offers the schemas of waiting tables to the registry, and answers the operator, until the ring ends.
pub(crate) async fn watch(config: InForce, status: Arc<Status>, registry: Arc<Registry>) {
    let mut note = LevelNote::new(config.clone());
    if let Err(reason) = note.put_back(&registry).await {
        tracing::warn!(reason, "it is tried again before the next approval");
    }
    let (sender, mut approvals) = mpsc::unbounded_channel();
    *lock(&status.parking.approvals) = Some(sender);
    let every = POLL_MIN.min(Duration::from_millis(
        config.now().errors.retry_max_ms.max(100),
    ));
    loop {
        let approval = time::timeout(every, approvals.recv()).await;
        match approval {
            Ok(Some(approval)) => {
                // What Kafka did not take may be mended, too.
                status.refusals.forget();
                let outcome = match note.put_back(&registry).await {
                    Ok(()) => approve(&status.parking, &registry, &note, &approval.table).await,
                    Err(reason) => Err(reason),
                };
                tracing::info!(target: "audit", table = approval.table,
                    outcome = outcome.as_ref().map_or_else(String::as_str, String::as_str),
                    "schema approval");
                // The operator may have stopped waiting.
                let _ = approval.answer.send(outcome);
            }
            Ok(None) => return,
            Err(_) => poll(&status.parking, &registry).await,
        }
    }
}

pub(crate) async fn poll(parking: &ParkedTables, registry: &Registry) {
    for (table, offers) in parking.due(Instant::now()) {
        match offer(registry, &offers).await {
            Ok(()) => {
                tracing::info!(target: "audit", table, "the registry takes the schema now: the table goes on");
                parking.release(&table);
            }
            Err(error) => {
                let away = error.disposition() != Disposition::Halt;
                parking.refused_again(&table, away);
            }
        }
    }
}

pub(crate) async fn offer(
    registry: &Registry,
    offers: &[Offer],
) -> Result<(), walferry_registry::Error> {
    let pairs = offers.iter();
    let pairs: Vec<_> = pairs
        .map(|it| (it.subject.as_str(), it.schema.as_str()))
        .collect();
    registry.register_all(&pairs).await.map(drop)
}

pub(crate) async fn approve(
    parking: &ParkedTables,
    registry: &Registry,
    note: &LevelNote,
    table: &str,
) -> Result<String, String> {
    let offers = {
        let tables = parking.tables();
        match tables.get(table) {
            Some(it) if it.released => return Ok(format!("table {table} is catching up already")),
            Some(it) => it.obstacle.offers.clone(),
            None => {
                let names: Vec<&str> = tables.keys().map(String::as_str).collect();
                let parked = match names.is_empty() {
                    true => "no table is".to_owned(),
                    false => format!("parked: {}", names.join(", ")),
                };
                return Err(format!("table {table:?} is not parked; {parked}"));
            }
        }
    };
    for offer in &offers {
        force(registry, note, offer)
            .await
            .map_err(|reason| format!("table {table} stays parked: {reason}"))?;
    }
    parking.release(table);
    Ok(match offers.is_empty() {
        true => format!("table {table} is tried again at the change that it waits at"),
        false => format!("the registry has taken the schema of table {table}: it goes on"),
    })
}

/// Registers a schema, also against the subject's level, which is noted before it is lifted.
pub(crate) async fn force(
    registry: &Registry,
    note: &LevelNote,
    offer: &Offer,
) -> Result<(), String> {
    let told = |error: walferry_registry::Error| error.to_string();
    let offered = registry.register_or_lift(&offer.subject, &offer.schema);
    if let Err(lifted) = offered.await.map_err(told)? {
        note.write(Some(&lifted)).await?;
        let registered = registry.register_lifted(&lifted, &offer.schema);
        registered.await.map_err(told)?;
        note.write(None).await?;
    }
    Ok(())
}
