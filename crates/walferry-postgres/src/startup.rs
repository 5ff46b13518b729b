//! The log-in of a replication session: start-up message, password, and what follows until the server is ready.
//!
//! Owns the authentication exchange: cleartext, MD5, SCRAM-SHA-256 and, over TLS, SCRAM-SHA-256-PLUS. Never: keeps a password.
//! Invariant: with SCRAM the server, too, has to prove that it knows the password before the session is used.
//! Source: PostgreSQL documentation, "Start-up" and "SASL Authentication".
//!
//! ```text
//! Authentication ┌───┬──────────┬───────────┬──────┐   code 0 ok · 3 cleartext · 5 MD5, salt: 4 bytes
//!                │'R'│ len: i32 │ code: i32 │ more │        10 SASL, mechanisms · 11 continue · 12 final
//!                └───┴──────────┴───────────┴──────┘
//! ```

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::frontend,
};

use crate::{
    ConnectConfig, Error,
    auth::{self, Rules},
    kind::Kind,
    session::{Message, Session, unexpected},
    session_settings::SESSION_SETTINGS,
    socket::{Socket, within},
    tls::ServerEndPoint,
};

/// A session that is logged in.
pub(crate) struct LoggedIn {
    pub(crate) session: Session,
    pub(crate) backend_pid: i32,
}

/// Connects and logs in to a walsender of the database.
pub(crate) async fn log_in(config: &ConnectConfig) -> Result<LoggedIn, Error> {
    let socket = Socket::connect(config).await?;
    socket
        .widen()
        .map_err(|error| Error::lost("setting up the socket", error))?;
    within(config, exchange(socket, config)).await?
}

async fn exchange(socket: Socket, config: &ConnectConfig) -> Result<LoggedIn, Error> {
    let doing = &format!("logging in to {} for replication", config.place());
    let end_point = socket.server_end_point();
    let mut session = Session::new(socket);
    session.send(doing, &start_up(doing, config)?).await?;
    let mut login = Login {
        doing,
        config,
        session: &mut session,
    };
    login.authenticate(end_point).await?;
    let mut backend_pid = 0;
    loop {
        let mut message = session.receive(doing).await?;
        match message.tag {
            b'K' => {
                backend_pid = message
                    .payload
                    .try_get_i32()
                    .map_err(|_| unexpected(doing, "malformed BackendKeyData"))?;
            }
            b'Z' => break,
            // NegotiateProtocolVersion: a newer server may answer what we did not ask.
            b'v' => {}
            tag => return Err(unexpected(doing, &format!("message {:?}", char::from(tag)))),
        }
    }
    Ok(LoggedIn {
        session,
        backend_pid,
    })
}

fn start_up(doing: &str, config: &ConnectConfig) -> Result<BytesMut, Error> {
    let mut parameters = vec![
        ("user", config.user.as_str()),
        ("database", config.database.as_str()),
        ("replication", "database"),
        ("application_name", config.application_name.as_str()),
    ];
    parameters.extend(SESSION_SETTINGS);
    let mut message = BytesMut::new();
    frontend::startup_message(parameters, &mut message)
        .map_err(|error| Error::settings(format!("{doing}: {error}")))?;
    Ok(message)
}

struct Login<'a> {
    doing: &'a str,
    config: &'a ConnectConfig,
    session: &'a mut Session,
}

impl Login<'_> {
    async fn authenticate(&mut self, end_point: Option<ServerEndPoint>) -> Result<(), Error> {
        let (code, mut more) = self.request().await?;
        if let Some(method) = auth::method(code) {
            Rules::of(self.config).admit(self.doing, method)?;
        }
        match code {
            0 => return Ok(()),
            3 => {
                let password = self.password()?;
                self.send_password(password.as_bytes()).await?;
            }
            5 => {
                let mut salt = [0; 4];
                more.try_copy_to_slice(&mut salt)
                    .map_err(|_| unexpected(self.doing, "an MD5 request without a salt"))?;
                let password = self.password()?;
                let hash = md5_hash(self.config.user.as_bytes(), password.as_bytes(), salt);
                self.send_password(hash.as_bytes()).await?;
            }
            10 => self.scram(&more, end_point).await?,
            _ => {
                return Err(Error::new(
                    Kind::Auth,
                    format!(
                        "{}: the server asks for authentication method {code} (GSSAPI, SSPI or another that is not \
                         offered here); give the role scram-sha-256 in pg_hba.conf",
                        self.doing
                    ),
                ));
            }
        }
        match self.request().await? {
            (0, _) => Ok(()),
            (code, _) => Err(unexpected(
                self.doing,
                &format!("authentication request {code}"),
            )),
        }
    }

    /// The next authentication request: its code and what follows it.
    async fn request(&mut self) -> Result<(i32, Bytes), Error> {
        let Message { tag, mut payload } = self.session.receive(self.doing).await?;
        match (tag, payload.try_get_i32()) {
            (b'R', Ok(code)) => Ok((code, payload)),
            _ => Err(unexpected(
                self.doing,
                &format!("message {:?}", char::from(tag)),
            )),
        }
    }

    fn password(&self) -> Result<String, Error> {
        let password = self.config.read_password()?;
        password.ok_or_else(|| no_password(self.doing))
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<(), Error> {
        let mut message = BytesMut::new();
        frontend::password_message(password, &mut message)
            .map_err(|_| Error::settings("the password has a zero byte in it"))?;
        self.session.send(self.doing, &message).await
    }

    async fn scram(
        &mut self,
        mechanisms: &[u8],
        end_point: Option<ServerEndPoint>,
    ) -> Result<(), Error> {
        let (mechanism, binding) = choose(mechanisms, end_point).ok_or_else(|| {
            Error::new(
                Kind::Auth,
                format!(
                    "{}: the server offers no SASL mechanism that is known here",
                    self.doing
                ),
            )
        })?;
        let password = self.password()?;
        let mut scram = ScramSha256::new(password.as_bytes(), binding);
        let mut message = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.message(), &mut message)
            .map_err(|error| Error::protocol(format!("{}: {error}", self.doing)))?;
        self.session.send(self.doing, &message).await?;

        let challenge = self.expect(11).await?;
        scram
            .update(&challenge)
            .map_err(|error| self.unproven(&error))?;
        message.clear();
        frontend::sasl_response(scram.message(), &mut message)
            .map_err(|error| Error::protocol(format!("{}: {error}", self.doing)))?;
        self.session.send(self.doing, &message).await?;

        let proof = self.expect(12).await?;
        scram.finish(&proof).map_err(|error| self.unproven(&error))
    }

    async fn expect(&mut self, wanted: i32) -> Result<Bytes, Error> {
        match self.request().await? {
            (code, more) if code == wanted => Ok(more),
            (code, _) => Err(unexpected(
                self.doing,
                &format!("authentication request {code}"),
            )),
        }
    }

    fn unproven(&self, error: &std::io::Error) -> Error {
        Error::new(
            Kind::Auth,
            format!(
                "{}: the server did not prove that it knows the password ({error}); is it the right server",
                self.doing
            ),
        )
    }
}

/// The server wants a password, and there is none.
pub(crate) fn no_password(doing: &str) -> Error {
    let message = "the server asks for a password and none is configured: set source.password";
    Error::new(Kind::Auth, format!("{doing}: {message}"))
}

/// The strongest mechanism that both sides know. `unrequested` tells the server that we could have bound the log-in to
/// the connection, so that nobody between us can have taken its offer to do so away.
fn choose(
    mechanisms: &[u8],
    end_point: Option<ServerEndPoint>,
) -> Option<(&'static str, ChannelBinding)> {
    let offered = |name: &str| {
        mechanisms
            .split(|&byte| byte == 0)
            .any(|m| m == name.as_bytes())
    };
    let hash = match end_point {
        Some(ServerEndPoint::Hash(hash)) => Some(hash),
        Some(ServerEndPoint::Undefined) | None => None,
    };
    match hash {
        Some(hash) if offered(SCRAM_SHA_256_PLUS) => Some((
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(hash),
        )),
        Some(_) if offered(SCRAM_SHA_256) => Some((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None if offered(SCRAM_SHA_256) => Some((SCRAM_SHA_256, ChannelBinding::unsupported())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_mechanism_is_chosen() {
        let both = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        let plain = b"SCRAM-SHA-256\0\0";
        let hash = || Some(ServerEndPoint::Hash(vec![1]));
        let name = |mechanisms: &[u8], end_point| choose(mechanisms, end_point).map(|m| m.0);
        assert_eq!(name(both, hash()), Some("SCRAM-SHA-256-PLUS"));
        assert_eq!(name(both, None), Some("SCRAM-SHA-256"));
        assert_eq!(
            name(both, Some(ServerEndPoint::Undefined)),
            Some("SCRAM-SHA-256")
        );
        assert_eq!(name(plain, hash()), Some("SCRAM-SHA-256"));
        assert_eq!(name(b"SCRAM-SHA-512\0\0", hash()), None);
        assert_eq!(name(b"", None), None);
    }
}
