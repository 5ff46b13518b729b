//! The body of the encode thread: it is given a snapshot or a stream, encodes it, and says how that ended.
//!
//! Owns the order between the stream's events, the stop and the parked tables. Never connects: the ring does.
//! Invariant: at a stop it goes on to the end of the open transaction, but not for longer than a second.
//! Start reading at `EncodeThread::run`.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    sync::{mpsc as events, oneshot, watch},
    time,
};
use walferry_postgres::StreamEvent;

use crate::{
    clock::Moment,
    encode::{
        Encoder,
        passage::Arrival,
        stage::{STAGE, STUCK},
    },
    error::Error,
    position::snapshot_progress::Progress,
    retry,
    snapshot::{consistent, engine::Engine, mailbox},
    status::Status,
};

/// What the encode thread is given to do, and where it says how that ended.
pub(crate) enum Work {
    Snapshot(
        Box<consistent::Task>,
        oneshot::Sender<Result<consistent::Outcome, Error>>,
    ),
    Resume(Progress),
    Stream(Source, oneshot::Sender<StreamEnd>),
}

/// A stream, and the parked tables that it begins early enough for.
pub(crate) struct Source {
    pub(super) events: events::UnboundedReceiver<StreamEvent>,
    pub(super) released: Vec<String>,
}

/// How the work on one connection ended.
pub(crate) enum StreamEnd {
    /// The connection was lost, or the server ended it.
    Lost(Result<(), walferry_postgres::Error>),
    /// The stream has to begin anew: a parked table may go on, or the server goes by what is no more.
    Behind,
    /// The encoder cannot go on; the receiver is kept so that the session stays alive for its last feedback.
    Encoder(Error, events::UnboundedReceiver<StreamEvent>),
}

/// How long the encode thread goes on to the end of a transaction when it is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What the encode thread composes, and what it listens to.
pub(crate) struct EncodeThread {
    pub(crate) encoder: Encoder,
    pub(crate) engine: Engine,
    /// What snapshots are told from outside.
    pub(crate) snapshots: events::UnboundedReceiver<mailbox::Event>,
    pub(crate) status: Arc<Status>,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Whether the ring ends.
    pub(crate) halted: watch::Receiver<bool>,
}

impl EncodeThread {
    /// Does one work after the other until there is no more.
    pub(crate) fn run(mut self, works: &mpsc::Receiver<Work>) -> Result<(), Error> {
        let mut left = None;
        while let Ok(work) = works.recv() {
            match work {
                Work::Snapshot(task, reply) => {
                    let taken = self.snapshot(*task);
                    let _ = reply.send(taken.map(|(progress, outcome)| {
                        left = Some(progress);
                        outcome
                    }));
                }
                Work::Resume(progress) => left = Some(progress),
                Work::Stream(mut source, reply) => {
                    let resumed = left
                        .take()
                        .map_or(Ok(()), |left| self.engine.resume(&mut self.encoder, left));
                    let end = resumed.and_then(|()| self.stream(&mut source));
                    let _ = reply.send(match end {
                        Ok(end) => end,
                        Err(error) => StreamEnd::Encoder(error, source.events),
                    });
                }
            }
            self.status.pulse_ends(STAGE);
        }
        let sealed = self.encoder.hand_over(true, &mut self.engine);
        self.status.pulse_ends(STAGE);
        sealed.or_else(|error| match error.is_stopped() {
            true => Ok(()),
            false => Err(error),
        })
    }

    fn snapshot(
        &mut self,
        task: consistent::Task,
    ) -> Result<(Progress, consistent::Outcome), Error> {
        let alive = || self.status.pulse(STAGE, STUCK);
        let stopped = || *self.halted.borrow();
        consistent::Run::run(&mut self.encoder, task, &self.runtime, alive, stopped)
    }

    fn stream(&mut self, source: &mut Source) -> Result<StreamEnd, Error> {
        let (encoder, engine) = (&mut self.encoder, &mut self.engine);
        encoder.connection_begins(&source.released);
        engine.begins(encoder)?;
        let stream = &mut source.events;
        let mut news = self.status.parking.news();
        let mut stop_by = None;
        loop {
            if !encoder.in_transaction() && (encoder.is_behind() || encoder.takes_renewal()) {
                encoder.hand_over(true, engine)?;
                return Ok(StreamEnd::Behind);
            }
            if *self.halted.borrow() {
                let by = *stop_by.get_or_insert_with(|| time::Instant::now() + STOP_GRACE);
                if !encoder.in_transaction() || time::Instant::now() >= by {
                    return Err(Error::stopped());
                }
            }
            if let Ok(event) = self.snapshots.try_recv() {
                engine.event(encoder, event)?;
            }
            let event = match stream.try_recv() {
                Ok(event) => Some(Input::Stream(event)),
                Err(_) => {
                    self.status.pulse_ends(STAGE);
                    let (snapshots, halted) = (&mut self.snapshots, self.halted.clone());
                    self.runtime
                        .block_on(next(stream, snapshots, halted, &mut news, stop_by))
                }
            };
            self.status.pulse(STAGE, STUCK);
            match event {
                Some(Input::Snapshot(event)) => engine.event(encoder, event)?,
                Some(Input::Stream(StreamEvent::Block(block))) => {
                    let pause = !block.more_follows && stream.is_empty();
                    let arrival = Arrival {
                        received: block.received,
                        held_back: block.held_back,
                        taken: Moment::now(),
                    };
                    if let Err(error) = encoder.block(&block.bytes, pause, arrival, engine) {
                        if error.is_away() {
                            // What is encoded is handed over with its mark, so that it is not encoded again.
                            encoder.hand_over(true, engine)?;
                        }
                        return Err(error);
                    }
                    if encoder.holds_up_the_server() {
                        tracing::warn!(
                            "PostgreSQL is shutting down and waits for WAL that parked tables still need; disconnecting so that it can stop"
                        );
                        return Ok(StreamEnd::Lost(Ok(())));
                    }
                }
                Some(Input::Stream(StreamEvent::Ended(outcome))) => {
                    encoder.hand_over(true, engine)?;
                    return Ok(StreamEnd::Lost(outcome));
                }
                None => {}
            }
        }
    }
}

/// What the thread waits for while it streams.
enum Input {
    Stream(StreamEvent),
    Snapshot(mailbox::Event),
}

/// The next event; nothing when it is time to look at the stop or at the parked tables again.
async fn next(
    stream: &mut events::UnboundedReceiver<StreamEvent>,
    snapshots: &mut events::UnboundedReceiver<mailbox::Event>,
    mut halted: watch::Receiver<bool>,
    news: &mut watch::Receiver<u64>,
    stop_by: Option<time::Instant>,
) -> Option<Input> {
    match stop_by {
        Some(by) => {
            let event = time::timeout_at(by, stream.recv()).await;
            event.ok().flatten().map(Input::Stream)
        }
        None => tokio::select! {
            event = stream.recv() => event.map(Input::Stream),
            event = snapshots.recv() => event.map(Input::Snapshot),
            _ = news.changed() => None,
            () = retry::asked(&mut halted) => None,
        },
    }
}
