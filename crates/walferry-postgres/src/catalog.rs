//! What the stream does not say: tables, types, slots, publications, privileges.
//!
//! Owns [`Catalog`], one connection on `tokio-postgres`. Never: keeps an answer; opens a second connection when the first is lost.
//! Invariant: every question names its relations by schema, and the session's search path is `pg_catalog` alone, so no
//! object of a user can stand in for one of the server's.
//! Source: PostgreSQL documentation, "System Catalogs" and "System Views"; versions 14 to 18.
//!
//! Start reading at [`Catalog::connect`]; `slots`, `publications`, `tables`, `facts`, `columns`, `key`, `identity`, `condition` and `column_type` hold the questions.

mod column_type;
mod columns;
mod condition;
mod facts;
mod identity;
mod key;
mod known;
mod provider;
mod publications;
mod published;
mod slots;
mod surroundings;
mod tables;
mod trial;
mod waits;

use std::{collections::HashMap, io, time::Duration};

use tokio::{sync::Mutex, time};
use tokio_postgres::{
    Client, Config, Row, SimpleQueryMessage, Statement,
    config::{SslMode, SslNegotiation},
    types::{FromSql, ToSql},
};
use walferry_event::Lsn;

use crate::{
    ConnectConfig, Error,
    auth::{AsItIs, Gated},
    kind::Kind,
    session::unexpected,
    session_settings::{self, LOCK_TIMEOUT_MS},
    socket::Socket,
    startup, tls_refusal,
};

pub use facts::{NamedRole, TableFacts};
pub use identity::{IdentityColumn, RelationIdentity, Shows};
pub use key::KeyRules;
pub use provider::{Provider, WalLevel};
pub use publications::{PublicationInfo, Publish, PublishedTable, change_sql};
pub use published::{Leaf, Member, PublicationVersion};
pub use slots::SlotInfo;
pub use surroundings::{Connections, Holder, RelationName};
pub use tables::{RelationKind, TableInfo, TableName};
pub use trial::Trial;

/// A connection for questions about the database.
pub struct Catalog {
    client: Client,
    server_version: u32,
    /// Questions that are asked of each table, as the server knows them.
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

/// Who we are on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleInfo {
    /// Role name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether it may use replication (as a superuser may, and on Amazon's servers a member of `rds_replication`).
    pub replication: bool,
    /// Whether it may create a publication in this database.
    pub can_create_publication: bool,
    /// In how many days its password ends, where it does.
    pub ends_in_days: Option<i64>,
}

/// How long one answer may take before the connection counts as lost.
const ANSWER_MAX: Duration = Duration::from_secs(60);

// The server's clear error comes before ours.
const _: () = assert!(LOCK_TIMEOUT_MS < ANSWER_MAX.as_millis() as u32);

/// Opens a connection on `tokio-postgres` and drives it in a task until the client is dropped.
pub(crate) async fn open(config: &ConnectConfig) -> Result<Client, Error> {
    open_with(config, None).await.map(|(client, _)| client)
}

/// As [`open`], with one of the settings as the role has it; and the server's version.
async fn open_with(config: &ConnectConfig, as_is: Option<&str>) -> Result<(Client, u32), Error> {
    let client = log_in(config, session_settings::options(as_is)).await?;
    let doing = "asking for the server's version";
    let question = "SELECT pg_catalog.current_setting('server_version_num')";
    let answer = in_time(doing, client.simple_query(question)).await?;
    let version = answer.iter().find_map(|it| match it {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    let version = version.ok_or_else(|| unexpected(doing, "no number"))?;
    for command in session_settings::later(version) {
        in_time("setting up a session", client.batch_execute(command)).await?;
    }
    Ok((client, version))
}

async fn log_in(config: &ConnectConfig, options: String) -> Result<Client, Error> {
    let doing = format!("connecting to {}", config.place());
    let mut driver = Config::new();
    driver
        .user(config.user.as_str())
        .dbname(config.database.as_str())
        .application_name(config.application_name.as_str())
        .options(options)
        // The socket that the driver gets has TLS already, where it is asked for.
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    if let Some(password) = config.read_password()? {
        driver.password(password);
    }
    let socket = Gated::new(Socket::connect(config).await?, config, &doing);
    let logging_in = driver.connect_raw(socket, AsItIs);
    let connecting = time::timeout(config.connect_timeout(), logging_in);
    let (client, connection) = match connecting.await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(refused(&doing, config, error)),
        Err(_) => {
            return Err(Error::new(
                Kind::Unreachable,
                format!("{doing}: no answer within {} ms", config.connect_timeout_ms),
            ));
        }
    };
    tokio::spawn(async move {
        // Whoever asks next gets the reason; a task has nobody to tell.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a catalog connection ended");
        }
    });
    Ok(client)
}

/// A connection that did not come about: the driver's error, told by its cause.
fn refused(doing: &str, config: &ConnectConfig, error: tokio_postgres::Error) -> Error {
    use std::error::Error as _;

    if error.as_db_error().is_some() {
        return Error::client(doing, error);
    }
    let cause = error.source();
    if let Some(cause) = cause.and_then(|source| source.downcast_ref::<io::Error>()) {
        if cause.get_ref().is_some_and(|it| it.is::<Error>()) {
            return of_gate(error)
                .unwrap_or_else(|| Error::new(Kind::Auth, format!("{doing}: refused")));
        }
        return match tls_refusal::explain(cause, &config.host) {
            Some(why) => Error::new(Kind::Tls, format!("{doing}: {why}")).because(error),
            None => Error::lost(doing, io::Error::new(cause.kind(), cause.to_string())),
        };
    }
    // The driver names these by their text alone.
    let whole = match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    if whole.contains("password missing") {
        return startup::no_password(doing);
    }
    let kind = if whole.contains("TLS") {
        Kind::Tls
    } else if whole.contains("authentication") || whole.contains("configuration") {
        Kind::Auth
    } else {
        Kind::Unreachable
    };
    Error::new(kind, format!("{doing}: {whole}")).because(error)
}

/// The refusal of our own gate, if that is what the driver's error is.
fn of_gate(error: tokio_postgres::Error) -> Option<Error> {
    let source = error.into_source()?.downcast::<io::Error>().ok()?;
    let refused = source.into_inner()?.downcast::<Error>().ok()?;
    Some(*refused)
}

impl Catalog {
    /// Connects. The connection ends when the catalog is dropped.
    ///
    /// # Errors
    /// Nobody answers, or TLS or the log-in is refused.
    pub async fn connect(config: &ConnectConfig) -> Result<Catalog, Error> {
        Ok(Catalog::of(open_with(config, None).await?))
    }

    fn of((client, server_version): (Client, u32)) -> Catalog {
        Catalog {
            client,
            prepared: Mutex::default(),
            server_version,
        }
    }

    /// `server_version_num`, as 170006.
    pub fn server_version(&self) -> u32 {
        self.server_version
    }

    /// Any setting, as `SHOW` shows it.
    pub async fn setting(&self, name: &str) -> Result<String, Error> {
        let doing = format!("asking for the setting {name}");
        let row = self
            .one(&doing, "SELECT pg_catalog.current_setting($1)", &[&name])
            .await?;
        value(&doing, &row, 0)
    }

    /// Who we are.
    pub async fn role(&self) -> Result<RoleInfo, Error> {
        const QUESTION: &str = "\
            SELECT rolname::text, rolsuper,
                   rolreplication OR rolsuper OR (pg_catalog.current_setting('rds.extensions', true) IS NOT NULL
                       AND EXISTS (SELECT 1 FROM pg_catalog.pg_roles it WHERE it.rolname = 'rds_replication'
                                   AND pg_catalog.pg_has_role(it.oid, 'USAGE'))),
                   pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
                   CASE WHEN pg_catalog.isfinite(rolvaliduntil)
                        THEN floor(extract(epoch FROM rolvaliduntil - pg_catalog.now()) / 86400)::bigint END
            FROM pg_catalog.pg_roles WHERE rolname = current_user";
        let doing = "asking for the role's privileges";
        let row = self.one(doing, QUESTION, &[]).await?;
        Ok(RoleInfo {
            name: value(doing, &row, 0)?,
            superuser: value(doing, &row, 1)?,
            replication: value(doing, &row, 2)?,
            can_create_publication: value(doing, &row, 3)?,
            ends_in_days: value(doing, &row, 4)?,
        })
    }

    /// Where the server's WAL ends; on a standby, where it has replayed to.
    pub async fn current_wal(&self) -> Result<Lsn, Error> {
        const QUESTION: &str = "\
            SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END::text";
        let doing = "asking where the WAL ends";
        let row = self.one(doing, QUESTION, &[]).await?;
        lsn(doing, value(doing, &row, 0)?)
    }

    /// The same, and what the server's clock said then, in microseconds since 1970. It is one round trip, so that the clock is read between
    /// the question and the answer.
    pub async fn wal_and_clock(&self) -> Result<(Lsn, i64), Error> {
        const QUESTION: &str = "\
            SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END::text,
                   (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::bigint";
        let doing = "asking where the WAL ends";
        let answer = in_time(doing, self.client.simple_query(QUESTION)).await?;
        let row = answer.iter().find_map(|it| match it {
            SimpleQueryMessage::Row(row) => {
                Some((row.get(0)?.to_owned(), row.get(1)?.parse().ok()?))
            }
            _ => None,
        });
        let (at, clock_us) = row.ok_or_else(|| unexpected(doing, "no row"))?;
        Ok((lsn(doing, at)?, clock_us))
    }

    /// A transaction id that no transaction so far has, in 64 bits.
    pub async fn next_xid(&self) -> Result<u64, Error> {
        const QUESTION: &str =
            "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text";
        let doing = "asking for the next transaction id";
        let row = self.one(doing, QUESTION, &[]).await?;
        let text: String = value(doing, &row, 0)?;
        text.parse()
            .map_err(|_| unexpected(doing, "what is no transaction id"))
    }

    /// What became of a transaction, by the 32 bits that the stream has of its id: `in progress`, `committed` or `aborted`; none when it is so
    /// old that the server has forgotten it, or has not begun.
    pub async fn transaction_outcome(&self, xid: u32) -> Result<Option<String>, Error> {
        let next = self.next_xid().await?;
        let whole = (next & !u64::from(u32::MAX)) | u64::from(xid);
        // One that runs may be behind the newest that has ended.
        let begun = match whole < next + (1 << 31) {
            true => Some(whole),
            false => whole.checked_sub(1 << 32),
        };
        let Some(begun) = begun else {
            return Ok(None);
        };
        const QUESTION: &str = "SELECT pg_catalog.pg_xact_status($1::text::pg_catalog.xid8)";
        let doing = "asking what became of a transaction";
        match self.one(doing, QUESTION, &[&begun.to_string()]).await {
            Ok(row) => value(doing, &row, 0),
            // It has not begun.
            Err(error) if error.sqlstate() == Some("22023") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a transaction, by the 32 bits that the stream has of its id, is still running or ending. What it has changed may be in
    /// the stream before anybody else sees it: its commit is in the WAL before it is over. One that waits for a synchronous
    /// standby does not count: that may be ourselves.
    pub async fn is_ending(&self, xid: u32) -> Result<bool, Error> {
        const QUESTION: &str = "\
            SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
                           LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
                           WHERE l.locktype = 'transactionid' AND l.granted AND l.transactionid::text = $1
                             AND a.wait_event IS DISTINCT FROM 'SyncRep')";
        let doing = "asking whether a transaction is over";
        let row = self.one(doing, QUESTION, &[&xid.to_string()]).await?;
        value(doing, &row, 0)
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.command("asking whether the server answers", "").await
    }

    /// Ends another session; `false` when there is none of that process.
    pub async fn terminate_backend(&self, pid: i32) -> Result<bool, Error> {
        let doing = format!("ending the session of process {pid}");
        let row = self
            .one(
                &doing,
                "SELECT pg_catalog.pg_terminate_backend($1)",
                &[&pid],
            )
            .await?;
        value(&doing, &row, 0)
    }

    async fn all(
        &self,
        doing: &str,
        question: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let answer = self.client.query(question, parameters);
        in_time(doing, answer).await
    }

    /// As [`Catalog::all`], for a question that is asked of each of many tables: the server parses it once.
    async fn all_again(
        &self,
        doing: &str,
        question: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let known = self.prepared.lock().await.get(question).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = in_time(doing, self.client.prepare(question)).await?;
                let mut prepared = self.prepared.lock().await;
                prepared.insert(question, statement.clone());
                statement
            }
        };
        in_time(doing, self.client.query(&statement, parameters)).await
    }

    async fn one(
        &self,
        doing: &str,
        question: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        let mut rows = self.all(doing, question, parameters).await?;
        rows.pop().ok_or_else(|| unexpected(doing, "no row"))
    }

    /// Runs commands whose rows do not matter.
    async fn command(&self, doing: &str, command: &str) -> Result<(), Error> {
        match time::timeout(ANSWER_MAX, self.client.simple_query(command)).await {
            Ok(answer) => {
                let _: Vec<SimpleQueryMessage> =
                    answer.map_err(|error| Error::client(doing, error))?;
                Ok(())
            }
            Err(_) => Err(Error::late(doing, ANSWER_MAX.as_millis() as u64)),
        }
    }
}

/// A column of an answer. A type that is not the expected one is an error, not a panic.
fn value<'a, T: FromSql<'a>>(doing: &str, row: &'a Row, column: usize) -> Result<T, Error> {
    row.try_get(column)
        .map_err(|error| Error::client(doing, error))
}

fn lsn(doing: &str, text: String) -> Result<Lsn, Error> {
    text.parse()
        .map_err(|error| Error::protocol(format!("{doing}: {error}")))
}

async fn in_time<T>(
    doing: &str,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match time::timeout(ANSWER_MAX, answer).await {
        Ok(answer) => answer.map_err(|error| Error::client(doing, error)),
        Err(_) => Err(Error::late(doing, ANSWER_MAX.as_millis() as u64)),
    }
}
