//! What stands around a connector on the server: relations that have no changes of their own, limits of connections, settings
//! that end slots, and sessions that a start would wait for.
//!
//! Owns the questions. Never judges an answer; changes nothing.
//! Source: PostgreSQL documentation, `pg_class`, `pg_roles`, `pg_locks`, `pg_prepared_xacts`, "Explicit Locking".

use std::time::Duration;

use tokio::time;

use super::{Catalog, value};
use crate::Error;

/// A relation that could be meant by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationName {
    /// `schema.name`, unquoted.
    pub qualified: String,
    /// Whether it is a table, partitioned or not.
    pub is_table: bool,
    /// What sort of relation it is, in words.
    pub sort: &'static str,
    /// Whether its changes are not in the WAL.
    pub unlogged: bool,
}

/// Connections that are open, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Whose limit it is: the setting, or the clause of the role or the database.
    pub limit_of: String,
    /// How many there may be.
    pub limit: i64,
    /// How many there are, ours among them.
    pub open: i64,
}

/// A session or a prepared transaction that others wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who it is, in words.
    pub who: String,
    /// SQL that ends it.
    pub sql: String,
}

/// A transaction that runs.
struct Running {
    holder: Holder,
    xid: String,
    /// Whether it has run for long; none when the role may not see its beginning.
    long: Option<bool>,
}

/// How long a transaction whose beginning is not known has to last to count.
const MOMENT: Duration = Duration::from_secs(1);

impl Catalog {
    /// Every user's relation that has rows or shows some.
    pub async fn relations(&self) -> Result<Vec<RelationName>, Error> {
        const QUESTION: &str = "\
            SELECT n.nspname || '.' || c.relname, c.relkind::text, c.relpersistence::text
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
            ORDER BY 1";
        let doing = "listing the relations";
        let mut relations = Vec::new();
        for row in self.all(doing, QUESTION, &[]).await? {
            let (kind, persistence): (String, String) =
                (value(doing, &row, 1)?, value(doing, &row, 2)?);
            let (is_table, sort) = match (kind.as_str(), persistence.as_str()) {
                ("v", _) => (false, "a view"),
                ("m", _) => (false, "a materialized view"),
                ("f", _) => (false, "a foreign table"),
                (_, "t") => (false, "a temporary table"),
                _ => (true, "a table"),
            };
            relations.push(RelationName {
                qualified: value(doing, &row, 0)?,
                is_table,
                sort,
                unlogged: is_table && persistence == "u",
            });
        }
        Ok(relations)
    }

    /// Limits that hold for our connections. None hold for a superuser but the server's own.
    pub async fn connections(&self) -> Result<Vec<Connections>, Error> {
        const QUESTION: &str = "\
            WITH me AS (SELECT rolname, rolconnlimit, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
                 db AS (SELECT datname, datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database())
            SELECT 'CONNECTION LIMIT of role ' || pg_catalog.quote_ident(rolname), rolconnlimit::bigint,
                   (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = rolname)
            FROM me WHERE rolconnlimit >= 0 AND NOT rolsuper
            UNION ALL
            SELECT 'CONNECTION LIMIT of database ' || pg_catalog.quote_ident(db.datname), datconnlimit::bigint,
                   (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname = db.datname)
            FROM db, me WHERE datconnlimit >= 0 AND NOT rolsuper
            UNION ALL
            SELECT 'max_connections', pg_catalog.current_setting('max_connections')::bigint - CASE WHEN rolsuper THEN 0
                   ELSE pg_catalog.current_setting('superuser_reserved_connections')::bigint END,
                   (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')
            FROM me";
        let doing = "asking for the limits of connections";
        let rows = self.all(doing, QUESTION, &[]).await?;
        let of = |row| {
            Ok(Connections {
                limit_of: value(doing, row, 0)?,
                limit: value(doing, row, 1)?,
                open: value(doing, row, 2)?,
            })
        };
        rows.iter().map(of).collect()
    }

    /// Settings of the server by name, in their base units; those that this version does not have are left out.
    pub async fn settings(&self, names: &[&str]) -> Result<Vec<(String, String)>, Error> {
        const QUESTION: &str = "\
            SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY ($1)";
        let doing = "asking for settings";
        let rows = self.all(doing, QUESTION, &[&names]).await?;
        rows.iter()
            .map(|row| Ok((value(doing, row, 0)?, value(doing, row, 1)?)))
            .collect()
    }

    /// Transactions that have run for longer than this, and prepared ones: the creation of a slot waits for their end. Whose
    /// beginning the role may not see counts when it is still there a moment later.
    pub async fn long_transactions(&self, seconds: i32) -> Result<Vec<Holder>, Error> {
        const PREPARED: &str = "\
            SELECT 'the prepared transaction ' || pg_catalog.quote_literal(gid) || ' (since '
                       || prepared::timestamptz(0)::text || ')',
                   'ROLLBACK PREPARED ' || pg_catalog.quote_literal(gid) || '; -- or COMMIT PREPARED, in database '
                       || pg_catalog.quote_ident(database)
            FROM pg_catalog.pg_prepared_xacts";
        let mut found = self
            .holders_of("asking for prepared transactions", PREPARED, &[])
            .await?;
        let first = self.running(seconds).await?;
        let unknown = |it: &&Running| it.long.is_none();
        let later = match first.iter().any(|it| unknown(&it)) {
            true => {
                time::sleep(MOMENT).await;
                self.running(seconds).await?
            }
            false => Vec::new(),
        };
        let lasts = |it: &Running| {
            it.long
                .unwrap_or_else(|| later.iter().any(|other| other.xid == it.xid))
        };
        found.extend(first.into_iter().filter(|it| lasts(it)).map(|it| it.holder));
        Ok(found)
    }

    async fn running(&self, seconds: i32) -> Result<Vec<Running>, Error> {
        const QUESTION: &str = "\
            SELECT 'process ' || l.pid || coalesce(' (' || nullif(pg_catalog.concat_ws(', ', 'role ' || a.usename,
                       nullif(a.application_name, ''), a.state, 'since ' || a.xact_start::timestamptz(0)::text), '') || ')', ''),
                   'SELECT pg_terminate_backend(' || l.pid || ');', l.transactionid::text,
                   a.xact_start < pg_catalog.now() - $1 * interval '1 second'
            FROM pg_catalog.pg_locks l
            LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid IS NOT NULL
              AND l.pid <> pg_catalog.pg_backend_pid()";
        let doing = "asking for long transactions";
        let rows = self.all(doing, QUESTION, &[&f64::from(seconds)]).await?;
        rows.iter()
            .map(|row| {
                Ok(Running {
                    holder: Holder {
                        who: value(doing, row, 0)?,
                        sql: value(doing, row, 1)?,
                    },
                    xid: value(doing, row, 2)?,
                    long: value(doing, row, 3)?,
                })
            })
            .collect()
    }

    /// Sessions that hold a lock on one of the tables with which it cannot be added to a publication.
    pub async fn lockers(&self, tables: &[u32]) -> Result<Vec<Holder>, Error> {
        const QUESTION: &str = "\
            SELECT DISTINCT 'process ' || l.pid || coalesce(' (' || pg_catalog.concat_ws(', ', 'role ' || a.usename,
                       nullif(a.application_name, ''), a.state) || ')', '') || ' holds ' || l.mode || ' on '
                       || n.nspname || '.' || c.relname,
                   'SELECT pg_terminate_backend(' || l.pid || ');'
            FROM pg_catalog.pg_locks l
            JOIN pg_catalog.pg_class c ON c.oid = l.relation
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1) AND l.pid <> pg_catalog.pg_backend_pid()
              AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
              AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                             'AccessExclusiveLock')
              AND a.backend_type IS DISTINCT FROM 'autovacuum worker'";
        let doing = "asking who holds locks on the tables";
        self.holders_of(doing, QUESTION, &[&tables]).await
    }

    /// Who follows a slot, in words.
    pub async fn follower(&self, pid: i32) -> Result<String, Error> {
        const QUESTION: &str = "\
            SELECT pg_catalog.concat_ws(', ', nullif(application_name, ''), 'from ' || pg_catalog.host(client_addr),
                       'since ' || backend_start::timestamptz(0)::text)
            FROM pg_catalog.pg_stat_activity WHERE pid = $1";
        let doing = "asking who follows the slot";
        let rows = self.all(doing, QUESTION, &[&pid]).await?;
        let session: Option<String> = match rows.first() {
            Some(row) => value(doing, row, 0)?,
            None => None,
        };
        let session = session.filter(|it| !it.is_empty());
        Ok(session.map_or_else(
            || format!("process {pid}"),
            |session| format!("process {pid} ({session})"),
        ))
    }

    async fn holders_of(
        &self,
        doing: &str,
        question: &'static str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<Holder>, Error> {
        let rows = self.all(doing, question, parameters).await?;
        rows.iter()
            .map(|row| {
                Ok(Holder {
                    who: value(doing, row, 0)?,
                    sql: value(doing, row, 1)?,
                })
            })
            .collect()
    }
}
