//! What is told to the server: how far the stream has been received and how far it is durable.
//!
//! Owns [`Feedback`], which outlives connections, and the standby status update that it is sent as. Never: confirms more than
//! the pipeline has said is durable.
//! Invariants: each position only grows; `confirmed <= flushed`.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol", Standby status update.
//!
//! ```text
//! CopyData ┌───┬──────────┬───┬────────────┬────────────┬────────────┬───────────┬──────────────────┐
//!          │'d'│ len: i32 │'r'│ write: lsn │ flush: lsn │ apply: lsn │ sent: time│ reply asked: u8  │
//!          └───┴──────────┴───┴────────────┴────────────┴────────────┴───────────┴──────────────────┘
//! ```

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::Notify;
use walferry_event::Lsn;

/// Positions that the session and the publisher share. It is kept over reconnects.
#[derive(Debug)]
pub struct Feedback {
    received: AtomicU64,
    flushed: AtomicU64,
    confirmed: AtomicU64,
    /// Connections in a row that were given up as silent before they brought anything new.
    silences: AtomicU32,
    changed: Notify,
}

impl Feedback {
    /// Nothing is received yet, and all before `flushed` is durable.
    pub fn new(flushed: Lsn) -> Feedback {
        Feedback {
            received: AtomicU64::new(flushed.0),
            flushed: AtomicU64::new(flushed.0),
            confirmed: AtomicU64::new(0),
            silences: AtomicU32::new(0),
            changed: Notify::new(),
        }
    }

    /// All before `lsn` is durable: it may be confirmed to the slot. The session is woken to do so.
    pub fn set_flushed(&self, lsn: Lsn) {
        if self.flushed.fetch_max(lsn.0, Relaxed) < lsn.0 {
            self.changed.notify_one();
        }
    }

    /// How far is durable.
    pub fn flushed(&self) -> Lsn {
        Lsn(self.flushed.load(Relaxed))
    }

    /// How far the stream has come: the last change or keepalive that was read off the socket.
    pub fn received(&self) -> Lsn {
        Lsn(self.received.load(Relaxed))
    }

    /// What the server was last told is durable; zero before the first feedback.
    pub fn confirmed(&self) -> Lsn {
        Lsn(self.confirmed.load(Relaxed))
    }

    /// The stream has come to `lsn`.
    pub(crate) fn advance(&self, lsn: Lsn) {
        if self.received.fetch_max(lsn.0, Relaxed) < lsn.0 {
            self.silences.store(0, Relaxed);
        }
    }

    pub(crate) fn set_confirmed(&self, lsn: Lsn) {
        self.confirmed.fetch_max(lsn.0, Relaxed);
    }

    /// Resolves when there may be a new position to confirm.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn silences(&self) -> u32 {
        self.silences.load(Relaxed)
    }

    pub(crate) fn count_silence(&self) {
        self.silences.fetch_add(1, Relaxed);
    }
}

const UPDATE_BYTES: usize = 39;
/// From 1970 to 2000, PostgreSQL's epoch, in microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;

/// The frame that tells the server where we are.
pub(crate) fn status_update(received: Lsn, flushed: Lsn, reply: bool) -> [u8; UPDATE_BYTES] {
    let now_us = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as i64)
        - EPOCH_US;
    let mut frame = [0; UPDATE_BYTES];
    frame[0] = b'd';
    frame[1..5].copy_from_slice(&(UPDATE_BYTES as u32 - 1).to_be_bytes());
    frame[5] = b'r';
    // What is durable has been received, whatever this connection has seen of it.
    frame[6..14].copy_from_slice(&received.max(flushed).0.to_be_bytes());
    frame[14..22].copy_from_slice(&flushed.0.to_be_bytes());
    frame[22..30].copy_from_slice(&flushed.0.to_be_bytes());
    frame[30..38].copy_from_slice(&now_us.to_be_bytes());
    frame[38] = u8::from(reply);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_only_grow() {
        let feedback = Feedback::new(Lsn(10));
        feedback.set_flushed(Lsn(20));
        feedback.set_flushed(Lsn(15));
        feedback.advance(Lsn(30));
        feedback.advance(Lsn(25));
        assert_eq!(
            (feedback.flushed(), feedback.received()),
            (Lsn(20), Lsn(30))
        );
    }

    #[test]
    fn silences_are_forgotten_when_the_stream_moves_on_and_only_then() {
        let feedback = Feedback::new(Lsn(10));
        feedback.count_silence();
        feedback.advance(Lsn(10));
        assert_eq!(feedback.silences(), 1);
        feedback.advance(Lsn(11));
        assert_eq!(feedback.silences(), 0);
    }

    #[test]
    fn the_update_is_laid_out_as_drawn() {
        let frame = status_update(Lsn(5), Lsn(7), true);
        assert_eq!(&frame[..6], b"d\0\0\0\x26r");
        assert_eq!(frame[6..14], 7_u64.to_be_bytes());
        assert_eq!(frame[22..30], 7_u64.to_be_bytes());
        assert_eq!(frame[38], 1);
    }
}
