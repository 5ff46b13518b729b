//! The body of the encode thread: it is given a snapshot or a stream, encodes it, and says how that ended.
//!
//! Owns the order between the stream's events, the stop and the parked tables. Never connects: the ring does.
//! Invariant: at a stop it goes on to the end of the open transaction, but not for longer than a second.
//! Start reading at `encode`.

use std::{sync::mpsc, time::Duration};

use tokio::{
    sync::{mpsc as events, oneshot, watch},
    time,
};
use walferry_postgres::StreamEvent;

use crate::{
    encode::{
        Encoder,
        stage::{STAGE, STUCK},
    },
    error::Error,
    position::snapshot_progress,
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
    Resume(snapshot_progress::Progress),
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

/// The body of the encode thread.
pub(crate) fn encode(
    (mut encoder, mut engine): (Encoder, Engine),
    works: &mpsc::Receiver<Work>,
    mut snapshots: events::UnboundedReceiver<mailbox::Event>,
    status: &Status,
    runtime: &tokio::runtime::Handle,
    halted: &watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut left = None;
    while let Ok(work) = works.recv() {
        match work {
            Work::Snapshot(task, reply) => {
                let alive = || status.pulse(STAGE, STUCK);
                let stopped = || *halted.borrow();
                let taken = consistent::Run::run(&mut encoder, *task, runtime, alive, stopped);
                let _ = reply.send(taken.map(|(progress, outcome)| {
                    left = Some(progress);
                    outcome
                }));
            }
            Work::Resume(progress) => left = Some(progress),
            Work::Stream(mut source, reply) => {
                let resumed = left
                    .take()
                    .map_or(Ok(()), |left| engine.resume(&mut encoder, left));
                let end = resumed.and_then(|()| {
                    encode_stream(
                        (&mut encoder, &mut engine),
                        &mut source,
                        &mut snapshots,
                        status,
                        runtime,
                        halted,
                    )
                });
                let _ = reply.send(match end {
                    Ok(end) => end,
                    Err(error) => StreamEnd::Encoder(error, source.events),
                });
            }
        }
        status.pulse_ends(STAGE);
    }
    let sealed = encoder.hand_over(true, &mut engine);
    status.pulse_ends(STAGE);
    sealed.or_else(|error| match error.is_stopped() {
        true => Ok(()),
        false => Err(error),
    })
}

fn encode_stream(
    (encoder, engine): (&mut Encoder, &mut Engine),
    source: &mut Source,
    snapshots: &mut events::UnboundedReceiver<mailbox::Event>,
    status: &Status,
    runtime: &tokio::runtime::Handle,
    halted: &watch::Receiver<bool>,
) -> Result<StreamEnd, Error> {
    encoder.connection_begins(&source.released);
    engine.begins(encoder)?;
    let stream = &mut source.events;
    let mut news = status.parking.news();
    let mut stop_by = None;
    loop {
        if !encoder.in_transaction() && (encoder.is_behind() || encoder.takes_renewal()) {
            encoder.hand_over(true, engine)?;
            return Ok(StreamEnd::Behind);
        }
        if *halted.borrow() {
            let by = *stop_by.get_or_insert_with(|| time::Instant::now() + STOP_GRACE);
            if !encoder.in_transaction() || time::Instant::now() >= by {
                return Err(Error::stopped());
            }
        }
        if let Ok(event) = snapshots.try_recv() {
            engine.event(encoder, event)?;
        }
        let event = match stream.try_recv() {
            Ok(event) => Some(Input::Stream(event)),
            Err(_) => {
                status.pulse_ends(STAGE);
                runtime.block_on(next(stream, snapshots, halted.clone(), &mut news, stop_by))
            }
        };
        status.pulse(STAGE, STUCK);
        match event {
            Some(Input::Snapshot(event)) => engine.event(encoder, event)?,
            Some(Input::Stream(StreamEvent::Block(block))) => {
                let pause = !block.more_follows && stream.is_empty();
                if let Err(error) = encoder.block(&block.bytes, pause, engine) {
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
