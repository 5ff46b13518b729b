//! The shapes of `GET /status`: plain data, serialised as they stand.

use serde::Serialize;
use walferry_event::Lsn;

use crate::{
    position::{ledger::Positions, snapshot_progress::TableProgress},
    status::{latency::report::LatencyStatus, state::State},
    tables::plan::{Plan, SchemaIds},
};

/// One element of `connectors[]`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Why, when it is not simply working.
    pub reason: Option<String>,
    /// The code of the reason, for `walferry explain`.
    pub code: Option<String>,
    /// The server and what is used of it.
    pub source: SourceStatus,
    /// The four positions of the ring.
    pub positions: Positions,
    /// How far behind it is.
    pub lag: Lag,
    /// How long changes take, and where.
    pub latency: LatencyStatus,
    /// Per table, how far the snapshot has come; empty when none ran in this process.
    pub snapshot: Vec<SnapshotStatus>,
    /// The tables that it has met.
    pub tables: Vec<TableStatus>,
    /// Errors since the start.
    pub errors: u64,
    /// Dead letters since the start.
    pub dead_letters: u64,
}

/// How far the snapshot of a table has come, and how fast.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotStatus {
    /// What is committed.
    #[serde(flatten)]
    pub table: TableProgress,
    /// Rows a second of late, while it is being read.
    pub rows_per_second: Option<u64>,
    /// Seconds until its end at that rate, as far as the estimate of its rows goes.
    pub seconds_left: Option<u64>,
}

/// The server and what is used of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceStatus {
    /// `system_identifier`, as text because it has 64 bits.
    pub system_id: Option<String>,
    /// Timeline.
    pub timeline: Option<u32>,
    /// For instance `17.6`.
    pub server_version: Option<String>,
    /// Slot name.
    pub slot: String,
    /// Publication name.
    pub publication: String,
}

/// How far behind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lag {
    /// WAL of the server that the topics do not hold yet, in bytes.
    pub source_bytes: Option<u64>,
    /// WAL that the server keeps for the slot, in bytes.
    pub slot_retained_bytes: Option<u64>,
    /// Above this it is not ready; `source.slot_retained_bytes_max`.
    pub slot_retained_bytes_max: Option<u64>,
    /// Age of the newest published transaction when it became readable, in milliseconds.
    pub freshness_ms: Option<i64>,
    /// Where the server's WAL ended when it was last asked.
    pub server_lsn: Option<Lsn>,
}

/// What is done with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableActivity {
    /// It is published.
    #[default]
    Streaming,
    /// It waits, for the reason that is given.
    Parked,
    /// It has waited, and is published up to where the others are.
    CatchingUp,
    /// It was chosen and is not published, for the reason that is given.
    LeftOut,
    /// It is published, and changes of it are missing from its topic, for the reason that is given.
    Incomplete,
    /// It is published, and its topic holds rows that the table has no more, for the reason that is given.
    Surplus,
    /// It was published, and is there no more under its name, for the reason that is given.
    Gone,
}

/// A table that the connector has met.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableStatus {
    /// `schema.table`.
    pub name: String,
    /// Where its records go.
    pub topic: String,
    /// Columns of the message key.
    pub key: Vec<String>,
    /// `default`, `full`, `index` or `nothing`.
    pub replica_identity: String,
    /// Changes published since the start.
    pub changes: u64,
    /// Ids of the schemas in use.
    pub schema_ids: SchemaIds,
    /// `streaming`, `parked`, `catching-up`, `left-out`, `incomplete`, `surplus` or `gone`.
    pub state: TableActivity,
    /// Since when it waits or has waited, while it does.
    pub parked_since: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The code of the reason.
    pub code: Option<String>,
}

impl TableStatus {
    /// What is said of a table that this plan is of.
    pub(crate) fn of(plan: &Plan, schema_ids: SchemaIds) -> TableStatus {
        let name = |&i: &usize| plan.table.columns[i].name.clone();
        TableStatus {
            name: plan.name.to_string(),
            topic: plan.topic.to_string(),
            key: plan.table.key.iter().map(name).collect(),
            replica_identity: plan.table.relation.replica_identity.to_string(),
            schema_ids,
            ..TableStatus::default()
        }
    }
}
