//! Messages to and from the server, one at a time, before the stream begins.
//!
//! Owns the framing: a message is taken whole, and its length is bounded before memory is reserved for it. Never: the
//! stream itself, which is read in bursts (see `stream`).
//! Invariant: after `query` has returned, the server is ready for the next one.
//! Source: PostgreSQL documentation, "Message Formats" and "Simple Query".
//!
//! ```text
//! ┌─────────┬──────────┬─────────────────────┐
//! │ tag: u8 │ len: i32 │ payload: len-4 bytes│
//! └─────────┴──────────┴─────────────────────┘
//! ```

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::{backend::Header, frontend};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time,
};

use crate::{Error, server_error::ServerError, socket::Socket};

/// The largest message that is believed before the stream begins; a timeline history is the largest that comes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How long the answer to a command may take, but for one that waits for others ([`Session::query_patiently`]).
const ANSWER_MAX: Duration = Duration::from_secs(300);

/// A socket with the bytes that are read but not yet used.
pub(crate) struct Session {
    pub(crate) socket: Socket,
    pub(crate) buffer: BytesMut,
}

/// A whole message, which is not an ErrorResponse, a notice or a parameter's status.
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) payload: Bytes,
}

/// One row of an answer, as text.
pub(crate) type TextRow = Vec<Option<String>>;

impl Session {
    pub(crate) fn new(socket: Socket) -> Session {
        Session {
            socket,
            buffer: BytesMut::with_capacity(8 << 10),
        }
    }

    /// Sends whole messages.
    pub(crate) async fn send(&mut self, doing: &str, bytes: &[u8]) -> Result<(), Error> {
        let sent = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        sent.await.map_err(|error| Error::lost(doing, error))
    }

    /// The next message that answers. An ErrorResponse is the error that it says.
    pub(crate) async fn receive(&mut self, doing: &str) -> Result<Message, Error> {
        loop {
            let message = self.take(doing).await?;
            match message.tag {
                b'E' => return Err(Error::server(doing, ServerError::parse(message.payload))),
                // Notices, parameters and notifications may come at any time and answer nothing.
                b'N' | b'S' | b'A' => {}
                _ => return Ok(message),
            }
        }
    }

    async fn take(&mut self, doing: &str) -> Result<Message, Error> {
        let header = loop {
            match Header::parse(&self.buffer) {
                Ok(Some(header)) => break header,
                Ok(None) => self.more(doing).await?,
                Err(error) => return Err(unexpected(doing, &error.to_string())),
            }
        };
        // `Header::parse` has refused lengths below 4, so the sum neither wraps nor is shorter than the header.
        let whole = header.len() as usize + 1;
        if whole > MESSAGE_BYTES_MAX {
            return Err(unexpected(
                doing,
                &format!("a message {:?} of {whole} bytes", char::from(header.tag())),
            ));
        }
        while self.buffer.len() < whole {
            self.more(doing).await?;
        }
        let mut message = self.buffer.split_to(whole).freeze();
        message.advance(size_of::<u8>() + size_of::<i32>());
        Ok(Message {
            tag: header.tag(),
            payload: message,
        })
    }

    async fn more(&mut self, doing: &str) -> Result<(), Error> {
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Error::lost(doing, io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::lost(doing, error)),
        }
    }

    /// Runs one command and returns its rows.
    pub(crate) async fn query(
        &mut self,
        doing: &str,
        command: &str,
    ) -> Result<Vec<TextRow>, Error> {
        time::timeout(ANSWER_MAX, self.query_patiently(doing, command))
            .await
            .unwrap_or_else(|_| Err(Error::late(doing, ANSWER_MAX.as_millis() as u64)))
    }

    /// As `query`, for a command that may wait for others without an end: creating a slot waits for every transaction that
    /// is running. A connection that is dead meanwhile is found by TCP.
    pub(crate) async fn query_patiently(
        &mut self,
        doing: &str,
        command: &str,
    ) -> Result<Vec<TextRow>, Error> {
        self.ask(doing, command).await?;
        self.answer(doing).await
    }

    /// Sends a command; its answer is to be received.
    pub(crate) async fn ask(&mut self, doing: &str, command: &str) -> Result<(), Error> {
        let mut request = BytesMut::new();
        frontend::query(command, &mut request)
            .map_err(|error| Error::settings(format!("{doing}: {error}")))?;
        self.send(doing, &request).await
    }

    async fn answer(&mut self, doing: &str) -> Result<Vec<TextRow>, Error> {
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let message = match self.receive(doing).await {
                Ok(message) => message,
                Err(error) if error.sqlstate().is_some() && refused.is_none() => {
                    refused = Some(error);
                    continue;
                }
                // After some errors the server ends the connection: its reason counts, not the end.
                Err(error) => return Err(refused.unwrap_or(error)),
            };
            match message.tag {
                b'D' => rows.push(
                    text_row(message.payload)
                        .ok_or_else(|| unexpected(doing, "a malformed row"))?,
                ),
                b'Z' => return refused.map_or(Ok(rows), Err),
                // Description, completion and the empty query say nothing that is needed.
                b'T' | b'C' | b'I' => {}
                tag => return Err(unexpected(doing, &format!("message {:?}", char::from(tag)))),
            }
        }
    }
}

/// The server said something that it does not say here.
pub(crate) fn unexpected(doing: &str, what: &str) -> Error {
    Error::protocol(format!(
        "{doing}: the server sent {what}, which is not the protocol; does PostgreSQL answer there, and no pooler that \
         cannot replicate"
    ))
}

/// ```text
/// DataRow ┌────────┐ ┌─────────────────────┬────────────┐
///         │ n: u16 │ │ len: i32, -1 is NULL│ len bytes  │ n of them
///         └────────┘ └─────────────────────┴────────────┘
/// ```
fn text_row(mut payload: Bytes) -> Option<TextRow> {
    let columns = payload.try_get_u16().ok()?;
    let mut row = Vec::new();
    for _ in 0..columns {
        let len = payload.try_get_i32().ok()?;
        row.push(match usize::try_from(len) {
            Err(_) => None,
            Ok(len) if len > payload.len() => return None,
            Ok(len) => Some(String::from_utf8_lossy(&payload.split_to(len)).into_owned()),
        });
    }
    payload.is_empty().then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_and_a_malformed_one_is_not() {
        let whole = b"\0\x03\0\0\0\x02ab\xFF\xFF\xFF\xFF\0\0\0\0";
        let row = text_row(Bytes::from_static(whole)).unwrap();
        assert_eq!(row, [Some("ab".to_owned()), None, Some(String::new())]);
        for cut in 0..whole.len() {
            assert_eq!(
                text_row(Bytes::copy_from_slice(&whole[..cut])),
                None,
                "{cut}"
            );
        }
        assert_eq!(text_row(Bytes::from_static(b"\0\0x")), None);
        assert_eq!(
            text_row(Bytes::from_static(b"\0\x01\x7F\xFF\xFF\xFF")),
            None
        );
    }
}
