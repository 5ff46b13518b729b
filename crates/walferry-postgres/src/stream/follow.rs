//! The loop of the session thread: read in bursts, hand on whole frames, keep the server told.
//!
//! Owns [`Follower`]. Never: two tasks on one socket; reading and feedback are one task's, so neither waits for the other.
//! Invariants: feedback goes out every `feedback_ms` whether or not the sink takes blocks; after a block that says that
//! more follows, another one comes, if need be an empty one that says that the flow has paused.
//! Start reading at [`Follower::follow`].
//!
//! PostgreSQL sends message by message. A reader that waits on the socket is woken by each of them, at the walsender's
//! expense; one that lets a burst gather and then takes all there is spares the primary that work.
//! For how long, is `gather`'s.
//!
//! ```text
//!            ┌────────── a read >= 4 KiB, or many in a row ─────────┐
//!   idle: wait on the socket                          flow: pause, take what is there
//!            └──────────────── a burst of nothing ──────────────────┘
//! ```

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use postgres_protocol::message::frontend;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task, time,
};
use walferry_event::Lsn;
use walferry_pgoutput::Shorten;

use super::{
    busy::Busy,
    event::{Block, StreamEvent},
    flow::{FLOW_BYTES, Flow},
    gather::Gather,
    incoming::Incoming,
    limits::StreamLimits,
    shown::Shown,
};
use crate::{
    Error, Feedback,
    feedback::status_update,
    kind::Kind,
    server_error::ServerError,
    session::{Session, unexpected},
};

/// The doubling of `silent_ms` ends here.
const SILENCE_DOUBLINGS_MAX: u32 = 6;
/// How long to look for the server's reason after it has closed the connection.
const REASON_MAX: Duration = Duration::from_millis(200);

/// What ended a wait.
enum Woken {
    Read(io::Result<usize>),
    Permit(OwnedSemaphorePermit),
    /// Something may be due: feedback, a probe, the stop.
    Due,
}

/// One stream from its first byte to its last.
pub(super) struct Follower {
    doing: String,
    input: Incoming,
    limits: StreamLimits,
    feedback: Arc<Feedback>,
    shown: Arc<Shown>,
    taker: Taker,
    flow: Flow,
    gather: Gather,
    /// Whether the last block said that more follows.
    announced: bool,
    /// When the last byte came, or since when the sink takes blocks again.
    heard: Instant,
    told: Told,
    busy: Busy,
}

/// Who takes the blocks, and says when there are enough.
pub(super) struct Taker {
    pub(super) events: mpsc::UnboundedSender<StreamEvent>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Taker {
    fn has_enough(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err() || self.events.is_closed()
    }
}

/// When feedback was last sent, and what it confirmed.
struct Told {
    at: Instant,
    flushed: Option<Lsn>,
}

impl Follower {
    pub(super) fn new(
        session: Session,
        slot: &str,
        busy: Busy,
        limits: StreamLimits,
        feedback: Arc<Feedback>,
        shown: Arc<Shown>,
        taker: Taker,
    ) -> Follower {
        let now = Instant::now();
        shown.hear(now);
        let gather = Gather::on(&session.socket);
        let input = Incoming::new(session, shown.room_bytes as usize);
        Follower {
            doing: format!("streaming slot {slot:?}"),
            input,
            limits,
            feedback,
            shown,
            taker,
            flow: Flow::new(now),
            gather,
            announced: false,
            heard: now,
            told: Told {
                at: now,
                flushed: None,
            },
            busy,
        }
    }

    /// Follows the stream until it is asked to stop (`Ok`) or cannot go on.
    pub(super) async fn follow(mut self) -> Result<(), Error> {
        // What came with the answer to START_REPLICATION is in the buffer already.
        let mut more = !self.input.buffer.is_empty();
        loop {
            self.hand_on(more).await?;
            self.tell_if_due().await?;
            if self.taker.has_enough() {
                return self.end().await;
            }
            more = if self.flow.is_on {
                let gained = self.burst().await?;
                self.flow.is_on = gained > 0;
                gained >= FLOW_BYTES
            } else {
                self.wait_for_bytes().await?;
                // The burst that follows a first big read decides what is said of it.
                self.flow.is_on
            };
        }
    }

    /// Waits for one read, or until something else is due.
    async fn wait_for_bytes(&mut self) -> Result<(), Error> {
        self.input.make_room();
        let Woken::Read(read) = self.wait(None).await else {
            return Ok(());
        };
        let count = self.take(read).await?;
        self.flow.read(count, self.heard);
        Ok(())
    }

    /// Lets a burst gather, then takes what is there, up to a block. Returns how many bytes came.
    async fn burst(&mut self) -> Result<usize, Error> {
        // This thread has nothing else to do, and feedback has milliseconds to spare.
        std::thread::sleep(self.gather.pause());
        // The reactor learns what has arrived.
        task::yield_now().await;
        let mut gained = 0;
        while self.input.buffer.len() < self.input.block_bytes || self.input.frame_is_open() {
            self.input.make_room();
            let mut room = (&mut self.input.buffer).limit(self.input.read_bytes);
            let Some(read) = self.input.socket.read_buf(&mut room).now_or_never() else {
                if !self.gather.reads_on(&self.input.socket) {
                    break;
                }
                task::yield_now().await;
                continue;
            };
            gained += self.take(read).await?;
            if gained >= self.input.block_bytes {
                break;
            }
        }
        self.gather.learn(gained, &self.input.socket);
        Ok(gained)
    }

    /// Takes note of a read.
    async fn take(&mut self, read: io::Result<usize>) -> Result<usize, Error> {
        match read {
            Ok(0) => Err(self.lost(io::ErrorKind::UnexpectedEof.into()).await),
            Ok(count) => {
                self.heard = Instant::now();
                self.busy.now = false;
                self.shown.hear(self.heard);
                Ok(count)
            }
            Err(error) => Err(self.lost(error).await),
        }
    }

    /// Hands on the whole frames of the buffer, and deals with what is no frame.
    async fn hand_on(&mut self, more: bool) -> Result<(), Error> {
        loop {
            let max = self.limits.frame_bytes_max;
            self.input.scan.walk(&self.doing, &self.input.buffer, max)?;
            if let Some(lsn) = self.input.scan.reached {
                self.feedback.advance(lsn);
            }
            if self.input.scan.whole > 0 || (self.announced && !more) {
                let bytes = self.input.buffer.split_to(self.input.scan.whole).freeze();
                self.input.scan.cut();
                if !self.send(bytes, more).await? {
                    // The stop is seen by the caller.
                    return Ok(());
                }
            }
            if let Some(len) = self.input.scan.long {
                if !self.pass_over(len).await? {
                    return Ok(());
                }
                continue;
            }
            let (Some(tag), Some(len)) = (self.input.scan.other, self.input.scan.next) else {
                return Ok(());
            };
            let mut message = self.input.buffer.split_to(len).freeze();
            self.input.scan.passed();
            message.advance(size_of::<u8>() + size_of::<u32>());
            self.other(tag, message)?;
        }
    }

    /// Reads a frame of so many bytes that is too long to be kept, and hands on what is left without its long values; `false`
    /// when it was asked to stop first.
    async fn pass_over(&mut self, len: usize) -> Result<bool, Error> {
        self.input.scan.long = None;
        self.input
            .buffer
            .advance(size_of::<u8>() + size_of::<u32>());
        self.input.passing = len - size_of::<u8>() - size_of::<u32>();
        let mut shorten = Shorten::default();
        loop {
            let here = self.input.passing.min(self.input.buffer.len());
            let malformed =
                |error| Error::protocol(format!("{}: {error}", self.doing)).because(error);
            shorten
                .take(&self.input.buffer[..here])
                .map_err(malformed)?;
            self.input.buffer.advance(here);
            self.input.passing -= here;
            if self.input.passing == 0 {
                break;
            }
            self.tell_if_due().await?;
            if self.taker.has_enough() {
                return Ok(false);
            }
            self.input.make_room();
            if let Woken::Read(read) = self.wait(None).await {
                self.take(read).await?;
            }
        }
        let malformed = |error| Error::protocol(format!("{}: {error}", self.doing)).because(error);
        let frame = shorten.frame().map_err(malformed)?;
        // What follows is seen with the next walk.
        self.send(frame.into(), true).await
    }

    /// Sends a block when the sink has room for it; `false` when it was asked to stop first.
    async fn send(&mut self, bytes: Bytes, mut more: bool) -> Result<bool, Error> {
        let (mut permit, received) = (None, self.heard);
        let mut held_back = Duration::ZERO;
        if !bytes.is_empty() {
            // A message longer than all the room there is goes alone.
            let wanted = u32::try_from(bytes.len())
                .unwrap_or(u32::MAX)
                .min(self.shown.room_bytes);
            permit = self.shown.room.clone().try_acquire_many_owned(wanted).ok();
            if permit.is_none() {
                let full = Instant::now();
                permit = self.wait_for_sink(wanted).await?;
                held_back = full.elapsed();
                if permit.is_none() {
                    return Ok(false);
                }
                // Much may have gathered meanwhile: the next burst tells.
                (self.flow.is_on, more) = (true, true);
            }
        }
        self.announced = more;
        let block = Block {
            bytes,
            more_follows: more,
            received,
            held_back,
            _permit: permit,
        };
        // A receiver that is gone counts as a stop.
        Ok(self.taker.events.send(StreamEvent::Block(block)).is_ok())
    }

    /// Waits until the sink has room; the server is kept told. `None` when it was asked to stop first.
    async fn wait_for_sink(&mut self, wanted: u32) -> Result<Option<OwnedSemaphorePermit>, Error> {
        self.shown.deaf.store(true, Relaxed);
        let permit = loop {
            if let Woken::Permit(permit) = self.wait(Some(wanted)).await {
                break Some(permit);
            }
            // Nobody listened, so nobody was silent. That the peer has gone is seen all the same.
            self.heard = Instant::now();
            if self.input.socket.is_closed() {
                return Err(self.lost(io::ErrorKind::UnexpectedEof.into()).await);
            }
            self.tell_if_due().await?;
            if self.taker.has_enough() {
                break None;
            }
        };
        self.heard = Instant::now();
        self.shown.hear(self.heard);
        self.shown.deaf.store(false, Relaxed);
        Ok(permit)
    }

    /// Waits for room in the sink or else for bytes, but not beyond what is due.
    async fn wait(&mut self, wanted: Option<u32>) -> Woken {
        let due = time::Instant::from_std(self.due_at());
        let unconfirmed = self.unconfirmed();
        let mut room = (&mut self.input.buffer).limit(self.input.read_bytes);
        tokio::select! {
            biased;
            _ = self.taker.stop.changed() => Woken::Due,
            () = self.taker.events.closed() => Woken::Due,
            // Once something is to be confirmed, the time to do so is in `due`.
            () = self.feedback.changed(), if !unconfirmed => Woken::Due,
            permit = self.shown.room.clone().acquire_many_owned(wanted.unwrap_or(0)), if wanted.is_some() => {
                permit.map_or(Woken::Due, Woken::Permit)
            }
            read = self.input.socket.read_buf(&mut room), if wanted.is_none() => Woken::Read(read),
            () = time::sleep_until(due) => Woken::Due,
        }
    }

    /// Whether there is a flush that the server has not been told of.
    fn unconfirmed(&self) -> bool {
        Some(self.feedback.flushed()) > self.told.flushed
    }

    /// When feedback is due, or the peer's silence is too long.
    fn due_at(&self) -> Instant {
        let since_told = if self.unconfirmed() {
            self.limits.confirm_ms.min(self.limits.feedback_ms)
        } else {
            self.limits.feedback_ms
        };
        let feedback = self.told.at + Duration::from_millis(since_told);
        feedback.min(self.heard + self.silent_max())
    }

    fn silent_max(&self) -> Duration {
        if self.busy.now {
            return Duration::from_millis(self.limits.silent_ms / 2);
        }
        let doublings = self.feedback.silences().min(SILENCE_DOUBLINGS_MAX);
        Duration::from_millis(self.limits.silent_ms) * (1 << doublings)
    }

    /// Sends feedback when it is due or was asked for; an error when the peer has been silent for too long.
    async fn tell_if_due(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let quiet = now.duration_since(self.heard);
        if quiet >= self.silent_max() {
            if self.busy.ask(&self.doing).await {
                self.heard = Instant::now();
                self.shown.hear(self.heard);
                return Ok(());
            }
            self.feedback.count_silence();
            return Err(Error::new(
                Kind::Silent,
                format!(
                    "{}: nothing came for {} ms, though feedback asked for an answer; the network or the server's \
                     process hangs, or it is busy with a transaction that nothing is sent of",
                    self.doing,
                    quiet.as_millis()
                ),
            ));
        }
        if now >= self.due_at() || self.input.scan.reply_requested {
            let probing = quiet >= Duration::from_millis(self.limits.probe_ms);
            self.tell(probing).await?;
        }
        Ok(())
    }

    /// Sends feedback.
    async fn tell(&mut self, reply: bool) -> Result<(), Error> {
        let flushed = self.feedback.flushed();
        let update = status_update(self.feedback.received(), flushed, reply);
        self.write(&update).await?;
        self.input.scan.reply_requested = false;
        self.told = Told {
            at: Instant::now(),
            flushed: Some(flushed),
        };
        self.feedback.set_confirmed(flushed);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let writing = async {
            self.input.socket.write_all(bytes).await?;
            self.input.socket.flush().await
        };
        match time::timeout(Duration::from_millis(self.limits.silent_ms), writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(error).await),
            Err(_) => {
                self.feedback.count_silence();
                let doing = format!("{}: sending feedback", self.doing);
                Err(Error::late(&doing, self.limits.silent_ms).of_kind(Kind::Silent))
            }
        }
    }

    /// What the server says between the frames.
    fn other(&mut self, tag: u8, payload: Bytes) -> Result<(), Error> {
        match tag {
            b'E' => Err(Error::server(&self.doing, ServerError::parse(payload))),
            b'N' | b'S' | b'A' => Ok(()),
            // A server that shuts down completes the command, with or without CopyDone.
            b'c' | b'C' => Err(Error::new(
                Kind::Lost,
                format!(
                    "{}: the server ended the stream; it is shutting down",
                    self.doing
                ),
            )),
            _ => Err(unexpected(
                &self.doing,
                &format!("message {:?}", char::from(tag)),
            )),
        }
    }

    /// The connection broke. The server's last word, if it can still be read, says why.
    async fn lost(&mut self, error: io::Error) -> Error {
        let last_word = self
            .input
            .last_word(&self.doing, self.limits.frame_bytes_max);
        match time::timeout(REASON_MAX, last_word).await {
            Ok(Some(reason)) => Error::server(&self.doing, reason),
            _ => Error::lost(&self.doing, error),
        }
    }

    /// The orderly end: last feedback, CopyDone, the server's completion, good-bye.
    async fn end(&mut self) -> Result<(), Error> {
        self.shown.deaf.store(true, Relaxed);
        self.tell(false).await?;
        let mut done = BytesMut::new();
        frontend::copy_done(&mut done);
        self.write(&done).await?;
        let limit = Duration::from_millis(self.limits.stop_ms);
        // Inside a large transaction the server may take long. What it has still to say is not needed.
        let _ = time::timeout(
            limit,
            self.input.drain(&self.doing, self.limits.frame_bytes_max),
        )
        .await;
        let mut terminate = BytesMut::new();
        frontend::terminate(&mut terminate);
        let _ = time::timeout(limit, self.input.socket.write_all(&terminate)).await;
        let _ = time::timeout(limit, self.input.socket.shutdown()).await;
        Ok(())
    }
}
