//! The slot's stream on a thread of its own: bytes in bursts to the encoder, feedback in time to the server.
//!
//! Owns [`spawn`], what it hands on, and the handle that ends it. Never: looks into a message of the plugin; reconnects.
//! Invariants: bytes in blocks that are not dropped <= `wire_bytes_max`, or one single message that is larger; the last
//! event is always [`StreamEvent::Ended`].
//! Source: PostgreSQL documentation, "Streaming Replication Protocol".
//!
//! Start reading at [`spawn`]; the loop is in `follow`, its pauses in `gather`, the walk over frames in `scan`.

mod busy;
mod event;
mod flow;
mod follow;
mod gather;
mod incoming;
mod limits;
mod scan;
mod shown;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::sync::{mpsc, watch};

use self::{
    busy::Busy,
    follow::{Follower, Taker},
    shown::Shown,
};
pub use self::{
    event::{Block, StreamEvent},
    limits::StreamLimits,
};
use crate::{ConnectConfig, Error, Feedback, kind::Kind, session::Session};

/// A stream that has begun and is not read yet: give it to [`spawn`].
pub struct Stream {
    session: Session,
    slot: String,
    backend_pid: i32,
    asked_at: Option<ConnectConfig>,
}

impl Stream {
    pub(crate) fn new(session: Session, slot: &str, backend_pid: i32) -> Stream {
        Stream {
            session,
            slot: slot.to_owned(),
            backend_pid,
            asked_at: None,
        }
    }

    /// When nothing comes, the server is asked there whether its process is at work. One that decodes a large transaction of
    /// which nothing is published may send nothing for many minutes, and would begin anew on a new connection.
    #[must_use]
    pub fn asking_at(mut self, connect: ConnectConfig) -> Stream {
        self.asked_at = Some(connect);
        self
    }
}

/// A running stream. Dropping it stops the stream, too, without waiting.
#[derive(Debug)]
pub struct StreamHandle {
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    shown: Arc<Shown>,
}

impl StreamHandle {
    /// Asks the stream to end in order, and waits until it has: last feedback, CopyDone, good-bye. Blocks that are not
    /// handed on yet are forgotten. May be called again.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        // An error means that the thread is gone, which is what is waited for.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Waits until nothing follows any more, for whatever reason.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Milliseconds since the last byte came; below `probe_ms` and a round trip while the peer lives. `None` while the
    /// sink is blocked, because then nothing is read, and after the end.
    pub fn silent_ms(&self) -> Option<u64> {
        if self.shown.deaf.load(Relaxed) {
            return None;
        }
        let now_ms = self.shown.begun.elapsed().as_millis() as u64;
        Some(now_ms.saturating_sub(self.shown.heard_ms.load(Relaxed)))
    }

    /// Bytes in blocks that are handed on and not dropped yet.
    pub fn waiting_bytes(&self) -> u64 {
        let Shown {
            room, room_bytes, ..
        } = &*self.shown;
        u64::from(*room_bytes).saturating_sub(room.available_permits() as u64)
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Follows a stream on a thread of its own.
pub fn spawn(
    stream: Stream,
    limits: StreamLimits,
    feedback: Arc<Feedback>,
) -> (StreamHandle, mpsc::UnboundedReceiver<StreamEvent>) {
    let shown = Shown::new(&limits);
    spawn_in(stream, limits, feedback, shown)
}

/// As [`spawn`], where blocks of a stream before have not been dropped yet: both share that one's room.
pub fn spawn_after(
    before: &StreamHandle,
    stream: Stream,
    limits: StreamLimits,
    feedback: Arc<Feedback>,
) -> (StreamHandle, mpsc::UnboundedReceiver<StreamEvent>) {
    let shown = Shown::with(before.shown.room.clone(), before.shown.room_bytes);
    spawn_in(stream, limits, feedback, shown)
}

fn spawn_in(
    stream: Stream,
    limits: StreamLimits,
    feedback: Arc<Feedback>,
    shown: Shown,
) -> (StreamHandle, mpsc::UnboundedReceiver<StreamEvent>) {
    let (events, receive) = mpsc::unbounded_channel();
    let (stop, stop_asked) = watch::channel(false);
    let (ended_said, ended) = watch::channel(false);
    let shown = Arc::new(shown);
    let handle = StreamHandle {
        stop,
        ended,
        shown: shown.clone(),
    };
    let last = events.clone();
    let body = {
        let shown = shown.clone();
        move || {
            let follow = || run(stream, limits, feedback, shown, events, stop_asked);
            catch_unwind(AssertUnwindSafe(follow))
                .unwrap_or_else(|_| Err(defect("the session thread panicked; see the log")))
        }
    };
    let thread = std::thread::Builder::new().name("walferry-session".to_owned());
    let started = thread.spawn({
        let (last, shown) = (last.clone(), shown.clone());
        let span = tracing::Span::current();
        move || {
            let _named = span.enter();
            let outcome = body();
            shown.deaf.store(true, Relaxed);
            // Nobody listens any more when the process is on its way out.
            let _ = last.send(StreamEvent::Ended(outcome));
            ended_said.send_replace(true);
        }
    });
    if let Err(error) = started {
        shown.deaf.store(true, Relaxed);
        let error = defect(&format!("the session thread cannot be started: {error}"));
        let _ = last.send(StreamEvent::Ended(Err(error)));
    }
    (handle, receive)
}

fn defect(message: &str) -> Error {
    Error::new(Kind::Lost, message)
}

fn run(
    stream: Stream,
    limits: StreamLimits,
    feedback: Arc<Feedback>,
    shown: Arc<Shown>,
    events: mpsc::UnboundedSender<StreamEvent>,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::lost("starting the session thread", error))?;
    runtime.block_on(async {
        let mut session = stream.session;
        session
            .socket
            .rehome()
            .map_err(|error| Error::lost("taking over the connection", error))?;
        let busy = Busy::new(stream.asked_at, stream.backend_pid);
        Follower::new(
            session,
            &stream.slot,
            busy,
            limits,
            feedback,
            shown,
            Taker { events, stop },
        )
        .follow()
        .await
    })
}
