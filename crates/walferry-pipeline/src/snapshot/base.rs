//! The moment from which on the rows of a table without a key are the stream's.
//!
//! Owns the question. A row without a key is told by the transaction that wrote it, so a moment is needed of which it is known
//! what a snapshot of it sees and that the stream brings everything after it: the consistent point of a slot. Its snapshot
//! knows subtransactions, too, whose ids rows carry and which a snapshot of now does not list.
//! Never: keeps the slot; reads a row.
//! Source: PostgreSQL documentation, "Logical Decoding Concepts", "Exported Snapshots".

use std::time::Duration;

use walferry_event::Lsn;
use walferry_postgres::{ConnectConfig, Error, Replication, SnapshotReader, Visibility};

/// How long a transaction that is running may hold up the slot's creation.
const TRANSACTION_MAX: Duration = Duration::from_secs(10);

/// What is seen at such a moment, and where it is: what commits from there on is not seen. Waits for the transactions that are
/// running.
pub(super) async fn base(
    connect: &ConnectConfig,
    reader: &SnapshotReader,
) -> Result<(Visibility, Lsn), Error> {
    let mut replication = Replication::connect(connect).await?;
    replication.wait_no_longer_than(TRANSACTION_MAX).await?;
    let slot = format!("walferry_base_{}", replication.backend_pid());
    let created = replication
        .create_temporary_slot_with_snapshot(&slot)
        .await?;
    reader
        .enter(&created.snapshot_name.unwrap_or_default())
        .await?;
    let visibility = reader.visibility().await?;
    reader.leave().await?;
    Ok((visibility, created.consistent_point))
}
