//! A small blocking PostgreSQL client of the tests' own: simple queries, and the copy stream of a replication slot.
//!
//! Owns: one socket. Never: TLS, SCRAM or prepared statements; it talks to the test servers, which trust or take a
//! clear password. It shares no code with the product, so that a mistake there cannot hide here.
//! Specification: "Frontend/Backend Protocol", sections 55.2 and 55.7 of the PostgreSQL 17 documentation.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A row of a query's answer, as text.
pub type TextRow = Vec<Option<String>>;

/// Where a server is and who asks.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Clear password, if the server asks for one.
    pub password: Option<String>,
    /// Database.
    pub database: String,
}

impl Target {
    /// Reads `postgresql://user[:password]@host[:port]/database`.
    pub fn from_url(url: &str) -> Result<Target> {
        let rest = url
            .strip_prefix("postgresql://")
            .or_else(|| url.strip_prefix("postgres://"))
            .context("a source URL begins with postgresql://")?;
        let (user, rest) = rest
            .split_once('@')
            .context("the source URL names no role")?;
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(password.to_owned())),
            None => (user, None),
        };
        let (address, database) = rest
            .split_once('/')
            .context("the source URL names no database")?;
        let database = database.split('?').next().unwrap_or(database);
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().context("the port is not a number")?),
            None => (address, 5432),
        };
        Ok(Target {
            host: host.to_owned(),
            port,
            user: user.to_owned(),
            password,
            database: database.to_owned(),
        })
    }
}

/// A connection.
pub struct Session {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// The server process that serves this session.
    pub backend_pid: i32,
}

impl Session {
    /// Connects by URL.
    pub fn connect(url: &str) -> Result<Session> {
        Session::open(&Target::from_url(url)?, false)
    }

    /// Connects; `replication` makes it a walsender of the database.
    pub fn open(target: &Target, replication: bool) -> Result<Session> {
        let writer =
            TcpStream::connect((target.host.as_str(), target.port)).with_context(|| {
                format!("cannot reach PostgreSQL at {}:{}", target.host, target.port)
            })?;
        writer.set_nodelay(true)?;
        let reader = BufReader::with_capacity(1 << 16, writer.try_clone()?);
        let mut session = Session {
            reader,
            writer,
            backend_pid: 0,
        };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        let mut parameters = vec![
            ("user", target.user.as_str()),
            ("database", target.database.as_str()),
            ("application_name", "walferry-testkit"),
            ("client_encoding", "UTF8"),
            ("datestyle", "ISO, MDY"),
            ("timezone", "UTC"),
            ("intervalstyle", "postgres"),
            ("extra_float_digits", "1"),
        ];
        if replication {
            parameters.push(("replication", "database"));
        }
        for (name, value) in parameters {
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(value.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
        message.extend_from_slice(&body);
        session.writer.write_all(&message)?;
        session.authenticate(target)?;
        Ok(session)
    }

    fn authenticate(&mut self, target: &Target) -> Result<()> {
        loop {
            let (tag, body) = self.read()?;
            match tag {
                b'R' => match be_u32(&body, 0)? {
                    0 => {}
                    3 => {
                        let mut password = target.password.clone().unwrap_or_default().into_bytes();
                        password.push(0);
                        self.send(b'p', &password)?;
                    }
                    other => bail!(
                        "the server asks for authentication {other}; the testkit has trust and password"
                    ),
                },
                b'K' => self.backend_pid = be_u32(&body, 0)? as i32,
                b'E' => bail!("{}", error_text(&body)),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Runs one or more statements and forgets their rows.
    pub fn execute(&mut self, sql: &str) -> Result<()> {
        self.query_each(sql, |_| Ok(()))
    }

    /// Runs a statement and returns its rows.
    pub fn query(&mut self, sql: &str) -> Result<Vec<TextRow>> {
        let mut rows = Vec::new();
        self.query_each(sql, |row| {
            rows.push(
                row.iter()
                    .map(|value| value.map(|text| String::from_utf8_lossy(text).into_owned()))
                    .collect(),
            );
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a statement that answers one value.
    pub fn value(&mut self, sql: &str) -> Result<Option<String>> {
        Ok(self
            .query(sql)?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .flatten())
    }

    /// Runs a statement and shows each row as it arrives, so that a large answer needs no room.
    pub fn query_each(
        &mut self,
        sql: &str,
        mut each: impl FnMut(&[Option<&[u8]>]) -> Result<()>,
    ) -> Result<()> {
        let mut text = sql.as_bytes().to_vec();
        text.push(0);
        self.send(b'Q', &text)?;
        let mut failure = None;
        loop {
            let (tag, body) = self.read()?;
            match tag {
                b'D' if failure.is_none() => {
                    if let Err(error) = data_row(&body).and_then(|row| each(&row)) {
                        failure = Some(error);
                    }
                }
                b'E' => failure = Some(anyhow::anyhow!("{}", error_text(&body))),
                b'Z' => return failure.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    /// Runs `COPY … TO STDOUT` and drops what it brings. Returns the bytes of the rows.
    pub fn copy_to_nowhere(&mut self, sql: &str) -> Result<u64> {
        let mut text = sql.as_bytes().to_vec();
        text.push(0);
        self.send(b'Q', &text)?;
        let (mut bytes, mut body) = (0, Vec::new());
        let mut failure = None;
        loop {
            match self.read_into(&mut body)? {
                b'd' => bytes += body.len() as u64,
                b'E' => failure = Some(anyhow::anyhow!("{}", error_text(&body))),
                b'Z' => return failure.map_or(Ok(bytes), Err),
                _ => {}
            }
        }
    }

    /// Begins the copy stream of a slot; afterwards the socket carries copy data until it is closed. Returns the socket
    /// and what it brought already.
    pub fn start_replication(mut self, slot: &str, options: &str) -> Result<(TcpStream, Vec<u8>)> {
        let sql = format!("START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0 ({options})\0");
        self.send(b'Q', sql.as_bytes())?;
        let (tag, body) = self.read()?;
        match tag {
            b'W' => Ok((self.writer, self.reader.buffer().to_vec())),
            b'E' => bail!("{}", error_text(&body)),
            other => bail!(
                "START_REPLICATION was answered by message {:?}",
                char::from(other)
            ),
        }
    }

    /// How long a read may take; none waits for ever.
    pub fn read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        Ok(self.writer.set_read_timeout(timeout)?)
    }

    fn send(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        let mut message = Vec::with_capacity(body.len() + 5);
        message.push(tag);
        message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        message.extend_from_slice(body);
        Ok(self.writer.write_all(&message)?)
    }

    fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut body = Vec::new();
        let tag = self.read_into(&mut body)?;
        Ok((tag, body))
    }

    /// Reads a message's body over what `body` held, and returns its tag.
    fn read_into(&mut self, body: &mut Vec<u8>) -> Result<u8> {
        let mut head = [0_u8; 5];
        self.reader
            .read_exact(&mut head)
            .context("PostgreSQL closed the connection")?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        body.resize(length.saturating_sub(4), 0);
        self.reader
            .read_exact(body)
            .context("PostgreSQL closed the connection")?;
        Ok(head[0])
    }
}

/// Quotes an identifier.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a literal.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn be_u32(body: &[u8], at: usize) -> Result<u32> {
    let bytes = body.get(at..at + 4).context("a message is cut short")?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn data_row(body: &[u8]) -> Result<Vec<Option<&[u8]>>> {
    let count = body.get(..2).context("a row is cut short")?;
    let count = usize::from(u16::from_be_bytes([count[0], count[1]]));
    let mut row = Vec::with_capacity(count);
    let mut at = 2;
    for _ in 0..count {
        let length = be_u32(body, at)? as i32;
        at += 4;
        if length < 0 {
            row.push(None);
        } else {
            let end = at + length as usize;
            row.push(Some(body.get(at..end).context("a row is cut short")?));
            at = end;
        }
    }
    Ok(row)
}

fn error_text(body: &[u8]) -> String {
    let (mut code, mut text) = (String::new(), String::new());
    for field in body
        .split(|byte| *byte == 0)
        .filter(|field| !field.is_empty())
    {
        let value = String::from_utf8_lossy(&field[1..]).into_owned();
        match field[0] {
            b'C' => code = value,
            b'M' => text = value,
            _ => {}
        }
    }
    format!("PostgreSQL says: {text} ({code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_url_is_read() {
        let target =
            Target::from_url("postgresql://me:pw@localhost:5433/shop?sslmode=disable").unwrap();
        assert_eq!((target.user.as_str(), target.port), ("me", 5433));
        assert_eq!(target.password.as_deref(), Some("pw"));
        assert_eq!(target.database, "shop");
        assert!(Target::from_url("mysql://x").is_err());
    }

    #[test]
    fn a_row_with_null_is_read_and_a_cut_one_refused() {
        let body = [0, 2, 0, 0, 0, 1, b'a', 255, 255, 255, 255];
        assert_eq!(data_row(&body).unwrap(), vec![Some(&b"a"[..]), None]);
        assert!(data_row(&body[..6]).is_err());
    }
}
