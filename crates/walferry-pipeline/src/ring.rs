//! The turning ring: snapshot, stream, reconnect after each loss, and the orderly end.
//!
//! Owns the life of the stream's connections and the order in which the threads end. Each reconnect is decided by the
//! same recovery table as a start, with the durable position as the checkpoint.
//! Invariant: at an orderly end the encoder ends first, then the publisher commits, then the last feedback confirms.
//! Start reading at [`Ring::turn`].

mod claim;
mod encode_thread;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc as events, oneshot, watch},
    time,
};
use walferry_event::Position;
use walferry_postgres::{
    Catalog, Feedback, Replication, StreamEvent, StreamHandle, StreamLimits, StreamOptions,
};

use crate::{
    config::{Config, SnapshotMode},
    connector::Found,
    course::Held,
    error::{Error, Passing},
    monitor::Monitor,
    recovery::{self, Decision},
    retry::{self, Retry},
    snapshot, source,
    stamp::Stamp,
    status::{Peer, State, Status},
};

use claim::Claim;
pub(crate) use encode_thread::{Source, StreamEnd, Work, encode};

/// Where the ring begins.
pub(crate) enum Begin {
    /// With a snapshot, then the stream from this position.
    Snapshot(Box<snapshot::Task>, Position),
    /// With the stream, and what is left of snapshots beside it.
    Stream(Held, Option<snapshot::Progress>),
}

impl Begin {
    pub(crate) fn held(&self) -> Held {
        match self {
            Begin::Snapshot(_, position) => Held::at(*position),
            Begin::Stream(held, _) => held.clone(),
        }
    }

    /// The snapshots that are under way.
    pub(crate) fn progress(&self) -> Option<snapshot::Progress> {
        match self {
            Begin::Snapshot(task, _) => Some(task.progress.clone()),
            Begin::Stream(_, progress) => progress.clone(),
        }
    }
}

/// The running ring.
pub(crate) struct Ring {
    pub(crate) config: Arc<Config>,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) halt: watch::Sender<bool>,
    pub(crate) stamp: Arc<Stamp>,
    pub(crate) feedback: Arc<Feedback>,
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
        .map_err(|error| Error::failed(format!("starting thread {name}: {error}")))?;
    Ok(receive)
}

impl Ring {
    /// Turns until it is asked to stop or cannot go on, and then ends the threads in order.
    pub(crate) async fn turn(mut self, found: Found, begin: Begin) -> Result<(), Error> {
        let mut connection = None;
        let outcome = self.follow(found, begin, &mut connection).await;
        self.close(outcome, connection).await
    }

    async fn follow(
        &mut self,
        found: Found,
        begin: Begin,
        connection: &mut Option<Connection>,
    ) -> Result<(), Error> {
        let only = self.config.snapshot.mode == SnapshotMode::Only;
        match begin {
            Begin::Snapshot(task, _) => {
                self.status.set_state(State::Snapshotting, None);
                let (reply, done) = oneshot::channel();
                self.give(Work::Snapshot(task, reply))?;
                let outcome = self.await_reply(done).await??;
                if outcome == snapshot::Outcome::Complete {
                    self.await_snapshot().await?;
                    if only {
                        return Err(Error::stopped());
                    }
                }
            }
            Begin::Stream(_, Some(progress)) => self.give(Work::Resume(progress))?,
            Begin::Stream(_, None) if only => {
                tracing::info!(
                    "the snapshot was taken before: there is nothing to do in snapshot mode \"only\""
                );
                return Err(Error::stopped());
            }
            Begin::Stream(_, None) => {}
        }
        // The session that exported the snapshot is used for nothing else.
        drop(found);
        self.stream(connection).await
    }

    /// Waits for the commit of the snapshot's last checkpoint: until then a crash would begin the snapshot anew.
    async fn await_snapshot(&mut self) -> Result<(), Error> {
        let mut finished = self.stamp.snapshot_finished();
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
        let mut retry = Retry::new(&self.config.errors);
        let mut ours = None;
        loop {
            let from = self.stamp.durable();
            let lost = match self.connect(ours).await {
                Ok((connection, source)) => {
                    ours = Some(connection.backend_pid);
                    self.status.set_peer(Peer::PostgreSql, Ok(()));
                    self.status.set_state(State::Streaming, None);
                    self.monitor.watch_stream(Some(connection.handle.clone()));
                    let (reply, done) = oneshot::channel();
                    self.give(Work::Stream(source, reply))?;
                    let handle = connection.handle.clone();
                    *kept = Some(connection);
                    let end = self.await_reply(done).await?;
                    self.monitor.watch_stream(None);
                    match end {
                        StreamEnd::Encoder(error, _) if error.is_away() => {
                            *kept = None;
                            handle.stop().await;
                            error
                        }
                        StreamEnd::Encoder(error, stream) => {
                            if let Some(kept) = kept {
                                kept.unread = Some(stream);
                            }
                            return Err(error);
                        }
                        StreamEnd::Behind => {
                            *kept = None;
                            handle.stop().await;
                            continue;
                        }
                        StreamEnd::Lost(outcome) => {
                            *kept = None;
                            handle.stop().await;
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
            if self.stamp.durable() != from {
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
        let connect = &self.config.source.connect;
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

    /// One attempt to start the stream at the durable position.
    async fn connect(&self, ours: Option<i32>) -> Result<(Connection, Source), Attempt> {
        let source = &self.config.source;
        let (catalog, mut replication, identity) = retry::hedged(async || {
            let catalog = Catalog::connect(&source.connect).await?;
            let mut replication = Replication::connect(&source.connect).await?;
            replication.expect_primary().await?;
            let identity = replication.identify().await?;
            Ok::<_, walferry_postgres::Error>((catalog, replication, identity))
        })
        .await?;
        let server = source::server(&mut replication, &identity).await?;
        self.same_timeline(&server)?;
        let others = self.may_go_on(&catalog, server).await?;
        source::free_slot(&self.config, &catalog, ours, others, &self.stop).await?;
        let options = StreamOptions {
            origin_none: source.origin_none,
            messages: true,
        };
        let backend_pid = replication.backend_pid();
        // What waits is left out: the server need not send again what nobody would take.
        let released = self.status.parking.released();
        let from = self
            .stamp
            .durable()
            .needed_by(|table| released.iter().any(|it| it == table));
        let stream = replication
            .start(&source.slot, &source.publication, from, options)
            .await?;
        let limits = StreamLimits {
            wire_bytes_max: self.config.publish.wire_bytes_max(),
            frame_bytes_max: source.connect.message_bytes_max,
            ..StreamLimits::default()
        };
        let stream = stream.asking_at(source.connect.clone());
        let (handle, events) = walferry_postgres::spawn(stream, limits, self.feedback.clone());
        self.status.ledger.stream_begins(from);
        tracing::info!(lsn = %from, backend_pid, "streaming");
        let connection = Connection {
            handle: Arc::new(handle),
            backend_pid,
            unread: None,
        };
        Ok((connection, Source { events, released }))
    }

    /// On a new timeline, what has been read beyond the checkpoint may never have been: all of that is given up, and a
    /// new start decides on the checkpoint that is in Kafka then.
    fn same_timeline(&self, server: &recovery::Server) -> Result<(), Error> {
        let before = self.stamp.timeline();
        if server.timeline == before {
            return Ok(());
        }
        Err(Error::diverged(format!(
            "the server is on timeline {}, what was read so far is of timeline {before}",
            server.timeline
        )))
    }

    /// Whether the stream may go on where the topics end; and if it is not known whether the connector is still ours, why.
    async fn may_go_on(
        &self,
        catalog: &Catalog,
        server: recovery::Server,
    ) -> Result<Result<(), String>, Attempt> {
        let claim = claim::ask(&self.config, self.stamp.instance(), &self.stop).await?;
        let slot = source::slot(&self.config, catalog).await?;
        let checkpoint = recovery::Checkpoint::Position(self.stamp.written());
        let evidence = source::evidence(&self.config, slot, checkpoint, server);
        let (row, decision) = recovery::decide(&evidence);
        match (decision, claim) {
            (Decision::Resume(_), Claim::Ours) => Ok(Ok(())),
            (Decision::Resume(_), Claim::Unknown(why)) => Ok(Err(why)),
            // A newer instance may be what has moved the slot on.
            (Decision::Refuse(reason), Claim::Unknown(why)) => {
                let why = Error::failed(format!("{why}; and {reason}"));
                let why = Error::away(why.labelled("kafka", "connection"));
                Err(Attempt::Passing(why))
            }
            (Decision::Refuse(reason), Claim::Ours) => Err(Attempt::Final(Error::refused(reason))),
            (other, _) => Err(Attempt::Final(Error::refused(format!(
                "{row}: {other:?} while the ring is turning"
            )))),
        }
    }

    fn give(&mut self, work: Work) -> Result<(), Error> {
        // The encode thread ends before its time only with the publisher, whose reason is awaited next.
        self.work.send(work).or(Ok(()))
    }

    /// Waits for the encode thread's reply, the publisher's end, or the stop, whichever is first.
    async fn await_reply<T>(&mut self, mut done: oneshot::Receiver<T>) -> Result<T, Error> {
        let only = self.config.snapshot.mode == SnapshotMode::Only;
        let mut taken = self.stamp.snapshot_finished();
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
    ) -> Result<(), Error> {
        self.halt.send_replace(true);
        self.monitor.stop();
        drop(self.work);
        let kafka_away = self.status.is_away(Peer::Kafka);
        let shares = Shares::of(self.config.shutdown_ms, kafka_away);
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
                (Err(error), Err(_)) if error.is_stopped() => Err(Error::failed(format!(
                    "the open batch could not be committed within shutdown_ms = {}: it is sent again at the next start",
                    self.config.shutdown_ms
                ))),
                (outcome, _) => outcome,
            };
        }
        if let Some(connection) = connection {
            let _ = time::timeout_at(shares.confirmed, connection.handle.stop()).await;
        }
        tracing::info!(lsn = %self.stamp.durable().position, "the ring has ended");
        outcome
    }
}

/// Until when each step of an orderly end may take; the rest of `shutdown_ms` is the process's own.
struct Shares {
    encoded: time::Instant,
    committed: time::Instant,
    given_up: time::Instant,
    confirmed: time::Instant,
}

impl Shares {
    /// A cluster that is away is not waited for as long as one that is slow.
    fn of(shutdown_ms: u64, kafka_away: bool) -> Shares {
        let (now, budget) = (time::Instant::now(), Duration::from_millis(shutdown_ms));
        Shares {
            encoded: now + budget * 3 / 10,
            committed: now + budget * if kafka_away { 3 } else { 5 } / 10,
            given_up: now + budget * if kafka_away { 6 } else { 8 } / 10,
            confirmed: now + budget * 9 / 10,
        }
    }
}

/// A connection that streams.
struct Connection {
    handle: Arc<StreamHandle>,
    backend_pid: i32,
    /// What the encoder left, kept so that the session does not end before its last feedback.
    unread: Option<events::UnboundedReceiver<StreamEvent>>,
}

/// Why an attempt to connect failed.
enum Attempt {
    Passing(Error),
    Final(Error),
}

impl From<walferry_postgres::Error> for Attempt {
    fn from(error: walferry_postgres::Error) -> Attempt {
        // Whoever shuts us out now let us in before: a password that was changed on one side is changed on the other, too.
        if error.is_shut_out() {
            Attempt::Passing(Error::away(error))
        } else if error.may_pass() {
            Attempt::Passing(error.into())
        } else {
            Attempt::Final(error.into())
        }
    }
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Attempt {
        if error.is_away() {
            Attempt::Passing(error)
        } else {
            Attempt::Final(error)
        }
    }
}

fn server_ended() -> Error {
    Error::away(Error::failed("the server ended the stream").labelled("postgresql", "connection"))
}

fn ended(thread: &str, outcome: Result<(), Error>) -> Error {
    outcome
        .err()
        .unwrap_or_else(|| Error::failed(format!("the {thread} ended before its time")))
}

fn panicked(thread: &str) -> Result<(), Error> {
    Err(Error::failed(format!(
        "the {thread} thread panicked: this is a defect, see the log"
    )))
}
