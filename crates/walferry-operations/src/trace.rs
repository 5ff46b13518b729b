//! Where a transaction is: in which topics, partitions and offsets, and when it passed each stage; or where it waits.
//!
//! Owns the order of the search: the topics first, then the checkpoint, then PostgreSQL. Never: reads a whole topic, but for the end of
//! those in which a key is looked for; changes anything.
//! Invariant: within a partition the transactions stand in the order of their commits, so a place is found by halving.
//! Start reading at `trace`.

mod find;
mod key;
pub mod progress;
mod question;
pub mod report;
mod values;
mod what;

use walferry_event::{Code, Lsn};
use walferry_kafka::{Checkpoint, Seeker};
use walferry_postgres::Catalog;
use walferry_registry::Registry;

use crate::trace::{
    find::Finder,
    report::{Servers, TraceReport},
    values::Values,
};
use walferry_pipeline::{
    blocking::blocking, config::Config, error::Error, position::checkpoint_reader,
};

pub use question::Trace;
pub use what::What;

/// Looks for a transaction.
///
/// # Errors
/// Kafka or the registry does not answer, the connector has no checkpoint, its records are in another envelope.
pub async fn trace(config: &Config, trace: Trace) -> Result<TraceReport, Error> {
    let checkpoint = checkpoint_reader::checkpoint(config).await?;
    let Some(checkpoint) = checkpoint else {
        let reason = format!(
            "connector {:?} has no checkpoint: it has never been started, or under another name",
            config.name
        );
        return Err(Error::failed(Code::Command, reason));
    };
    let topics = topics(config, &checkpoint, trace.table.as_deref())?;
    let registry = Registry::new(config.registry.clone())?;
    let (kafka, asked, held) = (config.kafka.clone(), trace.clone(), checkpoint.position);
    let searched = blocking("looking for a transaction", move || {
        let mut values = Values::new(registry);
        let mut seeker = Seeker::open(&kafka, &topics)?;
        let mut finder = Finder::new(&mut seeker, &mut values, asked.records_max);
        let found = match &asked.what {
            What::Xid(xid) => finder.xid(*xid)?,
            What::Lsn(lsn) => finder.lsn(*lsn, held)?,
            What::Key(key) => finder.key(key)?,
        };
        if found.is_empty() && values.others {
            return Err(Error::failed(
                Code::TopicUnreadable,
                "there are records that do not say which transaction they are of: a trace needs format.envelope = \"debezium\"",
            ));
        }
        Ok(found)
    });
    let found = searched.await?;
    let servers = match found.is_empty() {
        true => Some(ask(config, &trace.what).await),
        false => None,
    };
    let held = held.map_or(Lsn::ZERO, |it| it.end_lsn);
    Ok(TraceReport::new(&trace, found, held, servers))
}

/// The topics that hold records of changes.
fn topics(
    config: &Config,
    checkpoint: &Checkpoint,
    table: Option<&str>,
) -> Result<Vec<String>, Error> {
    if let Some(name) = table {
        let Some((schema, table)) = name.split_once('.') else {
            let reason = format!("--table {name}: write it as schema.table");
            return Err(Error::failed(Code::CommandLine, reason));
        };
        return Ok(vec![config.topic(schema, table)]);
    }
    let side = [
        config.kafka.checkpoint_topic.clone(),
        config.errors.dead_letter_topic.clone(),
        config.transaction_topic(),
        config.message_topic(),
    ];
    let all = checkpoint.topics.keys();
    Ok(all.filter(|it| !side.contains(it)).cloned().collect())
}

/// What PostgreSQL says of a transaction that is in no topic. That it does not answer is no error: then it is not known.
async fn ask(config: &Config, what: &What) -> Servers {
    let mut servers = Servers::default();
    let Ok(catalog) = Catalog::connect(&config.source.connect).await else {
        return servers;
    };
    servers.wal_end = catalog.current_wal().await.ok();
    let slot = catalog.slot(&config.source.slot).await.ok().flatten();
    servers.slot_confirmed = slot.and_then(|it| it.confirmed_flush_lsn);
    if let What::Xid(xid) = what {
        servers.outcome = catalog.transaction_outcome(*xid).await.ok().flatten();
    }
    servers
}
