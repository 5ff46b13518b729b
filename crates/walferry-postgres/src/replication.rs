//! The replication session before it streams: who the server is, and the slot.
//!
//! Owns [`Replication`] and the text of replication commands. Never: asks the catalog (that is `catalog`'s); speaks the
//! extended protocol, which a walsender does not know.
//! Invariant: an exported snapshot lives until the next command or the end of this session, so whoever reads it begins
//! before that.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol".

use std::time::Duration;

use walferry_event::{Disposition, Lsn};

use crate::{
    ConnectConfig, Error,
    kind::Kind,
    quote::{quote_ident, quote_replication_literal},
    session::{Session, TextRow, unexpected},
    session_settings::{self, BYTES_AS_THEY_ARE},
    startup,
    stream::Stream,
};

/// A session with a walsender of the database.
pub struct Replication {
    session: Session,
    backend_pid: i32,
    server_version: u32,
    place: String,
}

/// Which server and database a session is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `system_identifier` of the cluster; standbys share it.
    pub system_id: u64,
    /// Timeline that it is on.
    pub timeline: u32,
    /// How far its WAL is flushed.
    pub wal_flush: Lsn,
    /// Database of this session.
    pub database: String,
    /// `server_version_num`, as 170006.
    pub server_version: u32,
}

/// A slot that has just been created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedSlot {
    /// Every transaction that commits from here on is streamed; what committed before is in the snapshot.
    pub consistent_point: Lsn,
    /// Name of the exported snapshot, valid while the session is idle.
    pub snapshot_name: Option<String>,
}

/// What the stream leaves out or adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Leave out what replication brought in. PostgreSQL 16 and later.
    pub origin_none: bool,
    /// Send logical decoding messages (`pg_logical_emit_message`).
    pub messages: bool,
}

/// The first version that can leave out what replication brought in.
pub const ORIGIN_VERSION: u32 = 160_000;
/// The first version of other things that older servers do not know.
const PARENTHESES_VERSION: u32 = 150_000;
const OLDEST_VERSION: u32 = 140_000;

impl Replication {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Nobody answers, TLS or the log-in is refused, or the server is older than PostgreSQL 14.
    pub async fn connect(config: &ConnectConfig) -> Result<Replication, Error> {
        let logged_in = startup::log_in(config).await?;
        let mut session = logged_in.session;
        let doing = "asking for the server's version";
        let rows = session.query(doing, "SHOW server_version_num").await?;
        let server_version = number(doing, &rows, 0)?;
        if server_version < OLDEST_VERSION {
            return Err(Error::settings(format!(
                "the server at {} has version number {server_version}; PostgreSQL 14 is the oldest that is supported",
                config.place()
            )));
        }
        for command in session_settings::later(server_version) {
            session.query("setting up a session", command).await?;
        }
        let doing = "asking for the database's encoding";
        session.query(doing, BYTES_AS_THEY_ARE).await?;
        Ok(Replication {
            session,
            backend_pid: logged_in.backend_pid,
            server_version,
            place: config.place(),
        })
    }

    /// The process on the server that serves this session.
    pub fn backend_pid(&self) -> i32 {
        self.backend_pid
    }

    /// An error that may pass when the server is a standby. One that is none stays so for as long as the session lasts,
    /// and so does the timeline that [`identify`](Self::identify) tells from then on.
    pub async fn expect_primary(&mut self) -> Result<(), Error> {
        let doing = "asking whether the server is a standby";
        let rows = self.session.query(doing, "SHOW in_hot_standby").await?;
        if text(doing, &rows, 0)? == "off" {
            return Ok(());
        }
        Err(Error::new(
            Kind::Server(Disposition::Wait),
            format!(
                "the server at {} is a standby: what is streamed from it may never have been once another server is \
                 promoted; it is followed when it is promoted itself, or point source.url at the primary",
                self.place
            ),
        ))
    }

    /// Which server this is.
    pub async fn identify(&mut self) -> Result<Identity, Error> {
        let doing = "asking for the server's identity";
        let rows = self.session.query(doing, "IDENTIFY_SYSTEM").await?;
        Ok(Identity {
            system_id: number(doing, &rows, 0)?,
            timeline: number(doing, &rows, 1)?,
            wal_flush: number(doing, &rows, 2)?,
            database: text(doing, &rows, 3)?,
            server_version: self.server_version,
        })
    }

    /// Where each timeline before `timeline` ended, oldest first.
    pub async fn timeline_history(&mut self, timeline: u32) -> Result<Vec<(u32, Lsn)>, Error> {
        if timeline <= 1 {
            // The first timeline has no history file, and asking for it is an error.
            return Ok(Vec::new());
        }
        let doing = &format!("reading the history of timeline {timeline}");
        let command = format!("TIMELINE_HISTORY {timeline}");
        let rows = self.session.query(doing, &command).await?;
        Ok(parse_history(&text(doing, &rows, 1)?))
    }

    /// How long a command may wait for one lock, or for the end of one transaction, as the creation of a slot does.
    pub async fn wait_no_longer_than(&mut self, limit: Duration) -> Result<(), Error> {
        let doing = "limiting how long a command waits";
        let command = format!("SET lock_timeout = {}", limit.as_millis());
        self.session.query(doing, &command).await.map(drop)
    }

    /// Creates a slot with `pgoutput`. With `export`, the snapshot of its consistent point is exported and stays valid
    /// until this session gets another command or ends.
    pub async fn create_slot(&mut self, slot: &str, export: bool) -> Result<CreatedSlot, Error> {
        self.create(slot, false, export).await
    }

    /// Creates a slot that goes with this session.
    pub async fn create_temporary_slot(&mut self, slot: &str) -> Result<CreatedSlot, Error> {
        self.create(slot, true, false).await
    }

    /// Creates a slot that goes with this session, and exports the snapshot of its consistent point, which stays valid
    /// until this session gets another command or ends.
    pub async fn create_temporary_slot_with_snapshot(
        &mut self,
        slot: &str,
    ) -> Result<CreatedSlot, Error> {
        self.create(slot, true, true).await
    }

    async fn create(
        &mut self,
        slot: &str,
        temporary: bool,
        export: bool,
    ) -> Result<CreatedSlot, Error> {
        let doing = &format!("creating slot {slot:?}");
        let command = create_command(self.server_version, slot, temporary, export);
        let rows = self.session.query_patiently(doing, &command).await?;
        Ok(CreatedSlot {
            consistent_point: number(doing, &rows, 1)?,
            snapshot_name: rows
                .into_iter()
                .next()
                .and_then(|row| row.into_iter().nth(2)?),
        })
    }

    /// Drops a slot that nobody follows.
    pub async fn drop_slot(&mut self, slot: &str) -> Result<(), Error> {
        let doing = &format!("dropping slot {slot:?}");
        let command = format!("DROP_REPLICATION_SLOT {}", quote_ident(slot));
        self.session.query(doing, &command).await.map(drop)
    }

    /// Begins the stream of `slot` at `at`. The server silently begins later when the slot has been confirmed beyond.
    ///
    /// # Errors
    /// The slot is missing, lost, or followed by another session; the publication is looked for with the first change.
    pub async fn start(
        mut self,
        slot: &str,
        publication: &str,
        at: Lsn,
        options: StreamOptions,
    ) -> Result<Stream, Error> {
        let doing = &format!("starting the stream of slot {slot:?} at {at}");
        if options.origin_none && self.server_version < ORIGIN_VERSION {
            return Err(Error::settings(format!(
                "{doing}: source.origin = \"none\" needs PostgreSQL 16, and this is version number {}",
                self.server_version
            )));
        }
        let command = start_command(slot, publication, at, &options);
        self.session.ask(doing, &command).await?;
        let message = self.session.receive(doing).await?;
        match message.tag {
            b'W' => Ok(Stream::new(self.session, slot, self.backend_pid)),
            tag => Err(unexpected(doing, &format!("message {:?}", char::from(tag)))),
        }
    }
}

fn create_command(version: u32, slot: &str, temporary: bool, export: bool) -> String {
    let slot = quote_ident(slot);
    let temporary = if temporary { " TEMPORARY" } else { "" };
    let snapshot = match (version >= PARENTHESES_VERSION, export) {
        (true, true) => "(SNAPSHOT 'export')",
        (true, false) => "(SNAPSHOT 'nothing')",
        (false, true) => "EXPORT_SNAPSHOT",
        (false, false) => "NOEXPORT_SNAPSHOT",
    };
    format!("CREATE_REPLICATION_SLOT {slot}{temporary} LOGICAL pgoutput {snapshot}")
}

fn start_command(slot: &str, publication: &str, at: Lsn, options: &StreamOptions) -> String {
    // The list of publications is a string in which each name is an identifier again.
    let publications = quote_replication_literal(&quote_ident(publication));
    let mut command = format!(
        "START_REPLICATION SLOT {} LOGICAL {at} (proto_version '1', publication_names {publications}",
        quote_ident(slot)
    );
    if options.origin_none {
        command.push_str(", origin 'none'");
    }
    if options.messages {
        command.push_str(", messages 'on'");
    }
    command.push(')');
    command
}

fn text(doing: &str, rows: &[TextRow], column: usize) -> Result<String, Error> {
    rows.first()
        .and_then(|row| row.get(column)?.clone())
        .ok_or_else(|| unexpected(doing, "an answer without the value that is asked for"))
}

fn number<T: std::str::FromStr>(doing: &str, rows: &[TextRow], column: usize) -> Result<T, Error> {
    text(doing, rows, column)?
        .parse()
        .map_err(|_| unexpected(doing, "a value that is not a number"))
}

/// Lines of a history file: timeline, where it ended, why; `#` begins a comment.
fn parse_history(content: &str) -> Vec<(u32, Lsn)> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    content.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_depend_on_the_version_and_no_name_ends_its_quotes() {
        for (version, temporary, export, command) in [
            (
                140_000,
                false,
                true,
                "CREATE_REPLICATION_SLOT \"a\" LOGICAL pgoutput EXPORT_SNAPSHOT",
            ),
            (
                150_000,
                false,
                true,
                "CREATE_REPLICATION_SLOT \"a\" LOGICAL pgoutput (SNAPSHOT 'export')",
            ),
            (
                180_000,
                true,
                false,
                "CREATE_REPLICATION_SLOT \"a\" TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')",
            ),
        ] {
            assert_eq!(create_command(version, "a", temporary, export), command);
        }
        let options = StreamOptions {
            origin_none: true,
            messages: false,
        };
        assert_eq!(
            start_command("s\"x", "it's \"p\"", Lsn(0x16_0000_0001), &options),
            "START_REPLICATION SLOT \"s\"\"x\" LOGICAL 16/1 (proto_version '1', publication_names '\"it''s \"\"p\"\"\"', \
             origin 'none')"
        );
    }

    #[test]
    fn a_history_is_read_and_other_lines_are_passed_over() {
        let content =
            "1\t0/3000148\tno recovery target specified\n# note\n\n2\t1/0\tx\nbad line\n3 zz\n";
        assert_eq!(
            parse_history(content),
            [(1, Lsn(0x300_0148)), (2, Lsn(1 << 32))]
        );
    }
}
