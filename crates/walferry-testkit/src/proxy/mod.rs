//! A TCP proxy that breaks what it carries, when a test says so.
//!
//! Owns: a listening port, and for each connection two threads that carry bytes. Faults: cut, black hole (no byte and
//! no FIN gets through, the sockets stay open), forgotten connections (the same, for ever), delay, refusal of new connections, and for Kafka an EndTxn request
//! held back (see `kafka`). Never: a look into bytes, but for Kafka's frames in [`Proxy::kafka`].
//! Invariant: a byte that was read is either written on or lost with its whole connection.

mod kafka;
mod lock;
mod shared;

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use walferry_stack::Port;

use kafka::{Holdback, read_frame, rewrite};
use lock::lock;
use shared::Shared;

pub use shared::Mode;

/// How often a waiting thread looks whether the proxy is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The proxy. Dropping it cuts all.
pub struct Proxy {
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and carries to `upstream` (`host:port`).
    pub fn start(upstream: &str) -> Result<Proxy> {
        Proxy::open(upstream, false)
    }

    /// As [`Proxy::start`], for a Kafka broker: the broker's own address in its answers becomes the proxy's, so that
    /// clients stay on it; and an EndTxn can be held back.
    pub fn kafka(upstream: &str) -> Result<Proxy> {
        Proxy::open(upstream, true)
    }

    fn open(upstream: &str, kafka: bool) -> Result<Proxy> {
        let upstream = upstream
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {upstream}"))?
            .find(SocketAddr::is_ipv4)
            .with_context(|| format!("{upstream} has no IPv4 address"))?;
        let port = Port::reserve().context("no free port for the proxy")?;
        let listener = TcpListener::bind(("127.0.0.1", port.number()))?;
        let shared = Arc::new(Shared {
            upstream,
            port,
            kafka,
            mode: Mutex::new(Mode::Pass),
            changed: Condvar::new(),
            delay_us: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            connections: Mutex::new(Vec::new()),
            accepted: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            holdback: Holdback::default(),
        });
        let accepting = shared.clone();
        thread::Builder::new()
            .name("proxy-accept".into())
            .spawn(move || accept(&accepting, listener))?;
        Ok(Proxy { shared })
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.shared.port.number()
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port.number())
    }

    /// Changes what happens from now on.
    pub fn set(&self, mode: Mode) {
        *lock(&self.shared.mode) = mode;
        self.shared.changed.notify_all();
    }

    /// Holds each piece of data back for so long before it is written on.
    pub fn delay(&self, delay: Duration) {
        self.shared
            .delay_us
            .store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// Closes all connections towards both ends. Returns how many there were.
    pub fn cut(&self) -> usize {
        let connections = std::mem::take(&mut *lock(&self.shared.connections));
        connections.iter().for_each(close);
        self.shared.changed.notify_all();
        connections.len()
    }

    /// Carries nothing of the connections of now any more, for ever, and ends none: as a router that has lost its state.
    pub fn forget(&self) {
        self.shared
            .forgotten
            .store(self.accepted(), Ordering::Relaxed);
    }

    /// How many connections were taken so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Arms the trap: the next EndTxn request of Kafka's protocol, after `skipped` others, is swallowed and the
    /// connection that sent it is cut.
    pub fn hold_end_txn(&self, skipped: u32) {
        self.shared.holdback.arm(skipped);
    }

    /// Waits until the trap has caught a request; tells whether it has within `deadline`.
    pub fn wait_held(&self, deadline: Duration) -> bool {
        self.shared.holdback.wait(deadline)
    }

    /// Delivers the request that was held back, on a new connection, and returns the broker's error code.
    pub fn deliver_held(&self) -> Result<i16> {
        self.shared.holdback.deliver(self.shared.upstream)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let _mode = lock(&self.shared.mode);
            self.shared.closed.store(true, Ordering::Relaxed);
        }
        self.cut();
    }
}

fn close(pair: &(TcpStream, TcpStream)) {
    // Either may be closed already; then there is nothing left to do.
    let _ = pair.0.shutdown(Shutdown::Both);
    let _ = pair.1.shutdown(Shutdown::Both);
}

/// Takes connections. While they are to be refused there is no listener, so that the kernel refuses.
fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    let mut listener = Some(listener);
    while !shared.closed.load(Ordering::Relaxed) {
        if *lock(&shared.mode) == Mode::Refuse {
            listener = None;
            thread::sleep(LOOK_AGAIN);
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(("127.0.0.1", shared.port.number())).ok();
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        if open.set_nonblocking(true).is_err() {
            return;
        }
        match open.accept() {
            Ok((client, _)) => {
                let carrying = shared.clone();
                // Without a thread the connection is dropped, which its client sees.
                let _ = thread::Builder::new()
                    .name("proxy".into())
                    .spawn(move || carry(&carrying, client));
            }
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn carry(shared: &Arc<Shared>, client: TcpStream) {
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
    if client.set_nonblocking(false).is_err() || !shared.wait_open(number) {
        return;
    }
    let Ok(upstream) = TcpStream::connect(shared.upstream) else {
        return;
    };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let pair = |left: &TcpStream, right: &TcpStream| {
        Some((left.try_clone().ok()?, right.try_clone().ok()?))
    };
    let (Some(registered), Some(back)) = (pair(&client, &upstream), pair(&upstream, &client))
    else {
        return;
    };
    lock(&shared.connections).push(registered);
    let returning = shared.clone();
    let answers = thread::Builder::new().name("proxy".into()).spawn(move || {
        let (from, to) = back;
        if returning.kafka {
            answers(&returning, number, from, to)
        } else {
            pump(&returning, number, from, to)
        }
    });
    if shared.kafka {
        requests(shared, number, client, upstream);
    } else {
        pump(shared, number, client, upstream);
    }
    if let Ok(answers) = answers {
        let _ = answers.join();
    }
}

/// Carries requests to the broker, all but the one that is held back.
fn requests(shared: &Shared, number: u64, mut client: TcpStream, mut broker: TcpStream) {
    while let Ok(Some(frame)) = read_frame(&mut client) {
        if shared.holdback.catches(&frame) {
            let _ = (
                client.shutdown(Shutdown::Both),
                broker.shutdown(Shutdown::Both),
            );
            return;
        }
        if !shared.forward(number, &mut broker, &frame) {
            break;
        }
    }
    if shared.wait_open(number) {
        let _ = broker.shutdown(Shutdown::Write);
    }
}

/// Carries answers to the client, with the proxy's port in place of the broker's.
fn answers(shared: &Shared, number: u64, mut broker: TcpStream, mut client: TcpStream) {
    while let Ok(Some(mut frame)) = read_frame(&mut broker) {
        rewrite(&mut frame, shared.upstream, shared.port.number());
        if !shared.forward(number, &mut client, &frame) {
            break;
        }
    }
    if shared.wait_open(number) {
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// Carries bytes one way until either side ends, and passes the end on.
fn pump(shared: &Shared, number: u64, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if !shared.forward(number, &mut to, &buffer[..count]) {
                    break;
                }
            }
        }
    }
    if shared.wait_open(number) {
        let _ = to.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod late_end_tests;
#[cfg(test)]
mod tests;
