//! The stream's connections: how one is opened, and its successor when it is lost while the encoder waits for another server.
//!
//! Owns `Lines`, which opens them, and `Next`, the one that is opened ahead. Never reads what they carry. Invariants: a slot is
//! followed wherever PostgreSQL answers, whoever else is away; the blocks of two connections share one room.
//! Start reading at `Lines::keep`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc as events, watch},
    time,
};
use walferry_event::{Code, Lsn};
use walferry_postgres::{
    Catalog, Replication, StreamEvent, StreamHandle, StreamLimits, StreamOptions,
};

use crate::{
    config::InForce,
    connector::{
        ring::{
            claim::{self, Claim},
            encode_thread::Source,
        },
        startup,
    },
    error::{Error, Passing},
    position::{
        checkpoint_writer::CheckpointWriter,
        recovery::{self, Decision},
    },
    publish::durable::Durable,
    retry,
    status::{Status, state::Peer},
};

/// How long the encoder usually takes to hear of a loss: then the ring connects by itself.
const HEARD: Duration = Duration::from_millis(500);

/// What opens connections.
pub(super) struct Lines {
    pub(super) config: InForce,
    pub(super) status: Arc<Status>,
    pub(super) stamp: Arc<CheckpointWriter>,
    pub(super) durable: Arc<Durable>,
    pub(super) stop: watch::Receiver<bool>,
}

/// A connection that was opened before anybody reads it.
#[derive(Default)]
pub(super) struct Next(Option<(Connection, Source)>);

impl Next {
    pub(super) fn take(&mut self) -> Option<(Connection, Source)> {
        self.0.take()
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Ends it, if there is one.
    pub(super) async fn close(&mut self) {
        if let Some((connection, _)) = self.0.take() {
            connection.handle.stop().await;
        }
    }

    /// The connection with what nobody will read, so that it can give its last feedback.
    pub(super) fn unread(&mut self) -> Option<Connection> {
        let (mut connection, source) = self.0.take()?;
        connection.unread = Some(source.events);
        Some(connection)
    }
}

impl Lines {
    /// Opens a successor when a connection ends while the encoder cannot hear of it, because it waits for Kafka or the registry, so
    /// that the slot stays followed; and that one's when it ends, too. What cannot pass, the ring meets by itself.
    pub(super) async fn keep(
        &self,
        first: Arc<StreamHandle>,
        ours: &mut Option<i32>,
        next: &mut Next,
    ) -> Infallible {
        let mut retry = self.config.now().errors.retry();
        let mut last = first.clone();
        loop {
            last.ended().await;
            time::sleep(HEARD).await;
            next.close().await;
            let error = match self.connect(*ours, Some(&first)).await {
                Ok((connection, source)) => {
                    self.status.set_peer(Peer::PostgreSql, Ok(()));
                    retry.reset();
                    (*ours, last) = (Some(connection.backend_pid), connection.handle.clone());
                    next.0 = Some((connection, source));
                    continue;
                }
                Err(Attempt::Passing(error)) => error,
                Err(Attempt::Final(error)) => {
                    tracing::debug!(%error, "the slot is not followed meanwhile");
                    return std::future::pending().await;
                }
            };
            let why = (error.labels().kind, error.to_string());
            self.status.set_peer(Peer::PostgreSql, Err(why));
            self.status.count_retries("session", 1);
            let Some(pause) = retry.failed(error.is_outage()) else {
                return std::future::pending().await;
            };
            let connect = &self.config.now().source.connect;
            retry::wait(pause, Some((connect.host.clone(), connect.port))).await;
        }
    }

    /// One attempt to start the stream at the durable position.
    pub(super) async fn connect(
        &self,
        ours: Option<i32>,
        before: Option<&StreamHandle>,
    ) -> Result<(Connection, Source), Attempt> {
        let config = self.config.now();
        let source = &config.source;
        let (catalog, mut replication, identity) = retry::hedged(async || {
            let catalog = Catalog::connect(&source.connect).await?;
            let mut replication = Replication::connect(&source.connect).await?;
            replication.expect_primary().await?;
            let identity = replication.identify().await?;
            Ok::<_, walferry_postgres::Error>((catalog, replication, identity))
        })
        .await?;
        let server = startup::server(&mut replication, &identity).await?;
        self.same_timeline(&server)?;
        let others = self.may_go_on(&catalog, server).await?;
        startup::free_slot(&config, &catalog, ours, others, &self.stop).await?;
        let options = StreamOptions {
            origin_none: source.origin_none,
            messages: true,
        };
        let backend_pid = replication.backend_pid();
        // What waits is left out: the server need not send again what nobody would take.
        let released = self.status.parking.released();
        let from = self
            .durable
            .held()
            .needed_by(|table| released.iter().any(|it| it == table));
        let stream = replication
            .start(&source.slot, &source.publication, from, options)
            .await?;
        let limits = StreamLimits {
            wire_bytes_max: config.publish.wire_bytes_max(),
            frame_bytes_max: source.connect.message_bytes_max,
            ..StreamLimits::default()
        };
        let stream = stream.asking_at(source.connect.clone());
        let feedback = self.durable.feedback().clone();
        let (handle, events) = match before {
            Some(before) => walferry_postgres::spawn_after(before, stream, limits, feedback),
            None => walferry_postgres::spawn(stream, limits, feedback),
        };
        tracing::info!(lsn = %from, backend_pid, "streaming");
        let connection = Connection {
            handle: Arc::new(handle),
            backend_pid,
            from,
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
        let config = self.config.now();
        let claim = claim::ask(&config, &self.status, self.stamp.instance(), &self.stop).await?;
        let slot = startup::slot(&config, catalog).await?;
        let checkpoint = recovery::Checkpoint::Position(self.stamp.written(&self.durable.held()));
        let evidence = startup::evidence(&config, slot, checkpoint, server);
        let (row, decision) = recovery::decide(&evidence);
        match (decision, claim) {
            (Decision::Resume(_), Claim::Ours) => Ok(Ok(())),
            (Decision::Resume(_), Claim::Unknown(why)) => Ok(Err(why)),
            // A newer instance may be what has moved the slot on.
            (Decision::Refuse(reason), Claim::Unknown(why)) => {
                let why = Error::failed(Code::SlotLost, format!("{why}; and {reason}"));
                let why = Error::away(why.labelled("kafka", "connection"));
                Err(Attempt::Passing(why))
            }
            (Decision::Refuse(reason), Claim::Ours) => Err(Attempt::Final(Error::decided(reason))),
            (other, _) => Err(Attempt::Final(Error::internal(format!(
                "{row}: {other:?} while the ring is turning"
            )))),
        }
    }
}

/// A connection that streams.
pub(super) struct Connection {
    pub(super) handle: Arc<StreamHandle>,
    pub(super) backend_pid: i32,
    /// Where it began.
    pub(super) from: Lsn,
    /// What the encoder left, kept so that the session does not end before its last feedback.
    pub(super) unread: Option<events::UnboundedReceiver<StreamEvent>>,
}

/// Why an attempt to connect failed.
pub(super) enum Attempt {
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
