//! The ceiling of the drain: takes a slot's stream off the socket in bursts and drops it.
//!
//! Owns: one walsender session with `pgoutput`, no TLS. Never: a look into a message beyond its first byte, which is
//! needed to know the last row; no confirmation of a flush, so that the slot can be read again.
//!
//! ```text
//! | 'd' | length be32 | 'w' | start be64 | end be64 | sent be64 | message: 'I' ...  |
//! | 'd' | length be32 | 'k' | end be64 | sent be64 | reply wanted u8 |
//! ```
//! Specification: "Streaming Replication Protocol" of the PostgreSQL documentation.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::checker::{Session, Target, quote_literal};
use crate::process::Usage;

/// A read that brought as much shows that more is on its way.
const BURST_BYTES: usize = 4 << 10;
/// How long to let a burst gather in the socket.
const GATHER: Duration = Duration::from_micros(500);
const BUFFER_BYTES: usize = 1 << 20;
const FEEDBACK_EVERY: Duration = Duration::from_secs(1);

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct BareRun {
    /// Inserts read.
    pub rows: u64,
    /// From the connection to the last row.
    pub elapsed: Duration,
    /// Bytes off the socket.
    pub bytes: u64,
    /// CPU seconds of the walsender.
    pub walsender_cpu_seconds: f64,
}

/// A slot for the bare reader.
pub struct BareReader {
    target: Target,
    slot: String,
    publication: String,
}

impl BareReader {
    /// Creates a slot with `pgoutput`; the publication must exist when it is read.
    pub fn create(url: &str, slot: &str, publication: &str) -> Result<BareReader> {
        let sql = format!(
            "select pg_create_logical_replication_slot({}, 'pgoutput')",
            quote_literal(slot)
        );
        Session::connect(url)?.execute(&sql)?;
        Ok(BareReader {
            target: Target::from_url(url)?,
            slot: slot.to_owned(),
            publication: publication.to_owned(),
        })
    }

    /// Reads until so many inserts came.
    pub fn run(&self, rows: u64) -> Result<BareRun> {
        let begun = Instant::now();
        let (mut socket, walsender, brought) = self.start()?;
        socket.set_read_timeout(Some(FEEDBACK_EVERY))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut held = brought.len();
        buffer[..held].copy_from_slice(&brought);
        let mut run = BareRun {
            rows: 0,
            elapsed: Duration::ZERO,
            bytes: 0,
            walsender_cpu_seconds: 0.0,
        };
        let (mut received, mut told) = (0, Instant::now());
        while run.rows < rows {
            if held == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            match socket.read(&mut buffer[held..]) {
                Ok(0) => bail!("PostgreSQL closed the stream after {} rows", run.rows),
                Ok(count) => {
                    held += count;
                    run.bytes += count as u64;
                    let used = walk(&buffer[..held], &mut run.rows, &mut received)?;
                    buffer.copy_within(used..held, 0);
                    held -= used;
                    if count >= BURST_BYTES && run.rows < rows {
                        thread::sleep(GATHER);
                    }
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error).context("the stream broke"),
            }
            if told.elapsed() >= FEEDBACK_EVERY {
                feedback(&mut socket, received)?;
                told = Instant::now();
            }
        }
        run.elapsed = begun.elapsed();
        run.walsender_cpu_seconds = Usage::of(walsender).unwrap_or_default().cpu_seconds;
        Ok(run)
    }

    /// Opens the stream. The session that had the slot before may need a moment to notice that its client is gone.
    fn start(&self) -> Result<(TcpStream, u32, Vec<u8>)> {
        let options = format!(
            "proto_version '1', publication_names '\"{}\"'",
            self.publication
        );
        let begun = Instant::now();
        loop {
            let session = Session::open(&self.target, true)?;
            let walsender = session.backend_pid as u32;
            match session.start_replication(&self.slot, &options) {
                Ok((socket, brought)) => return Ok((socket, walsender, brought)),
                Err(error)
                    if error.to_string().contains("55006") && begun.elapsed() < super::RELEASED =>
                {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the slot.
    pub fn drop_slot(self, url: &str) -> Result<()> {
        super::drop_slot(url, &self.slot)
    }
}

/// Counts inserts over whole frames and returns how many bytes these took.
fn walk(bytes: &[u8], rows: &mut u64, received: &mut u64) -> Result<usize> {
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 5) {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some(body) = bytes.get(at + 5..at + 1 + length) else {
            break;
        };
        if head[0] != b'd' {
            bail!("the stream brought message {:?}", char::from(head[0]));
        }
        if let (Some(b'w'), Some(start)) = (body.first(), body.get(1..9)) {
            *rows += u64::from(body.get(25) == Some(&b'I'));
            let start = start.try_into().map(u64::from_be_bytes).unwrap_or(0);
            *received = start.max(*received);
        }
        at += 1 + length;
    }
    Ok(at)
}

/// Tells that the stream is alive and nothing is flushed.
fn feedback(socket: &mut TcpStream, received: u64) -> Result<()> {
    let mut message = vec![b'd', 0, 0, 0, 38, b'r'];
    message.extend_from_slice(&received.to_be_bytes());
    message.extend_from_slice(&[0; 8 + 8 + 8 + 1]);
    Ok(socket.write_all(&message)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8) -> Vec<u8> {
        let mut body = vec![b'w'];
        body.extend_from_slice(&7_u64.to_be_bytes());
        body.extend_from_slice(&[0; 16]);
        body.extend_from_slice(&[kind, 1, 2, 3]);
        let mut frame = vec![b'd'];
        frame.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        frame.extend_from_slice(&body);
        frame
    }

    #[test]
    fn inserts_are_counted_over_whole_frames_only() {
        let bytes = [frame(b'B'), frame(b'I'), frame(b'I')].concat();
        let (mut rows, mut received) = (0, 0);
        let used = walk(&bytes[..bytes.len() - 1], &mut rows, &mut received).unwrap();
        assert_eq!((used, rows, received), (2 * frame(b'I').len(), 1, 7));
        assert!(walk(b"E\0\0\0\x04", &mut rows, &mut received).is_err());
    }
}
