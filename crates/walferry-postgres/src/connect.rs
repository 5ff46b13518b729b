//! Where the server is, who we are, and how the connection is protected.
//!
//! Owns [`ConnectConfig`], which both the catalog's and the replication session's connections are opened from. Never: opens one.
//! Invariant: a URL parameter that is not understood is an error, because ignoring `sslmode=verify-full` would be worse.
//! Source: PostgreSQL documentation, "Connection URIs" (one host; libpq's `prefer` and `allow` are not offered).

use std::{fmt, path::PathBuf, time::Duration};

use walferry_event::Secret;

use crate::{Error, RequireAuth, kind::Kind};

/// How to reach a database.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// Host name, address, or the folder of a Unix socket.
    pub host: String,
    /// TCP port; also part of a Unix socket's name.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// Password, asked for at each connection.
    pub password: Option<Secret>,
    /// Protection of the connection.
    pub tls: TlsConfig,
    /// How the server may have the role log in; none: as is safe over this connection.
    pub require_auth: Option<RequireAuth>,
    /// What `pg_stat_activity` shows.
    pub application_name: String,
    /// How long resolving, connecting and logging in may take, each address anew.
    pub connect_timeout_ms: u64,
    /// The longest message of the stream, or row of a snapshot, that is kept whole, in bytes of text. Of a longer one the long
    /// values are left out.
    pub message_bytes_max: u64,
}

/// Protection of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// What is asked of the server.
    pub mode: TlsMode,
    /// PEM file of the authorities that may sign the server's certificate, or of that certificate itself.
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate and its chain.
    pub cert: Option<PathBuf>,
    /// PEM file of our certificate's key.
    pub key: Option<PathBuf>,
}

/// What is asked of the server's side of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    #[default]
    Disable,
    /// TLS with whatever certificate the server has: keeps listeners out, not impostors.
    Require,
    /// The certificate is signed by `ca`; the host name is not looked at.
    VerifyCa,
    /// The certificate is signed by `ca` and is for this host.
    VerifyFull,
}

impl TlsMode {
    /// From the word of the configuration.
    pub fn from_name(name: &str) -> Option<TlsMode> {
        Some(match name {
            "disable" => TlsMode::Disable,
            "require" => TlsMode::Require,
            "verify-ca" => TlsMode::VerifyCa,
            "verify-full" => TlsMode::VerifyFull,
            _ => return None,
        })
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsMode::Disable => "disable",
            TlsMode::Require => "require",
            TlsMode::VerifyCa => "verify-ca",
            TlsMode::VerifyFull => "verify-full",
        })
    }
}

const PORT: u16 = 5432;
const CONNECT_TIMEOUT_MS: u64 = 10_000;
const MESSAGE_BYTES_MAX: u64 = 256 << 20;
const APPLICATION_NAME: &str = "walferry";

impl ConnectConfig {
    /// Reads `postgresql://user[:password]@host[:port][/database][?sslmode=…]`. Without `sslmode` there is no TLS.
    ///
    /// # Errors
    /// The URL is malformed, names several hosts, or has a parameter that is not known here.
    pub fn from_url(url: &str) -> Result<ConnectConfig, Error> {
        let rest = ["postgresql://", "postgres://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme))
            .ok_or_else(|| malformed("it does not begin with postgresql://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.contains('@') {
            return Err(malformed("a ? in a password is written %3F, and an @ %40"));
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if database.contains('@') {
            return Err(malformed("a / in a password is written %2F, and an @ %40"));
        }
        let (role, address) = match authority.rsplit_once('@') {
            Some((role, address)) => (role, address),
            None => ("", authority),
        };
        let (user, password) = match role.split_once(':') {
            Some((user, password)) => (decoded(user)?, Some(decoded(password)?)),
            None => (decoded(role)?, None),
        };
        let (host, port) = split_address(address)?;
        let mut config = ConnectConfig {
            host: decoded(host)?,
            port,
            user,
            database: decoded(database)?,
            password: password.map(Secret::literal),
            tls: TlsConfig::default(),
            require_auth: None,
            application_name: APPLICATION_NAME.to_owned(),
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            message_bytes_max: MESSAGE_BYTES_MAX,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| malformed(&format!("parameter {pair:?} has no value")))?;
            config.set(name, decoded(value)?)?;
        }
        if config.user.is_empty() {
            return Err(malformed(
                "it names no role: postgresql://role@host/database",
            ));
        }
        if config.host.is_empty() {
            config.host = "localhost".to_owned();
        }
        if config.host.contains(',') {
            return Err(malformed(
                "it names several hosts: give the primary's alone",
            ));
        }
        if config.database.is_empty() {
            config.database.clone_from(&config.user);
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Error> {
        match name {
            "sslmode" => {
                self.tls.mode = TlsMode::from_name(&value).ok_or_else(|| {
                    malformed(&format!(
                        "sslmode={value} is not offered: use disable, require, verify-ca or verify-full"
                    ))
                })?;
            }
            "sslrootcert" => self.tls.ca = Some(value.into()),
            "sslcert" => self.tls.cert = Some(value.into()),
            "sslkey" => self.tls.key = Some(value.into()),
            "require_auth" => self.require_auth = Some(RequireAuth::parse(&value)?),
            "application_name" => self.application_name = value,
            "host" => self.host = value,
            "port" => {
                self.port = value
                    .parse()
                    .map_err(|_| malformed("port is not a number"))?
            }
            "user" => self.user = value,
            "password" => self.password = Some(Secret::literal(value)),
            "dbname" => self.database = value,
            "connect_timeout" => {
                let seconds: u64 = value
                    .parse()
                    .map_err(|_| malformed("connect_timeout is not a number of seconds"))?;
                self.connect_timeout_ms = seconds.saturating_mul(1000);
            }
            _ => return Err(malformed(&format!("parameter {name:?} is not known"))),
        }
        Ok(())
    }

    /// `host:port/database as role`, for messages.
    pub(crate) fn place(&self) -> String {
        let ConnectConfig {
            host,
            port,
            database,
            user,
            ..
        } = self;
        format!("{host}:{port}/{database} as {user}")
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    /// The password as it is now.
    pub(crate) fn read_password(&self) -> Result<Option<String>, Error> {
        self.password
            .as_ref()
            .map(|secret| secret.read())
            .transpose()
            .map_err(|reason| {
                let text = format!(
                    "the password for {} is not to be had: {reason}",
                    self.place()
                );
                Error::new(Kind::Secret, text)
            })
    }

    /// Whether `host` is the folder of a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        self.host.starts_with('/')
    }
}

fn malformed(reason: &str) -> Error {
    // The URL itself is not shown: it may hold a password.
    Error::settings(format!("the source URL cannot be used: {reason}"))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(address: &str) -> Result<(&str, u16), Error> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or_else(|| malformed("an IPv6 address is not closed by ]"))?;
            match port {
                "" => (host, None),
                _ => (
                    host,
                    Some(
                        port.strip_prefix(':')
                            .ok_or_else(|| malformed("no : after ]"))?,
                    ),
                ),
            }
        }
        None => match address.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(malformed("write an IPv6 address in [ ]"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        None | Some("") => PORT,
        Some(port) => port
            .parse()
            .map_err(|_| malformed("the port is not a number below 65536"))?,
    };
    Ok((host, port))
}

/// Undoes percent encoding.
fn decoded(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let value = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| malformed("a % is not followed by two hexadecimal digits"))?;
        bytes.push(value);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_its_parameters() {
        let url =
            "postgresql://we%40ird:p%3Aw@[::1]:6543/shop?sslmode=verify-full&sslrootcert=/ca.pem";
        let config = ConnectConfig::from_url(url).unwrap();
        assert_eq!(
            (&*config.user, &*config.host, config.port, &*config.database),
            ("we@ird", "::1", 6543, "shop")
        );
        assert_eq!(config.read_password().unwrap().as_deref(), Some("p:w"));
        assert_eq!(config.tls.mode, TlsMode::VerifyFull);
        assert_eq!(config.tls.ca, Some(PathBuf::from("/ca.pem")));

        let short = ConnectConfig::from_url("postgres://walferry@db").unwrap();
        assert_eq!(
            (&*short.host, short.port, &*short.database, short.tls.mode),
            ("db", 5432, "walferry", TlsMode::Disable)
        );
        let socket = ConnectConfig::from_url("postgresql://u@%2Frun%2Fpg/d").unwrap();
        assert!(socket.is_unix());
    }

    #[test]
    fn what_is_not_understood_is_refused_and_the_password_is_not_shown() {
        for url in [
            "mysql://u@h/d",
            "postgresql://h/d",
            "postgresql://u:hunter2@h:port/d",
            "postgresql://u:hunter2@h:99999/d",
            "postgresql://u:hunter2@a,b/d",
            "postgresql://u:hunter2@::1/d",
            "postgresql://u:hunter2@[::1/d",
            "postgresql://u:hunter2@[::1]x/d",
            "postgresql://u:hunter2@h/d?sslmode=prefer",
            "postgresql://u:hunter2@h/d?sslmod=require",
            "postgresql://u:hunter2@h/d?sslmode",
            "postgresql://u:hunter2@h/%zz",
            "postgresql://u:hunter2@h/%f",
            "postgresql://u:hunter2@h/%ff",
            "postgresql://u:hunter2@h/%+1",
            "postgresql://u:hun/hunter2@h/d",
            "postgresql://u:hun?hunter2@h/d",
            "postgresql://u:hun?hunter2=1@h/d",
            "postgresql://u:1?sslmode=hunter2@h/d",
        ] {
            let error = ConnectConfig::from_url(url).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
