//! What has come from the server and is not handed on yet.
//!
//! Owns: [`Incoming`], the socket with the buffer behind it and the walk over its frames. Never: decides when to read.

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::AsyncReadExt;

use super::scan::Scan;
use crate::{server_error::ServerError, session::Session, socket::Socket};

/// A block is about this long at most, unless one message is longer.
const BLOCK_BYTES: usize = 1 << 20;
/// With less room than this, a read would bring too little.
const ROOM_BYTES: usize = 32 << 10;
/// rustls hands out at most one record at a time, and clears the whole room before it does.
const TLS_READ_BYTES: usize = 32 << 10;

/// The socket, and what has been read from it.
pub(super) struct Incoming {
    pub(super) socket: Socket,
    pub(super) buffer: BytesMut,
    pub(super) scan: Scan,
    /// Bytes that are still to come of a frame that is passed over.
    pub(super) passing: usize,
    pub(super) block_bytes: usize,
    pub(super) read_bytes: usize,
}

impl Incoming {
    /// Of a session whose stream has begun; blocks are handed on into `room_bytes`.
    pub(super) fn new(session: Session, room_bytes: usize) -> Incoming {
        let block_bytes = (room_bytes / 4).clamp(ROOM_BYTES, BLOCK_BYTES);
        let read_bytes = match session.socket {
            Socket::Plain(_) => block_bytes,
            Socket::Tls(_) => TLS_READ_BYTES,
        };
        Incoming {
            socket: session.socket,
            buffer: session.buffer,
            scan: Scan::default(),
            passing: 0,
            block_bytes,
            read_bytes,
        }
    }

    /// Whether the buffer holds the beginning of a frame and nothing before it.
    pub(super) fn frame_is_open(&self) -> bool {
        self.scan.whole == 0 && self.scan.next.is_some()
    }

    /// Makes room to read into; for the whole of a frame that has begun, whose length `scan` has checked.
    pub(super) fn make_room(&mut self) {
        let held = self.buffer.len();
        let wanted = match self.scan.next {
            Some(frame) => (self.scan.whole + frame).saturating_sub(held),
            None => 0,
        };
        if self.buffer.capacity() - held < wanted.max(ROOM_BYTES) {
            self.buffer.reserve(wanted.max(self.block_bytes));
        }
    }

    /// The error that the server sends before it closes the connection, where there is one.
    pub(super) async fn last_word(
        &mut self,
        doing: &str,
        frame_bytes_max: u64,
    ) -> Option<ServerError> {
        loop {
            self.scan.walk(doing, &self.buffer, frame_bytes_max).ok()?;
            self.buffer.advance(self.scan.whole);
            self.scan.cut();
            // Nothing is looked for behind a frame that is passed over.
            if self.scan.long.is_some() || self.passing > 0 {
                return None;
            }
            if let (Some(tag), Some(len)) = (self.scan.other, self.scan.next) {
                let mut message = self.buffer.split_to(len).freeze();
                self.scan.passed();
                if tag == b'E' {
                    message.advance(size_of::<u8>() + size_of::<u32>());
                    return Some(ServerError::parse(message));
                }
                continue;
            }
            self.make_room();
            let mut room = (&mut self.buffer).limit(TLS_READ_BYTES);
            if self.socket.read_buf(&mut room).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Reads and forgets until the server is ready for the next command, or gone.
    pub(super) async fn drain(&mut self, doing: &str, frame_bytes_max: u64) -> Option<()> {
        loop {
            let here = self.passing.min(self.buffer.len());
            self.buffer.advance(here);
            self.passing -= here;
            if self.passing == 0 {
                self.scan.walk(doing, &self.buffer, frame_bytes_max).ok()?;
                self.buffer.advance(self.scan.whole);
                self.scan.cut();
                if let Some(len) = self.scan.long.take() {
                    self.passing = len;
                    continue;
                }
            }
            if let (Some(tag), Some(len)) = (self.scan.other, self.scan.next) {
                self.buffer.advance(len);
                self.scan.passed();
                if matches!(tag, b'Z' | b'E') {
                    return Some(());
                }
                continue;
            }
            self.make_room();
            let mut room = (&mut self.buffer).limit(self.read_bytes);
            if self.socket.read_buf(&mut room).await.ok()? == 0 {
                return None;
            }
        }
    }
}
