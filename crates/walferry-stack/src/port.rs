//! Ports that nothing else on the machine uses, kept for a server through its restarts.
//!
//! Owns: [`Port`], a reservation. Never: opens the port for longer than a probe.
//! Invariant: two live reservations of one user, in any processes, never name the same port.
//! The range lies below the one that Linux gives to outgoing connections (32768 and up), so that no
//! client takes a server's port while the server is down between a kill and a restart.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use super::cache::run_root;

/// A reserved port of 127.0.0.1; the reservation ends on drop, and with the process in any case.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port that nobody listens on.
    ///
    /// # Errors
    /// None of many candidates is free, or the folder of reservations cannot be written.
    pub fn reserve() -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let folder = run_root()?.join("ports");
        fs::create_dir_all(&folder)?;
        // Where to begin is spread by process and time, so that runs side by side seldom meet.
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.subsec_nanos());
        let seed = nanos.wrapping_add(std::process::id().wrapping_mul(7919));
        for _ in 0..CANDIDATES_MAX {
            let step = SERIAL.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (seed.wrapping_add(step.wrapping_mul(13)) % SPAN) as u16;
            let file = File::create(folder.join(number.to_string()))?;
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
            if file.try_lock().is_ok() && free() {
                return Ok(Self {
                    number,
                    _lock: file,
                });
            }
        }
        bail!(
            "no free port found from {FIRST} to {}",
            u32::from(FIRST) + SPAN
        )
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

const FIRST: u16 = 18_000;
const SPAN: u32 = 14_000;
const CANDIDATES_MAX: u32 = 2_000;
const _: () = assert!(FIRST as u32 + SPAN <= 32_768);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reservations_never_meet() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().unwrap()).collect();
        let distinct: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(distinct.len(), 50);
    }

    #[test]
    fn a_port_that_someone_listens_on_is_not_reserved() {
        let port = Port::reserve().unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        let number = port.number();
        drop(port);
        for _ in 0..100 {
            assert_ne!(Port::reserve().unwrap().number(), number);
        }
    }
}
