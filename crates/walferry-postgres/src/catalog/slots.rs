//! Questions about replication slots, and the end of one.
//!
//! Owns [`SlotInfo`]. Never: creates a slot; that needs the replication session, which also exports its snapshot.
//! Invariant: the state of a slot is given in the server's own words, whichever version words them.
//! Source: PostgreSQL documentation, `pg_replication_slots`.

use walferry_event::Lsn;

use super::{Catalog, lsn, value};
use crate::Error;

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Output plugin; none for a physical slot.
    pub plugin: Option<String>,
    /// Database that it decodes; none for a physical slot.
    pub database: Option<String>,
    /// The process that follows it now.
    pub active_pid: Option<i32>,
    /// From where on the server keeps WAL for it.
    pub restart_lsn: Option<Lsn>,
    /// From where on it streams.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// Why it can no longer be used, from PostgreSQL 16 on.
    pub invalidation_reason: Option<String>,
    /// Bytes of WAL that it keeps on the server.
    pub retained_bytes: Option<i64>,
    /// Bytes that may still be written before the server gives it up (`max_slot_wal_keep_size`).
    pub safe_wal_bytes: Option<i64>,
    /// Whether it goes with its session.
    pub temporary: bool,
}

impl SlotInfo {
    /// Why the slot can never be streamed again, or nothing.
    pub fn is_lost(&self) -> Option<String> {
        if let Some(reason) = &self.invalidation_reason {
            return Some(reason.clone());
        }
        // A slot that is being created has no restart_lsn yet, and no wal_status either.
        match self.wal_status.as_deref() {
            Some("lost") => Some("wal_removed".to_owned()),
            _ => None,
        }
    }
}

impl Catalog {
    /// The slot of that name.
    pub async fn slot(&self, name: &str) -> Result<Option<SlotInfo>, Error> {
        let doing = &format!("asking for slot {name:?}");
        let invalidation = match self.server_version {
            170_000.. => "s.invalidation_reason",
            160_000.. => "CASE WHEN s.conflicting THEN 'conflicts with recovery' END",
            _ => "NULL::text",
        };
        let question = format!(
            "SELECT s.plugin::text, s.database::text, s.active_pid, s.restart_lsn::text, s.confirmed_flush_lsn::text,
                    s.wal_status, {invalidation}, s.safe_wal_size, s.temporary,
                    pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()
                        THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END,
                        s.restart_lsn)::bigint
             FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1"
        );
        let rows = self.all(doing, &question, &[&name]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let position = |column| {
            value::<Option<String>>(doing, row, column)?
                .map(|text| lsn(doing, text))
                .transpose()
        };
        Ok(Some(SlotInfo {
            plugin: value(doing, row, 0)?,
            database: value(doing, row, 1)?,
            active_pid: value(doing, row, 2)?,
            restart_lsn: position(3)?,
            confirmed_flush_lsn: position(4)?,
            wal_status: value(doing, row, 5)?,
            invalidation_reason: value(doing, row, 6)?,
            safe_wal_bytes: value(doing, row, 7)?,
            temporary: value(doing, row, 8)?,
            retained_bytes: value(doing, row, 9)?,
        }))
    }

    /// Slots that exist, and `max_replication_slots`.
    pub async fn slots_free(&self) -> Result<(u32, u32), Error> {
        const QUESTION: &str = "\
            SELECT count(*)::int, pg_catalog.current_setting('max_replication_slots')::int
            FROM pg_catalog.pg_replication_slots";
        self.used("counting replication slots", QUESTION).await
    }

    /// Replication sessions that are open, and `max_wal_senders`.
    pub async fn walsenders_free(&self) -> Result<(u32, u32), Error> {
        const QUESTION: &str = "\
            SELECT count(*)::int, pg_catalog.current_setting('max_wal_senders')::int
            FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender'";
        self.used("counting replication sessions", QUESTION).await
    }

    async fn used(&self, doing: &str, question: &str) -> Result<(u32, u32), Error> {
        let row = self.one(doing, question, &[]).await?;
        let count = |column| value::<i32>(doing, &row, column).map(i32::unsigned_abs);
        Ok((count(0)?, count(1)?))
    }

    /// Whether commits on the server wait for the session that follows the slot: `synchronous_standby_names` counts it.
    pub async fn is_synchronous(&self, slot: &str) -> Result<bool, Error> {
        const QUESTION: &str = "\
            SELECT coalesce(bool_or(r.sync_state IN ('sync', 'quorum')), false)
            FROM pg_catalog.pg_stat_replication r
            JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid
            WHERE s.slot_name = $1";
        let doing = "asking whether commits wait for the slot's session";
        let row = self.one(doing, QUESTION, &[&slot]).await?;
        value(doing, &row, 0)
    }

    /// Drops a slot that nobody follows.
    pub async fn drop_slot(&self, name: &str) -> Result<(), Error> {
        let doing = format!("dropping slot {name:?}");
        let question = "SELECT pg_catalog.pg_drop_replication_slot($1)";
        self.all(&doing, question, &[&name]).await.map(drop)
    }
}
