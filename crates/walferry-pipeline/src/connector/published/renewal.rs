//! The stream begins anew where the server goes by what is no more.
//!
//! Before PostgreSQL 15 a walsender remembers under which name it publishes a relation for as long as the publication stays as it is,
//! also when the relation becomes a partition or is none any more: its changes then go on under the other name, or nowhere. A
//! connection that begins behind that moment asks the catalog anew.
//! Owns the question whether a difference is such a one, and what has to be before it is dealt with.
//! Invariant: what is read because of such a difference is read when the stream brings what follows under the right name.
//! Start reading at `is_stale`.

use std::time::{Duration, Instant};

use walferry_event::Lsn;
use walferry_postgres::Catalog;

use crate::{
    connector::published::{
        compare::{Change, Difference, of_partitions},
        look::Seen,
    },
    error::Error,
    position::{ledger::Ledger, published_record::Entry},
    snapshot::{
        goal::goal,
        mailbox::{Event, Handle, Refused},
    },
};

/// The first version that asks again when partitions come or go.
const ASKS_AGAIN_SINCE: u32 = 150_000;
/// Between two connections that are begun for this: one that catches up for a parked table begins too early.
const AGAIN: Duration = Duration::from_secs(10);

/// Whether the stream may bring changes of a table under another name, or none, because of this difference.
pub(super) fn is_stale(
    server_version: u32,
    change: &Change,
    before: Option<&Entry>,
    now: &Seen,
) -> bool {
    if server_version >= ASKS_AGAIN_SINCE {
        return false;
    }
    let moved = |it: &Change| matches!(it, Change::Attached(_) | Change::Detached);
    match change {
        // A table that was never altered since its creation was never anything else.
        Change::New => now.member.is_some_and(|it| !it.untouched),
        it if moved(it) => true,
        _ => before.is_some_and(|it| of_partitions(it, now).iter().any(moved)),
    }
}

/// A stream that is to begin anew.
#[derive(Debug)]
pub(super) struct Renewal {
    /// What has to wait for it.
    differences: Vec<Difference>,
    /// Behind which place it has to begin.
    behind: Lsn,
    asked: Option<Instant>,
}

impl Renewal {
    /// Differences that were found just now.
    pub(super) async fn of(
        catalog: &Catalog,
        differences: Vec<Difference>,
    ) -> Result<Renewal, Error> {
        let behind = goal(catalog.wal_insert().await?);
        let tables: Vec<&str> = differences.iter().map(|it| it.table.as_str()).collect();
        tracing::info!(target: "audit", tables = tables.join(", "), lsn = %behind,
            "partitions have come or gone: the stream begins anew, because before version 15 the server does not notice");
        Ok(Renewal {
            differences,
            behind,
            asked: None,
        })
    }

    pub(super) fn is_of(&self, differences: &[Difference]) -> bool {
        self.differences == differences
    }

    /// What need not wait any more.
    pub(super) fn dealt_with(&self, ledger: &Ledger) -> &[Difference] {
        match ledger.stream_began() >= self.behind {
            true => &self.differences,
            false => &[],
        }
    }

    /// Asks for it, once everything before is in Kafka: the next connection begins behind that.
    pub(super) fn ask(&mut self, handle: &Handle) -> Result<(), Refused> {
        let ledger = &handle.ledger;
        let early = ledger.positions().checkpointed < self.behind;
        let asked = self.asked.is_some_and(|it| it.elapsed() < AGAIN);
        if early || asked || ledger.stream_began() >= self.behind {
            return Ok(());
        }
        handle
            .events()?
            .send(Event::Renew)
            .map_err(|_| Refused::NotStreaming)?;
        self.asked = Some(Instant::now());
        Ok(())
    }
}
