//! `walferry estimate`: what a connector of these tables would have to do, from a temporary slot that is decoded and encoded to nowhere.
//!
//! Owns the course: measure the stream, look at the sizes, read pieces of the largest tables. Never: creates anything that stays; asks Kafka or
//! the registry; says a figure without its unit and how it was got.
//! Start reading at `estimate`; the figures are made in `forecast`.

mod encoding;
pub mod forecast;
pub mod load;
pub mod sample;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{sync::watch, time::Instant};
use walferry_postgres::{
    Catalog, Feedback, Replication, StreamEvent, StreamLimits, StreamOptions, TableInfo,
};

use walferry_pipeline::{
    config::Config,
    connector::choice::{self, Choice},
    error::Error,
    retry,
};

use crate::temporary::publication_of;
use encoding::Encoding;
use forecast::{Figure, Measured, Proposal, figures, proposals};
use load::{Load, TableLoad, Transaction};
use sample::TableSize;

/// A forecast.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Each with its unit and how it was got.
    pub figures: Vec<Figure>,
    /// What the file should say.
    pub proposals: Vec<Proposal>,
    /// What came of each table that was changed, by name.
    pub tables: BTreeMap<String, TableLoad>,
    /// The largest transactions, by the bytes of their messages.
    pub transactions: Vec<Transaction>,
    /// What a first snapshot would read, the largest first.
    pub sizes: Vec<TableSize>,
    /// What whoever runs the connector should know.
    pub warnings: Vec<String>,
}

/// Measures for so many seconds, or until `stop` is set. `begun` is called when the slot is there: what commits from then on is
/// counted. Nothing when it was stopped before that.
///
/// # Errors
/// The server does not answer, or the role may not follow the tables.
pub async fn estimate(
    config: &Config,
    seconds: u64,
    begun: impl FnOnce(),
    stop: watch::Receiver<bool>,
) -> Result<Option<Estimate>, Error> {
    let catalog = Catalog::connect(&config.source.connect).await?;
    let choice = choice::choose(config, &catalog).await?;
    let replication = Replication::connect(&config.source.connect).await?;
    let own = format!("walferry_estimate_{}", replication.backend_pid());
    let publication = publication_of(config, &catalog, &choice.tables, &own).await?;
    let slot = Slot {
        name: &own,
        publication: &publication,
    };
    let wanted = Duration::from_secs(seconds);
    let outcome = measure(config, &catalog, replication, &slot, wanted, begun, stop).await;
    if publication == own {
        catalog.drop_publication(&own).await?;
    }
    let Some((mut measured, load)) = outcome? else {
        return Ok(None);
    };
    let sizes = sample::sizes(config, &catalog, &choice.tables).await?;
    measured.readers = config.snapshot.readers;
    let tables: BTreeMap<String, TableLoad> = load
        .tables
        .into_iter()
        .map(|(name, table)| (name.to_string(), table))
        .collect();
    let mut warnings = warnings(&catalog, &choice, &load.largest).await?;
    warnings.extend(of_load(&measured, &tables, load.cut));
    Ok(Some(Estimate {
        figures: figures(&measured, &sizes),
        proposals: proposals(&measured),
        tables,
        transactions: load.largest,
        sizes,
        warnings,
    }))
}

/// What is read.
struct Slot<'a> {
    name: &'a str,
    publication: &'a str,
}

/// Reads the stream for the time. The slot goes with its session.
async fn measure<'a>(
    config: &'a Config,
    catalog: &'a Catalog,
    mut replication: Replication,
    slot: &Slot<'_>,
    wanted: Duration,
    begun: impl FnOnce(),
    mut stop: watch::Receiver<bool>,
) -> Result<Option<(Measured, Load<'a>)>, Error> {
    let created = tokio::select! {
        created = replication.create_temporary_slot(slot.name) => created?,
        () = retry::asked(&mut stop) => return Ok(None),
    };
    let at = created.consistent_point;
    let options = StreamOptions::default();
    let stream = replication.start(slot.name, slot.publication, at, options);
    let stream = stream.await?;
    let feedback = Arc::new(Feedback::new(at));
    let (handle, mut events) =
        walferry_postgres::spawn(stream, StreamLimits::default(), feedback.clone());
    let wal = catalog.wal_insert().await?;
    let mut load = Load::new(Encoding::new(config, catalog));
    let start = Instant::now();
    begun();
    let ended = loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = tokio::time::sleep_until(start + wanted) => None,
            () = retry::asked(&mut stop) => None,
        };
        match event {
            Some(StreamEvent::Block(block)) => {
                load.block(&block.bytes).await?;
                feedback.set_flushed(load.seen);
            }
            Some(StreamEvent::Ended(outcome)) => break outcome.map_err(Error::from),
            None => break Ok(()),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let wal_bytes = catalog.wal_insert().await?.0.saturating_sub(wal.0);
    drop(events);
    handle.stop().await;
    ended?;
    Ok(Some((measured(&load, seconds, wal_bytes), load)))
}

fn measured(load: &Load<'_>, seconds: f64, wal_bytes: u64) -> Measured {
    let sum = |of: fn(&TableLoad) -> u64| load.tables.values().map(of).sum();
    let busiest = load.tables.values().max_by_key(|it| it.avro_bytes);
    Measured {
        seconds,
        changes: sum(|it| it.changes),
        records: sum(|it| it.records),
        transactions: load.transactions,
        stream_bytes: sum(|it| it.stream_bytes),
        avro_bytes: sum(|it| it.avro_bytes),
        record_bytes_max: load
            .tables
            .values()
            .map(|it| it.record_bytes_max)
            .max()
            .unwrap_or_default(),
        changes_peak: load.seconds.iter().copied().max().unwrap_or_default(),
        avro_bytes_peak: load.avro_seconds.iter().copied().max().unwrap_or_default(),
        busiest: busiest.map_or((0, 0), |it| (it.records, it.avro_bytes)),
        busy_seconds: load.busy.as_secs_f64(),
        wal_bytes,
        readers: 1,
    }
}

/// What the tables and the server have to be told of.
async fn warnings(
    catalog: &Catalog,
    choice: &Choice,
    largest: &[Transaction],
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for it in &choice.left_out {
        let table = it.table.qualified_name();
        warnings.push(format!(
            "table {table} is left out of all figures: {}; {}",
            it.what, it.remedy
        ));
    }
    let keyless = |it: &&TableInfo| it.key_columns.is_empty();
    for it in choice.tables.iter().filter(keyless) {
        warnings.push(format!(
            "table {} has no key: its records have none, and its topic cannot be compacted",
            it.qualified_name()
        ));
    }
    const NAMES: [&str; 2] = ["logical_decoding_work_mem", "max_slot_wal_keep_size"];
    for (name, value) in catalog.settings(&NAMES).await? {
        let Ok(value) = value.parse::<u64>() else {
            continue;
        };
        let largest = largest.first().map_or(0, |it| it.stream_bytes);
        match name.as_str() {
            "logical_decoding_work_mem" if largest > value << 10 => warnings.push(format!(
                "logical_decoding_work_mem is {value} kB and the largest transaction {largest} bytes: the server writes such a one to its \
                 disk while it decodes it"
            )),
            "max_slot_wal_keep_size" => warnings.push(format!(
                "max_slot_wal_keep_size is {value} MB: the server gives the slot up when more WAL than that is kept for it"
            )),
            _ => {}
        }
    }
    Ok(warnings)
}

/// What the load has to be told of.
fn of_load(measured: &Measured, tables: &BTreeMap<String, TableLoad>, cut: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    if measured.changes == 0 {
        warnings.push(
            "nothing was changed in the time, so that rates and proposals say nothing: measure in the busiest hour, or longer"
                .to_owned(),
        );
    }
    for (name, table) in tables {
        if let Some(reason) = &table.reason {
            warnings.push(format!(
                "{} changes of table {name} could not be encoded, the first because {reason}: they would follow the table's policy (errors)",
                table.unencoded
            ));
        }
    }
    if cut > 0 {
        warnings.push(format!(
            "{cut} messages were above 256 MiB and are not in the figures"
        ));
    }
    warnings
}
