//! Which ways of logging in are taken from a server.
//!
//! Owns the rules of `require_auth`, and the gate that holds the driver of catalog connections to them. Never: logs in.
//! Invariant: unless the configuration asks for it by name, a password leaves in clear text, or as an MD5 hash from which it
//! can be found, only over a Unix socket or to a server whose certificate was verified. SCRAM proves the password without
//! sending it, and is taken anywhere.
//! Source: PostgreSQL documentation, "Database Connection Control Functions", `require_auth`.
//! Start reading at [`Rules::admit`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::{
    ConnectConfig, Error, RequireAuth, TlsMode, kind::Kind, require_auth::Method, socket::Socket,
    tls::ServerEndPoint,
};

/// What is taken over one connection.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    required: Option<RequireAuth>,
    /// Whether nobody but the server that is meant can read what is sent.
    private: bool,
    mode: TlsMode,
}

impl Rules {
    pub(crate) fn of(config: &ConnectConfig) -> Rules {
        let tls = &config.tls;
        let verified = match tls.mode {
            TlsMode::Disable => false,
            // As in libpq: whoever names an authority wants it to be asked.
            TlsMode::Require => tls.ca.is_some(),
            TlsMode::VerifyCa | TlsMode::VerifyFull => true,
        };
        Rules {
            required: config.require_auth.clone(),
            private: config.is_unix() || verified,
            mode: tls.mode,
        }
    }

    /// Whether the server may have what it asks for.
    pub(crate) fn admit(&self, doing: &str, method: Method) -> Result<(), Error> {
        let refused = |why: String| Err(Error::new(Kind::Auth, format!("{doing}: {why}")));
        if let Some(required) = &self.required {
            return match required.takes(method) {
                true => Ok(()),
                false if method == Method::None => refused(
                    "the server lets the role in without asking for anything, and require_auth does not take that: is it the \
                     right server? Else add \"none\" to require_auth"
                        .into(),
                ),
                false => refused(format!(
                    "the server asks for the log-in method \"{method}\", which require_auth does not take; nothing was sent. \
                     Let pg_hba.conf ask for one that it takes, or add \"{method}\" to it"
                )),
            };
        }
        let asked = match method {
            Method::Password => "the password in clear text",
            Method::Md5 => "an MD5 hash from which the password can be found",
            Method::Scram | Method::None | Method::Other => return Ok(()),
        };
        if self.private {
            return Ok(());
        }
        refused(format!(
            "the server asks for {asked}, and nothing proves that it is the right one (source.tls.mode = \"{}\"); nothing was \
             sent. Let pg_hba.conf ask for scram-sha-256 and set the role's password again (with password_encryption = \
             'scram-sha-256'), or set source.tls.mode = \"verify-full\" and source.tls.ca. source.require_auth = \"{method}\" \
             sends it all the same",
            self.mode
        ))
    }
}

/// What follows the code of an Authentication message.
pub(crate) fn method(code: i32) -> Option<Method> {
    Some(match code {
        0 => Method::None,
        3 => Method::Password,
        5 => Method::Md5,
        10 => Method::Scram,
        // The exchange of one that was admitted goes on.
        8 | 11 | 12 => return None,
        _ => Method::Other,
    })
}

/// Looks at what the server asks for before the driver does.
///
/// ```text
/// Authentication ┌───┬──────────┬───────────┬──────┐
///                │'R'│ len: i32 │ code: i32 │ more │
///                └───┴──────────┴───────────┴──────┘
/// ```
pub(crate) struct Gate {
    rules: Rules,
    doing: String,
    head: [u8; 9],
    /// How many bytes of the head have come.
    come: usize,
    /// How many bytes of a message are left that are not looked at.
    rest: usize,
    /// Whether the server has asked for something.
    asked: bool,
    open: bool,
}

impl Gate {
    fn new(config: &ConnectConfig, doing: &str) -> Gate {
        Gate {
            rules: Rules::of(config),
            doing: doing.to_owned(),
            head: [0; 9],
            come: 0,
            rest: 0,
            asked: false,
            open: false,
        }
    }

    /// Looks at bytes that have come, before anybody else does.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !self.open && !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.come] = bytes[0];
            self.come += 1;
            bytes = &bytes[1..];
            if self.come == 5 {
                let length = self.number(1);
                let least = if self.head[0] == b'R' { 8 } else { 4 };
                let length = usize::try_from(length).unwrap_or(0);
                if length < least {
                    return Err(Error::protocol(format!(
                        "{}: a message shorter than its head",
                        self.doing
                    )));
                }
                if self.head[0] != b'R' {
                    (self.come, self.rest) = (0, length - least);
                }
            } else if self.come == self.head.len() {
                // Both are at least 8, as has been seen.
                (self.come, self.rest) = (0, self.number(1) as usize - 8);
                self.request(self.number(5))?;
            }
        }
        Ok(())
    }

    fn number(&self, at: usize) -> i32 {
        let bytes = &self.head[at..at + 4];
        i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    fn request(&mut self, code: i32) -> Result<(), Error> {
        match method(code) {
            // It lets us in: for nothing, or after what it has asked for.
            Some(Method::None) => {
                self.open = true;
                match self.asked {
                    true => Ok(()),
                    false => self.rules.admit(&self.doing, Method::None),
                }
            }
            Some(method) => {
                self.asked = true;
                self.rules.admit(&self.doing, method)
            }
            None => Ok(()),
        }
    }
}

/// A socket with a gate before it, for the driver.
pub(crate) struct Gated {
    socket: Socket,
    gate: Gate,
}

impl Gated {
    pub(crate) fn new(socket: Socket, config: &ConnectConfig, doing: &str) -> Gated {
        Gated {
            socket,
            gate: Gate::new(config, doing),
        }
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if self.gate.open {
            return Poll::Ready(Ok(()));
        }
        let looked = self.gate.look(&buffer.filled()[before..]);
        Poll::Ready(looked.map_err(|refused| {
            buffer.set_filled(before);
            io::Error::other(refused)
        }))
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl TlsStream for Gated {
    fn channel_binding(&self) -> ChannelBinding {
        match self.socket.server_end_point() {
            Some(ServerEndPoint::Hash(hash)) => ChannelBinding::tls_server_end_point(hash),
            Some(ServerEndPoint::Undefined) | None => ChannelBinding::none(),
        }
    }
}

/// Tells the driver that the socket is as it has to be: TLS, where it is asked for, is on already.
pub(crate) struct AsItIs;

impl TlsConnect<Gated> for AsItIs {
    type Stream = Gated;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Gated>>;

    fn connect(self, socket: Gated) -> Self::Future {
        std::future::ready(Ok(socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(url: &str, ca: bool) -> Rules {
        let mut config = ConnectConfig::from_url(url).unwrap();
        config.tls.ca = ca.then(|| "/ca.pem".into());
        Rules::of(&config)
    }

    #[test]
    fn a_password_leaves_in_clear_only_where_nobody_else_can_read_it() {
        for (url, ca, taken) in [
            ("postgresql://u@h/d", false, false),
            ("postgresql://u@127.0.0.1/d", false, false),
            ("postgresql://u@h/d?sslmode=require", false, false),
            ("postgresql://u@h/d?sslmode=require", true, true),
            ("postgresql://u@h/d?sslmode=verify-ca", true, true),
            ("postgresql://u@h/d?sslmode=verify-full", true, true),
            ("postgresql://u@%2Frun/d", false, true),
            ("postgresql://u@h/d?require_auth=password,md5", false, true),
            ("postgresql://u@h/d?require_auth=!none", false, true),
            (
                "postgresql://u@%2Frun/d?require_auth=scram-sha-256",
                false,
                false,
            ),
        ] {
            for method in [Method::Password, Method::Md5] {
                let admitted = rules(url, ca).admit("x", method);
                assert_eq!(admitted.is_ok(), taken, "{url} {method}");
            }
            assert!(rules(url, ca).admit("x", Method::Scram).is_ok() || url.contains("password"));
        }
        let text = rules("postgresql://u@h/d", false).admit("x", Method::Password);
        let text = text.unwrap_err().to_string();
        for part in [
            "scram-sha-256",
            "verify-full",
            "require_auth",
            "\"disable\"",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let strict = rules("postgresql://u@h/d?require_auth=scram-sha-256", false);
        assert!(strict.admit("x", Method::None).is_err());
        for wrong in ["", "scram", "!none,md5", "md5,!none"] {
            assert!(RequireAuth::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_gate_sees_what_is_asked_for_however_the_bytes_come() {
        fn message(tag: u8, code: i32, more: &[u8]) -> Vec<u8> {
            let mut bytes = vec![tag];
            bytes.extend((8 + more.len() as i32).to_be_bytes());
            bytes.extend(code.to_be_bytes());
            bytes.extend(more);
            bytes
        }
        let notice = message(b'N', 7, b"hello R\0\0\0\x08\0\0\0\x03");
        let ok = message(b'R', 0, b"");
        let config = ConnectConfig::from_url("postgresql://u@h/d").unwrap();
        let mut strict = config.clone();
        strict.require_auth = Some(RequireAuth::parse("scram-sha-256").unwrap());
        let scram = [
            message(b'R', 10, b"SCRAM-SHA-256\0\0"),
            message(b'R', 11, b"x"),
            message(b'R', 12, b"y"),
        ];
        for (config, asked, passes) in [
            (&config, vec![ok.clone(), message(b'R', 3, b"")], true),
            (&config, vec![message(b'R', 3, b"")], false),
            (&config, vec![message(b'R', 5, b"salt"), ok.clone()], false),
            (
                &config,
                [&scram[..], std::slice::from_ref(&ok)].concat(),
                true,
            ),
            (
                &config,
                [&scram[..2], &[message(b'R', 3, b"")]].concat(),
                false,
            ),
            (
                &strict,
                [&scram[..], std::slice::from_ref(&ok)].concat(),
                true,
            ),
            (&strict, vec![ok.clone()], false),
            (&config, vec![vec![b'R', 0, 0, 0, 4, 0, 0, 0, 3]], false),
        ] {
            let bytes = [vec![notice.clone()], asked].concat().concat();
            for step in [1, 2, 3, 5, 8, bytes.len()] {
                let mut gate = Gate::new(config, "x");
                let looked = bytes.chunks(step).try_for_each(|part| gate.look(part));
                assert_eq!(looked.is_ok(), passes, "{bytes:?} by {step}");
            }
        }
    }
}
