//! What a process of the server waits for, in words for the operator: a lock, a transaction, a prepared transaction.
//!
//! Owns the questions. Never: ends anybody. Other sessions' states are shown as far as the role may see them.
//! Source: PostgreSQL documentation, `pg_locks`, `pg_stat_activity`, `pg_prepared_xacts`, `pg_blocking_pids`.

use super::{Catalog, value};
use crate::{Error, quote::quote_literal};

/// Somebody whom a process waits for.
struct Holder {
    /// The lock that is waited for: `transactionid`, `relation`, …
    lock: String,
    xid: Option<String>,
    pid: Option<i32>,
    /// Role, application, state and begin of the transaction, as far as they are known.
    session: Option<String>,
    /// Of a prepared transaction.
    gid: Option<String>,
}

impl Holder {
    fn words(&self) -> String {
        if let Some(gid) = &self.gid {
            let xid = self.xid.as_deref().unwrap_or("unknown");
            let quoted = quote_literal(gid);
            return format!(
                "the prepared transaction {quoted} (xid {xid}): COMMIT PREPARED {quoted} or ROLLBACK PREPARED {quoted}"
            );
        }
        let Some(pid) = self.pid else {
            return format!("a lock ({})", self.lock);
        };
        let session = match &self.session {
            Some(session) => format!(" ({session})"),
            None => String::new(),
        };
        let end = format!("end it there, or SELECT pg_terminate_backend({pid})");
        match &self.xid {
            Some(xid) => format!("transaction {xid} of process {pid}{session}: {end}"),
            None => format!("a lock ({}) of process {pid}{session}: {end}", self.lock),
        }
    }
}

impl Catalog {
    /// What a process waits for; nothing when it waits for nobody.
    pub async fn waits_for(&self, pid: i32) -> Result<Option<String>, Error> {
        const LOCKS: &str = "\
            SELECT l.locktype, l.transactionid::text, nullif(b.pid, 0),
                   pg_catalog.concat_ws(', ', 'role ' || s.usename, nullif(s.application_name, ''), s.state,
                       'since ' || s.xact_start::text),
                   p.gid
            FROM pg_catalog.pg_locks l
            LEFT JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) AS b(pid) ON true
            LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid = b.pid
            LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = l.transactionid
            WHERE l.pid = $1 AND NOT l.granted";
        let locks = self.holders(LOCKS, pid).await?;
        if locks.is_some() {
            return Ok(locks);
        }
        // A slot's creation goes from one list of running transactions to the next, and waits for WAL in between.
        const RUNNING: &str = "\
            SELECT 'transactionid', s.backend_xid::text, s.pid,
                   pg_catalog.concat_ws(', ', 'role ' || s.usename, nullif(s.application_name, ''), s.state,
                       'since ' || s.xact_start::text), NULL::text
            FROM pg_catalog.pg_stat_activity s
            WHERE s.backend_xid IS NOT NULL AND s.pid <> $1
              AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity w
                  WHERE w.pid = $1 AND pg_catalog.lower(w.wait_event) = 'walsenderwaitforwal')
            UNION ALL
            SELECT 'transactionid', p.transaction::text, NULL, NULL, p.gid FROM pg_catalog.pg_prepared_xacts p
            WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_activity w
                WHERE w.pid = $1 AND pg_catalog.lower(w.wait_event) = 'walsenderwaitforwal')
            LIMIT 3";
        if let Some(running) = self.holders(RUNNING, pid).await? {
            return Ok(Some(running));
        }
        const EVENT: &str = "\
            SELECT a.wait_event_type || ': ' || a.wait_event FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1";
        let rows = self
            .all("asking what a process waits for", EVENT, &[&pid])
            .await?;
        match rows.first() {
            Some(row) => {
                let event: Option<String> = value("asking what a process waits for", row, 0)?;
                Ok(event.map(|event| format!("the server ({event})")))
            }
            None => Ok(None),
        }
    }

    /// The process of this very session.
    pub async fn backend_pid(&self) -> Result<i32, Error> {
        let doing = "asking for the process of a session";
        let row = self
            .one(doing, "SELECT pg_catalog.pg_backend_pid()", &[])
            .await?;
        value(doing, &row, 0)
    }

    /// What sessions of the same name and role wait for, if one of them waits for a lock.
    pub async fn ours_wait_for(&self) -> Result<Option<String>, Error> {
        const QUESTION: &str = "\
            SELECT a.pid FROM pg_catalog.pg_stat_activity a
            WHERE a.usename = current_user AND a.wait_event_type = 'Lock'
              AND a.application_name = pg_catalog.current_setting('application_name')
            ORDER BY a.query_start LIMIT 1";
        let doing = "asking which session waits for a lock";
        let rows = self.all(doing, QUESTION, &[]).await?;
        match rows.first() {
            Some(row) => self.waits_for(value(doing, row, 0)?).await,
            None => Ok(None),
        }
    }

    /// Whether a process is at work, and waits neither for a client nor for something to do.
    pub async fn is_at_work(&self, pid: i32) -> Result<bool, Error> {
        const QUESTION: &str = "\
            SELECT a.wait_event_type IS NULL OR a.wait_event_type NOT IN ('Client', 'Activity')
            FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1";
        let doing = "asking whether a process is at work";
        let rows = self.all(doing, QUESTION, &[&pid]).await?;
        rows.first().map_or(Ok(false), |row| value(doing, row, 0))
    }

    async fn holders(&self, question: &str, pid: i32) -> Result<Option<String>, Error> {
        let doing = "asking what a process waits for";
        let rows = self.all(doing, question, &[&pid]).await?;
        let mut words = Vec::with_capacity(rows.len());
        for row in &rows {
            let holder = Holder {
                lock: value(doing, row, 0)?,
                xid: value(doing, row, 1)?,
                pid: value(doing, row, 2)?,
                session: value::<Option<String>>(doing, row, 3)?.filter(|it| !it.is_empty()),
                gid: value(doing, row, 4)?,
            };
            words.push(holder.words());
        }
        words.sort();
        words.dedup();
        Ok((!words.is_empty()).then(|| words.join("; ")))
    }
}
