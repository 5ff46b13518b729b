//! What the threads of a proxy share.
//!
//! Owns: [`Shared`], and the way of bytes through what is broken now.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use walferry_stack::Port;

use super::kafka::Holdback;
use super::lock::lock;

/// What happens to bytes and to new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All is carried.
    Pass,
    /// Nothing is carried in either direction and no end is told; new connections are taken and hang.
    BlackHole,
    /// New connections are refused by the kernel; those that exist are carried.
    Refuse,
}

pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    /// Reserved, so that nothing takes it while connections are refused.
    pub(super) port: Port,
    pub(super) kafka: bool,
    pub(super) mode: Mutex<Mode>,
    pub(super) changed: Condvar,
    pub(super) delay_us: AtomicU64,
    pub(super) closed: AtomicBool,
    pub(super) connections: Mutex<Vec<(TcpStream, TcpStream)>>,
    pub(super) accepted: AtomicU64,
    /// Connections with a lower number are forgotten.
    pub(super) forgotten: AtomicU64,
    pub(super) holdback: Holdback,
}

impl Shared {
    /// Waits out a black hole; for ever, on a connection that is forgotten. False when the proxy is gone.
    pub(super) fn wait_open(&self, number: u64) -> bool {
        let mut mode = lock(&self.mode);
        let is_forgotten = || number < self.forgotten.load(Ordering::Relaxed);
        while (*mode == Mode::BlackHole || is_forgotten()) && !self.closed.load(Ordering::Relaxed) {
            // Each change is told: hundreds of connections that look for themselves would keep the machine busy.
            let told = self.changed.wait(mode);
            mode = told.unwrap_or_else(PoisonError::into_inner);
        }
        !self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn forward(&self, number: u64, to: &mut TcpStream, bytes: &[u8]) -> bool {
        if !self.wait_open(number) {
            return false;
        }
        let delay_us = self.delay_us.load(Ordering::Relaxed);
        if delay_us > 0 {
            thread::sleep(Duration::from_micros(delay_us));
        }
        to.write_all(bytes).is_ok()
    }
}
