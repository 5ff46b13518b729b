//! The turning ring: snapshot, stream, reconnect after each loss, and the orderly end.
//!
//! Owns the life of the stream's connections and the order in which the threads end. Each reconnect is decided by the
//! same recovery table as a start, with the durable position as the checkpoint.
//! Invariant: at an orderly end the encoder ends first, then the publisher commits, then the last feedback confirms.
//! Start reading at `Ring::turn`.

mod claim;
pub(crate) mod encode_thread;
mod lines;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time,
};
use walferry_event::Code;

use crate::{
    config::{InForce, SnapshotMode},
    connector::{
        monitor::Monitor,
        ring::{
            encode_thread::{StreamEnd, Work},
            lines::{Attempt, Connection, Lines, Next},
        },
        startup::Found,
    },
    error::{Error, Passing},
    position::{checkpoint_writer::CheckpointWriter, snapshot_progress::Progress},
    publish::durable::Durable,
    retry::{self, Retry},
    snapshot::consistent,
    status::{
        Status,
        state::{Peer, State},
    },
};

/// What the ring begins with.
pub(crate) enum Begin {
    /// A snapshot, then the stream.
    Snapshot(Box<consistent::Task>),
    /// The stream, and what is left of snapshots beside it.
    Stream,
}

/// The running ring.
pub(crate) struct Ring {
    pub(crate) config: InForce,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) halt: watch::Sender<bool>,
    pub(crate) stamp: Arc<CheckpointWriter>,
    pub(crate) durable: Arc<Durable>,
    pub(crate) stopping: Arc<AtomicBool>,
    pub(crate) work: mpsc::Sender<Work>,
    pub(crate) encode_ended: oneshot::Receiver<Result<(), Error>>,
    pub(crate) publish_ended: oneshot::Receiver<Result<(), Error>>,
    pub(crate) monitor: Monitor,
}

/// Starts a named OS thread; its outcome arrives when it ends.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let (send, receive) = oneshot::channel();
    // What the thread logs names its connector too.
    let span = tracing::Span::current();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _named = span.enter();
            // Nobody listens any more when the process is on its way out.
            let _ = send.send(body());
        })
        .map_err(|error| Error::internal(format!("starting thread {name}: {error}")))?;
    Ok(receive)
}

impl Ring {
    /// Turns until it is asked to stop or cannot go on, and then ends the threads in order.
    pub(crate) async fn turn(mut self, found: Found, begin: Begin) -> Result<(), Error> {
        let mut connection = None;
        let (asked, mut stop) = (OnceLock::new(), self.stop.clone());
        let share = Duration::from_millis(self.config.now().shutdown_ms) * ENCODED / 10;
        let given_up = async {
            retry::asked(&mut stop).await;
            time::sleep_until(*asked.get_or_init(time::Instant::now) + share).await;
        };
        let outcome = tokio::select! {
            biased;
            outcome = self.follow(found, begin, &mut connection) => outcome,
            () = given_up => Err(Error::stopped()),
        };
        // The clock runs from when the stop was asked for, whatever was under way then.
        let asked = *asked.get_or_init(time::Instant::now);
        self.close(outcome, connection, asked).await
    }

    async fn follow(
        &mut self,
        found: Found,
        begin: Begin,
        connection: &mut Option<Connection>,
    ) -> Result<(), Error> {
        let only = self.config.now().snapshot.mode == SnapshotMode::Only;
        match begin {
            Begin::Snapshot(task) => {
                self.status.set_state(State::Snapshotting, None);
                let (reply, done) = oneshot::channel();
                self.give(Work::Snapshot(task, reply))?;
                let outcome = self.await_reply(done).await??;
                if outcome == consistent::Outcome::Complete {
                    self.await_snapshot().await?;
                    if only {
                        return Err(Error::stopped());
                    }
                }
            }
            Begin::Stream => match self.durable.now().snapshot {
                Some(progress) => self.give(Work::Resume(Progress::clone(&progress)))?,
                None if only => {
                    tracing::info!(
                        "the snapshot was taken before: there is nothing to do in snapshot mode \"only\""
                    );
                    return Err(Error::stopped());
                }
                None => {}
            },
        }
        // The session that exported the snapshot is used for nothing else.
        drop(found);
        self.stream(connection).await
    }

    /// Waits for the commit of the snapshot's last checkpoint: until then a crash would begin the snapshot anew.
    async fn await_snapshot(&mut self) -> Result<(), Error> {
        let mut finished = self.durable.snapshot_finished();
        tokio::select! {
            biased;
            outcome = &mut self.publish_ended => {
                Err(ended("publisher", outcome.unwrap_or_else(|_| panicked("publisher"))))
            }
            () = retry::asked(&mut finished) => Ok(()),
            () = retry::asked(&mut self.stop) => Err(Error::stopped()),
        }
    }

    /// Connects, follows, and connects again after each loss.
    async fn stream(&mut self, kept: &mut Option<Connection>) -> Result<(), Error> {
        let mut retry = self.config.now().errors.retry();
        let lines = Lines {
            config: self.config.clone(),
            status: self.status.clone(),
            stamp: self.stamp.clone(),
            durable: self.durable.clone(),
            stop: self.stop.clone(),
        };
        let (mut ours, mut next) = (None, Next::default());
        loop {
            let from = self.durable.held();
            let connected = match next.take() {
                Some(ready) => Ok(ready),
                None => lines.connect(ours, None).await,
            };
            let lost = match connected {
                Ok((connection, source)) => {
                    ours = Some(connection.backend_pid);
                    self.status.ledger.stream_begins(connection.from);
                    self.status.set_peer(Peer::PostgreSql, Ok(()));
                    self.status.set_state(State::Streaming, None);
                    self.monitor.watch_stream(Some(connection.handle.clone()));
                    let (reply, done) = oneshot::channel();
                    self.give(Work::Stream(source, reply))?;
                    let handle = connection.handle.clone();
                    *kept = Some(connection);
                    let end = tokio::select! {
                        biased;
                        end = self.await_reply(done) => end?,
                        never = lines.keep(handle.clone(), &mut ours, &mut next) => match never {},
                    };
                    self.monitor.watch_stream(None);
                    match end {
                        StreamEnd::Encoder(error, _) if error.is_away() => {
                            *kept = None;
                            handle.stop().await;
                            next.close().await;
                            error
                        }
                        StreamEnd::Encoder(error, stream) => {
                            if let Some(kept) = kept {
                                kept.unread = Some(stream);
                            }
                            // Where the first was lost, its successor confirms.
                            if let Some(successor) = next.unread() {
                                *kept = Some(successor);
                            }
                            return Err(error);
                        }
                        StreamEnd::Behind => {
                            *kept = None;
                            handle.stop().await;
                            // What was opened meanwhile does not begin early enough.
                            next.close().await;
                            continue;
                        }
                        StreamEnd::Lost(outcome) => {
                            *kept = None;
                            handle.stop().await;
                            if next.is_open() {
                                continue;
                            }
                            match outcome {
                                Ok(()) => server_ended(),
                                Err(error) if error.may_pass() => error.into(),
                                Err(error) => return Err(error.into()),
                            }
                        }
                    }
                }
                Err(Attempt::Passing(error)) => error,
                Err(Attempt::Final(error)) => return Err(error),
            };
            if self.durable.held() != from {
                retry.reset();
            }
            let why = (lost.labels().kind, lost.to_string());
            self.status.set_peer(Peer::PostgreSql, Err(why));
            self.wait(&mut retry, lost).await?;
        }
    }

    /// The pause before the next try, or the end of all tries.
    async fn wait(&mut self, retry: &mut Retry, lost: Error) -> Result<(), Error> {
        self.status.count_retries("session", 1);
        let Some(pause) = retry.failed(lost.is_outage()) else {
            return Err(lost.after_tries(retry.tries()));
        };
        self.status.set_state(State::Retrying, None);
        let connect = &self.config.now().source.connect;
        retry::pause(
            pause,
            Some((connect.host.clone(), connect.port)),
            &mut self.stop,
        )
        .await;
        if *self.stop.borrow() {
            return Err(Error::stopped());
        }
        match self.publish_ended.try_recv() {
            Ok(outcome) => Err(ended("publisher", outcome)),
            Err(_) => Ok(()),
        }
    }

    fn give(&mut self, work: Work) -> Result<(), Error> {
        // The encode thread ends before its time only with the publisher, whose reason is awaited next.
        self.work.send(work).or(Ok(()))
    }

    /// Waits for the encode thread's reply, the publisher's end, or the stop, whichever is first.
    async fn await_reply<T>(&mut self, mut done: oneshot::Receiver<T>) -> Result<T, Error> {
        let only = self.config.now().snapshot.mode == SnapshotMode::Only;
        let mut taken = self.durable.snapshot_finished();
        loop {
            tokio::select! {
                biased;
                outcome = &mut self.publish_ended => {
                    return Err(ended("publisher", outcome.unwrap_or_else(|_| panicked("publisher"))));
                }
                reply = &mut done => {
                    return match reply {
                        Ok(reply) => Ok(reply),
                        Err(_) => Err(ended("encoder", (&mut self.encode_ended).await
                            .unwrap_or_else(|_| panicked("encoder")))),
                    };
                }
                () = retry::asked(&mut self.stop), if !*self.halt.borrow() => {
                    // The encoder ends at the next transaction boundary and replies.
                    self.halt.send_replace(true);
                }
                () = retry::asked(&mut taken), if only && !*self.halt.borrow() => {
                    self.halt.send_replace(true);
                }
            }
        }
    }

    /// Ends the threads in order: encoder, publisher, session.
    async fn close(
        self,
        outcome: Result<(), Error>,
        connection: Option<Connection>,
        asked: time::Instant,
    ) -> Result<(), Error> {
        self.halt.send_replace(true);
        self.monitor.stop();
        drop(self.work);
        let kafka_away = self.status.is_away(Peer::Kafka);
        let shares = Shares::of(asked, self.config.now().shutdown_ms, kafka_away);
        let mut outcome = outcome;
        if !self.encode_ended.is_terminated() {
            let _ = time::timeout_at(shares.encoded, self.encode_ended).await;
        }
        if !self.publish_ended.is_terminated() {
            let mut publish_ended = self.publish_ended;
            let mut ended = time::timeout_at(shares.committed, &mut publish_ended).await;
            if ended.is_err() {
                self.stopping.store(true, Ordering::Relaxed);
                ended = time::timeout_at(shares.given_up, &mut publish_ended).await;
            }
            outcome = match (outcome, ended) {
                // The publisher's reason explains the encoder's end, not the other way round.
                (Err(error), Ok(Ok(Err(reason)))) if error.is_stopped() => Err(reason),
                (Err(error), Err(_)) if error.is_stopped() => Err(Error::failed(
                    Code::KafkaUnreachable,
                    format!(
                        "the open batch could not be committed within shutdown_ms = {}: it is sent again at the next start",
                        self.config.now().shutdown_ms
                    ),
                )),
                (outcome, _) => outcome,
            };
        }
        if let Some(connection) = connection {
            let _ = time::timeout_at(shares.confirmed, connection.handle.stop()).await;
        }
        tracing::info!(lsn = %self.durable.held().position, "the ring has ended");
        outcome
    }
}

/// Tenths of `shutdown_ms` after which what is not encoded yet is left to the next start.
const ENCODED: u32 = 3;

/// Until when each step of an orderly end may take; the rest of `shutdown_ms` is the process's own.
struct Shares {
    encoded: time::Instant,
    committed: time::Instant,
    given_up: time::Instant,
    confirmed: time::Instant,
}

impl Shares {
    /// A cluster that is away is not waited for as long as one that is slow.
    fn of(asked: time::Instant, shutdown_ms: u64, kafka_away: bool) -> Shares {
        let budget = Duration::from_millis(shutdown_ms);
        let committed = if kafka_away { ENCODED } else { 5 };
        Shares {
            encoded: asked + budget * ENCODED / 10,
            committed: asked + budget * committed / 10,
            given_up: asked + budget * if kafka_away { 6 } else { 8 } / 10,
            confirmed: asked + budget * 9 / 10,
        }
    }
}

fn server_ended() -> Error {
    Error::away(
        Error::failed(Code::SourceLost, "the server ended the stream")
            .labelled("postgresql", "connection"),
    )
}

fn ended(thread: &str, outcome: Result<(), Error>) -> Error {
    outcome
        .err()
        .unwrap_or_else(|| Error::internal(format!("the {thread} ended before its time")))
}

fn panicked(thread: &str) -> Result<(), Error> {
    Err(Error::internal(format!(
        "the {thread} thread panicked: this is a defect, see the log"
    )))
}
