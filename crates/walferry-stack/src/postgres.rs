//! A PostgreSQL server of our own.
//!
//! Owns: data folder, port and process of one cluster. Never: speaks SQL; tests bring their own client.
//! Invariant: the server never runs as root; it listens on 127.0.0.1 only and has no socket file.
//! Start reading at [`PostgresServer::start`].

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::artifacts::{self, POSTGRES_MAJOR_DEFAULT};
use super::cache::{RunFolder, is_root};
use super::port::Port;
use super::process::{Account, Launch, ServerProcess};

/// How a [`PostgresServer`] shall be.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub(super) major: u32,
    settings: Vec<(String, String)>,
    password: Option<String>,
    hba: Vec<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl PostgresOptions {
    /// The default major version, logical decoding on, everybody on this machine trusted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            major: POSTGRES_MAJOR_DEFAULT,
            settings: BASE_SETTINGS
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            password: None,
            hba: Vec::new(),
        }
    }

    /// Another major version, 14 to 18.
    #[must_use]
    pub fn major(mut self, major: u32) -> Self {
        self.major = major;
        self
    }

    /// A server setting, as in postgresql.conf; a later one of the same name wins.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// `false` is faster and still safe against `kill -9`; only a power cut would lose data.
    #[must_use]
    pub fn fsync(self, on: bool) -> Self {
        self.setting("fsync", if on { "on" } else { "off" })
    }

    /// SCRAM-SHA-256 for everybody instead of trust; the superuser gets this password.
    #[must_use]
    pub fn scram(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// A line for pg_hba.conf that is read before the default ones.
    #[must_use]
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.into());
        self
    }
}

/// A running (or, between a kill and a restart, stopped) PostgreSQL server. It ends on drop.
#[derive(Debug)]
pub struct PostgresServer {
    // Fields drop in this order: the process before its folder.
    process: ServerProcess,
    folder: RunFolder,
    port: Port,
    options: PostgresOptions,
}

impl PostgresServer {
    /// Makes a fresh cluster and starts it; the superuser is `postgres`.
    ///
    /// # Errors
    /// The version is not to be had, or the server does not start; the message holds the end of its log.
    pub fn start(options: PostgresOptions) -> Result<Self> {
        let home = artifacts::postgres(options.major)?;
        let folder = RunFolder::create("postgres")?;
        let port = Port::reserve()?;
        let account = server_account()?;
        let data = folder.path().join("data");
        if let Some(account) = account {
            std::os::unix::fs::chown(folder.path(), Some(account.uid), Some(account.gid))?;
        }
        initdb(&home, folder.path(), &data, account, &options)?;
        configure(&data, &port, &options)?;
        let launch = Launch {
            name: format!("PostgreSQL {}", options.major),
            program: home.join("bin/postgres"),
            arguments: vec![OsString::from("-D"), data.into_os_string()],
            environment: Vec::new(),
            account,
            folder: folder.path().to_owned(),
            // Fast shutdown: ends sessions instead of waiting for them.
            terminate_by: Signal::INT,
            start_limit: START_LIMIT,
        };
        let number = port.number();
        let process = ServerProcess::spawn(launch, move |_| accepts_sessions(number))?;
        Ok(Self {
            process,
            folder,
            port,
            options,
        })
    }

    /// Ends the server and all its sessions as a crash would.
    ///
    /// # Errors
    /// A process could not be ended.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// Ends the server in order (fast shutdown).
    ///
    /// # Errors
    /// A process could not be ended.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Starts the server again on the same port and data, after an orderly end if it still runs.
    ///
    /// # Errors
    /// The server does not start; the message holds the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        let number = self.port.number();
        self.process.restart(move |_| accepts_sessions(number))
    }

    /// Appends a setting to postgresql.conf; a restart, or a reload for some settings, brings it in.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&mut self, name: &str, value: &str) -> Result<()> {
        append(
            &self.data().join("postgresql.conf"),
            &setting_line(name, value),
        )
    }

    /// Stops all of the server's processes without ending them.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// The postmaster's process id; `None` while the server is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `postgresql://postgres[:password]@127.0.0.1:PORT/postgres`
    #[must_use]
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// As [`url`](Self::url), for another database.
    #[must_use]
    pub fn database_url(&self, database: &str) -> String {
        let secret = self
            .options
            .password
            .as_ref()
            .map_or(String::new(), |p| format!(":{p}"));
        format!(
            "postgresql://postgres{secret}@127.0.0.1:{}/{database}",
            self.port.number()
        )
    }

    /// The data folder; certificates for TLS may be put here.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the server wrote since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Lets the server outlive this process; its id and folder are what ends it later.
    pub(super) fn leave_running(mut self) -> Result<(u32, PathBuf)> {
        self.folder.detach()?;
        let pid = self.process.leave_running()?;
        Ok((pid, self.folder.path().to_owned()))
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.keep_for_inspection();
        }
    }
}

fn initdb(
    home: &Path,
    folder: &Path,
    data: &Path,
    account: Option<Account>,
    options: &PostgresOptions,
) -> Result<()> {
    let mut command = Command::new(home.join("bin/initdb"));
    command.current_dir(folder).arg("-D").arg(data).args([
        "--no-locale",
        "--encoding=UTF8",
        "--username=postgres",
        "--no-sync",
    ]);
    if let Some(password) = &options.password {
        let file = folder.join("password");
        fs::write(&file, password)?;
        command
            .arg("--auth=scram-sha-256")
            .arg(format!("--pwfile={}", file.display()));
    } else {
        command.arg("--auth=trust");
    }
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    let output = command.output().context("initdb did not start")?;
    if !output.status.success() {
        bail!(
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn configure(data: &Path, port: &Port, options: &PostgresOptions) -> Result<()> {
    let mut lines = setting_line("port", &port.number().to_string());
    for (name, value) in &options.settings {
        lines.push_str(&setting_line(name, value));
    }
    append(&data.join("postgresql.conf"), &lines)?;
    if !options.hba.is_empty() {
        let path = data.join("pg_hba.conf");
        let rest = fs::read_to_string(&path)?;
        fs::write(&path, format!("{}\n{rest}", options.hba.join("\n")))?;
    }
    Ok(())
}

fn setting_line(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\'', "''"))
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// The unprivileged user for a server that refuses to run as root; `None` when we are not root.
fn server_account() -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    match ["postgres", "nobody"]
        .iter()
        .find_map(|name| account_named(&users, name))
    {
        Some(account) => Ok(Some(account)),
        None => bail!("PostgreSQL refuses to run as root, and there is no user postgres or nobody"),
    }
}

/// A line is `name:password:uid:gid:...` (passwd(5)).
fn account_named(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some(Account {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    })
}

/// Whether the server would take a session: it answers our start-up message with an authentication request
/// (`R`), not with an error (`E`), which it sends while it recovers.
///
/// ```text
/// | length i32 | protocol i32 = 3.0 | "user" 0 | name 0 | "database" 0 | name 0 | 0 |
/// ```
fn accepts_sessions(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut socket) = TcpStream::connect_timeout(&address, PROBE_LIMIT) else {
        return false;
    };
    let mut message = vec![0, 0, 0, 0, 0, 3, 0, 0];
    message.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
    let length = u32::try_from(message.len()).expect("the message is 41 bytes long");
    message[..4].copy_from_slice(&length.to_be_bytes());
    let mut answer = [0];
    socket.set_read_timeout(Some(PROBE_LIMIT)).is_ok()
        && socket.write_all(&message).is_ok()
        && socket.read_exact(&mut answer).is_ok()
        && answer == *b"R"
}

/// Room for many tests side by side; the rest is PostgreSQL's default.
const BASE_SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("wal_level", "logical"),
    ("max_connections", "200"),
    ("max_wal_senders", "64"),
    ("max_replication_slots", "1024"),
    ("log_replication_commands", "on"),
    ("log_line_prefix", "%m [%p] %q%d %a "),
];
const START_LIMIT: Duration = Duration::from_secs(60);
const PROBE_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let users =
            "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/x\npostgres:x:101:104:a,b:/:/x\n";
        assert_eq!(
            account_named(users, "postgres"),
            Some(Account { uid: 101, gid: 104 })
        );
        assert_eq!(account_named(users, "nobody"), None);
    }

    #[test]
    fn quotes_in_settings_are_doubled() {
        assert_eq!(
            setting_line("search_path", "it's"),
            "search_path = 'it''s'\n"
        );
    }
}
