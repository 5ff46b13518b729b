//! Kafka's frames on their way through the proxy: addresses rewritten, one EndTxn held back.
//!
//! Owns: the split of the byte stream into frames. Never: knowledge of a message beyond its header. The broker's
//! address is found in answers as host text followed by its port, and only the port is changed, so no length changes.
//!
//! ```text
//! request:  | size i32 | api key i16 | version i16 | correlation i32 | client id | body |
//! answer:   | size i32 | correlation i32 | body |
//! EndTxn (api key 26) answer body, after the header: | tagged fields, flexible versions | throttle ms i32 | error i16 |
//! ```
//! Specification: "Kafka protocol guide", request and response headers; `EndTxnResponse.json`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::lock::lock;

const END_TXN: i16 = 26;
/// The first version of EndTxn with tagged fields in its header.
const END_TXN_FLEXIBLE: i16 = 3;
/// More than any frame of a test.
const FRAME_BYTES_MAX: usize = 256 << 20;

#[derive(Default)]
struct Trap {
    /// How many EndTxn to let through before the catch; none when not armed.
    armed: Option<u32>,
    held: Option<Vec<u8>>,
}

/// The trap for one EndTxn.
#[derive(Default)]
pub(super) struct Holdback {
    trap: Mutex<Trap>,
    caught: Condvar,
}

impl Holdback {
    pub(super) fn arm(&self, skipped: u32) {
        *lock(&self.trap) = Trap {
            armed: Some(skipped),
            held: None,
        };
    }

    pub(super) fn wait(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut trap = lock(&self.trap);
        while trap.held.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            trap = self
                .caught
                .wait_timeout(trap, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Whether this request is the one; then it is kept.
    pub(super) fn catches(&self, frame: &[u8]) -> bool {
        if api_key(frame) != Some(END_TXN) {
            return false;
        }
        let mut trap = lock(&self.trap);
        match trap.armed {
            Some(0) => {
                *trap = Trap {
                    armed: None,
                    held: Some(frame.to_vec()),
                };
                self.caught.notify_all();
                true
            }
            Some(left) => {
                trap.armed = Some(left - 1);
                false
            }
            None => false,
        }
    }

    pub(super) fn deliver(&self, upstream: SocketAddr) -> Result<i16> {
        let frame = lock(&self.trap)
            .held
            .take()
            .context("no EndTxn was held back")?;
        let mut broker = TcpStream::connect(upstream).context("cannot reach the broker")?;
        broker.set_read_timeout(Some(Duration::from_secs(10)))?;
        broker.write_all(&frame)?;
        let answer = read_frame(&mut broker)?.context("the broker closed the connection")?;
        let tagged = usize::from(version(&frame).unwrap_or(0) >= END_TXN_FLEXIBLE);
        let at = 4 + 4 + tagged + 4;
        match answer.get(at..at + 2) {
            Some(code) => Ok(i16::from_be_bytes([code[0], code[1]])),
            None => bail!("the broker's answer to EndTxn is too short"),
        }
    }
}

fn short(frame: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]))
}

fn api_key(frame: &[u8]) -> Option<i16> {
    short(frame, 4)
}

fn version(frame: &[u8]) -> Option<i16> {
    short(frame, 6)
}

/// A whole frame with its size; none at the end of the stream.
pub(super) fn read_frame(from: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    if from.read_exact(&mut head).is_err() {
        return Ok(None);
    }
    let size = u32::from_be_bytes(head) as usize;
    if size > FRAME_BYTES_MAX {
        bail!("a frame of {size} bytes is none of Kafka's");
    }
    let mut frame = vec![0; size + 4];
    frame[..4].copy_from_slice(&head);
    Ok(from.read_exact(&mut frame[4..]).is_ok().then_some(frame))
}

/// Puts the proxy's port in place of the broker's.
pub(super) fn rewrite(frame: &mut [u8], broker: SocketAddr, port: u16) {
    let broker_port = u32::from(broker.port()).to_be_bytes();
    for host in [broker.ip().to_string(), "localhost".to_owned()] {
        let mut pattern = host.into_bytes();
        let host_bytes = pattern.len();
        pattern.extend_from_slice(&broker_port);
        // Addresses stand in small answers only; a large one is data.
        if frame.len() > 64 << 10 {
            return;
        }
        let mut from = 0;
        while let Some(found) = frame[from..]
            .windows(pattern.len())
            .position(|window| window == pattern)
        {
            let at = from + found + host_bytes;
            frame[at..at + 4].copy_from_slice(&u32::from(port).to_be_bytes());
            from = at + 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_port_becomes_the_proxys() {
        let mut frame =
            b"\0\0\0\x20 127.0.0.1\0\0\x23\x84 localhost\0\0\x23\x84 127.0.0.1\0\0\0\x50".to_vec();
        rewrite(&mut frame, "127.0.0.1:9092".parse().unwrap(), 258);
        assert_eq!(
            frame,
            b"\0\0\0\x20 127.0.0.1\0\0\x01\x02 localhost\0\0\x01\x02 127.0.0.1\0\0\0\x50"
        );
    }

    #[test]
    fn the_trap_counts_and_catches_once() {
        let trap = Holdback::default();
        let end = [0, 0, 0, 4, 0, 26, 0, 3];
        let other = [0, 0, 0, 4, 0, 0, 0, 3];
        assert!(!trap.catches(&end));
        trap.arm(1);
        assert!(!trap.catches(&other));
        assert!(!trap.catches(&end));
        assert!(!trap.wait(Duration::ZERO));
        assert!(trap.catches(&end));
        assert!(!trap.catches(&end));
        assert!(trap.wait(Duration::ZERO));
    }
}
