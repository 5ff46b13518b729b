//! The socket under a replication session: TCP or a Unix socket, with TLS or without.
//!
//! Owns the way to an open socket. Never: knows a message beyond the one-byte answer to the TLS request.
//! Invariant: a socket belongs to the reactor of one runtime; [`Socket::rehome`] moves it to the running one.
//! Source: PostgreSQL documentation, "SSL Session Encryption".

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use futures_util::FutureExt;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    time,
};
use tokio_rustls::client::TlsStream;

use crate::{
    ConnectConfig, Error, TlsMode,
    kind::Kind,
    tls::{self, ServerEndPoint},
};

/// An open connection to the server, before or after the log-in.
pub(crate) enum Socket {
    Plain(Transport),
    Tls(Box<TlsStream<Transport>>),
}

/// What the bytes travel over.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Data that the peer's kernel has not acknowledged for this long means that it is gone, however long an answer of
/// the process behind it may take.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// The most that Linux lets a process without privileges ask for is `net.core.rmem_max`; it clamps what is above.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

impl Socket {
    /// Connects, and switches TLS on when that is asked for.
    pub(crate) async fn connect(config: &ConnectConfig) -> Result<Socket, Error> {
        let transport = if config.is_unix() {
            let path = format!("{}/.s.PGSQL.{}", config.host, config.port);
            let connecting = UnixStream::connect(&path);
            let stream = within(config, connecting).await?;
            Transport::Unix(stream.map_err(|error| unreachable(config, &error))?)
        } else {
            Transport::Tcp(connect_tcp(config).await?)
        };
        match config.tls.mode {
            TlsMode::Disable => Ok(Socket::Plain(transport)),
            // libpq, too, leaves TLS out on a socket that never leaves the machine.
            _ if config.is_unix() => Ok(Socket::Plain(transport)),
            _ => within(config, Socket::switch_on(transport, config)).await?,
        }
    }

    async fn switch_on(mut transport: Transport, config: &ConnectConfig) -> Result<Socket, Error> {
        let doing = format!("TLS with {}", config.place());
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        let mut answer = [0];
        let asked = async {
            transport.write_all(&request).await?;
            transport.read_exact(&mut answer).await
        };
        asked.await.map_err(|error| Error::lost(&doing, error))?;
        match answer {
            // Whatever else has arrived was not sent by the peer of the handshake; reading one byte leaves it to fail there.
            [b'S'] => {}
            [b'N'] => return Err(tls::switched_off(&doing)),
            _ => {
                return Err(Error::protocol(format!(
                    "{doing}: the answer is neither S nor N"
                )));
            }
        }
        let (connector, name) = tls::connector(config)?;
        match connector.connect(name, transport).await {
            Ok(stream) => Ok(Socket::Tls(Box::new(stream))),
            Err(error) => Err(tls::refused(&doing, config, error)),
        }
    }

    /// Makes the receive buffer as large as the stream of a slot wants it.
    pub(crate) fn widen(&self) -> io::Result<()> {
        let transport = match self {
            Socket::Plain(transport) => transport,
            Socket::Tls(stream) => stream.get_ref().0,
        };
        match transport {
            Transport::Tcp(stream) => {
                SockRef::from(stream).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)
            }
            Transport::Unix(_) => Ok(()),
        }
    }

    /// What binds the log-in to this TLS connection; `None` without TLS.
    pub(crate) fn server_end_point(&self) -> Option<ServerEndPoint> {
        match self {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => {
                let (_, connection) = stream.get_ref();
                let leaf = connection.peer_certificates()?.first()?;
                Some(tls::server_end_point(leaf))
            }
        }
    }

    /// Makes the receive buffer this small if the peer is on the same machine and nothing but TCP is between; whether
    /// that is so.
    pub(crate) fn narrow_if_near(&self, bytes: usize) -> bool {
        let Socket::Plain(Transport::Tcp(stream)) = self else {
            return false;
        };
        let ends = (stream.local_addr(), stream.peer_addr());
        matches!(ends, (Ok(local), Ok(peer)) if local.ip() == peer.ip())
            && SockRef::from(stream).set_recv_buffer_size(bytes).is_ok()
    }

    /// How many bytes have come that a TCP socket was not read for.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Socket::Plain(Transport::Tcp(stream)) => {
                let waiting = rustix::io::ioctl_fionread(stream).unwrap_or(0);
                usize::try_from(waiting).unwrap_or(usize::MAX)
            }
            Socket::Plain(Transport::Unix(_)) | Socket::Tls(_) => 0,
        }
    }

    /// Whether the peer has ended or reset the connection, seen without a read. What has come before is still there.
    pub(crate) fn is_closed(&self) -> bool {
        let transport = match self {
            Socket::Plain(transport) => transport,
            Socket::Tls(stream) => stream.get_ref().0,
        };
        let ready = match transport {
            Transport::Tcp(stream) => stream.ready(Interest::READABLE).now_or_never(),
            Transport::Unix(stream) => stream.ready(Interest::READABLE).now_or_never(),
        };
        ready.is_some_and(|ready| ready.is_ok_and(|it| it.is_read_closed()))
    }

    /// Moves the socket to the reactor of the runtime that runs this.
    pub(crate) fn rehome(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(transport) => transport.rehome(),
            Socket::Tls(stream) => stream.get_mut().0.rehome(),
        }
    }
}

impl Transport {
    /// A second descriptor of the same socket is registered here; dropping the first one takes it off the old reactor.
    fn rehome(&mut self) -> io::Result<()> {
        *self = match self {
            Transport::Tcp(stream) => {
                let descriptor = stream.as_fd().try_clone_to_owned()?;
                Transport::Tcp(TcpStream::from_std(descriptor.into())?)
            }
            Transport::Unix(stream) => {
                let descriptor = stream.as_fd().try_clone_to_owned()?;
                Transport::Unix(UnixStream::from_std(descriptor.into())?)
            }
        };
        Ok(())
    }
}

/// Tries each address of the host in turn.
async fn connect_tcp(config: &ConnectConfig) -> Result<TcpStream, Error> {
    let lookup = tokio::net::lookup_host((config.host.as_str(), config.port));
    let addresses = within(config, lookup)
        .await?
        .map_err(|error| unreachable(config, &error))?;
    let mut last = Error::new(
        Kind::Unreachable,
        format!(
            "cannot reach PostgreSQL at {}: the host has no address",
            config.place()
        ),
    );
    for address in addresses {
        match within(config, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => match configure(&stream) {
                Ok(()) => return Ok(stream),
                Err(error) => last = unreachable(config, &error),
            },
            Ok(Err(error)) => last = unreachable(config, &error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}

/// Bounds one step of connecting.
pub(crate) async fn within<T>(
    config: &ConnectConfig,
    step: impl Future<Output = T>,
) -> Result<T, Error> {
    time::timeout(config.connect_timeout(), step)
        .await
        .map_err(|_| {
            Error::new(
                Kind::Unreachable,
                format!(
                    "cannot reach PostgreSQL at {}: no answer within {} ms",
                    config.place(),
                    config.connect_timeout_ms
                ),
            )
        })
}

/// Nobody answers at the address.
pub(crate) fn unreachable(config: &ConnectConfig, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is the server running, and is the port right",
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => "; is the host right",
        _ => "",
    };
    Error::new(
        Kind::Unreachable,
        format!(
            "cannot reach PostgreSQL at {}: {error}{hint}",
            config.place()
        ),
    )
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_near_socket_is_narrowed_and_shows_what_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = stream.unwrap();
        configure(&stream).unwrap();
        let mut socket = Socket::Plain(Transport::Tcp(stream));
        socket.widen().unwrap();
        let Socket::Plain(Transport::Tcp(stream)) = &socket else {
            unreachable!()
        };
        let wide = SockRef::from(stream).recv_buffer_size().unwrap();
        assert!(socket.narrow_if_near(64 << 10));
        let Socket::Plain(Transport::Tcp(stream)) = &socket else {
            unreachable!()
        };
        assert!(SockRef::from(stream).recv_buffer_size().unwrap() < wide);

        let mut peer = accepted.unwrap().0;
        peer.write_all(b"three").await.unwrap();
        let mut read = [0; 2];
        socket.read_exact(&mut read).await.unwrap();
        assert_eq!(socket.waiting(), 3);
    }
}
