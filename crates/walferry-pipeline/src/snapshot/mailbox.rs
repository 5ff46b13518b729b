//! What is asked of snapshots from outside the encode thread, and where it is put.
//!
//! Owns `Handle`, which people ask of a connector that runs, and `Event`, which the engine is told. Never: acts on one; the
//! engine does at the next boundary.
//! Start reading at `Handle`.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, oneshot};
use walferry_event::Lsn;
use walferry_postgres::{Contents, TableName};

use crate::{
    config::{Config, InForce},
    error::Error,
    position::{
        published_record::RecordChange, snapshot_id::SnapshotId, snapshot_progress::TableJob,
    },
    snapshot::{
        chunk::{Read, Sessions},
        shape::Described,
        sweep::search::Found,
    },
    status::{Status, known::Known, pause_switch::ANSWER, state::State, strange::Strange},
};

/// What the engine is told from outside the encode thread.
pub(crate) enum Event {
    /// A table was described, for its windows.
    Described(
        usize,
        Result<Option<Box<Described>>, walferry_postgres::Error>,
    ),
    /// A chunk was read, or not.
    Chunk(u64, Result<Read, walferry_postgres::Error>),
    /// What is gone from a table was found, or not; nothing when it has changed meanwhile.
    Searched(u64, Box<Result<Option<Found>, Error>>),
    /// A place at which the topic of a table can be ended was found, or not.
    Place(usize, Result<(String, Lsn), walferry_postgres::Error>),
    /// A table that the server refused to read may be tried again.
    Due(usize),
    /// There is more to give.
    GoOn,
    /// Another configuration is to be put in force.
    Reload(Box<Reload>),
    /// Something else is published of tables: what has to be done about it.
    Follow(Box<Follow>),
    /// The first are in the publication now, the others could not be added to it; and what is published now.
    Published(Vec<String>, Vec<String>, RecordChange),
    /// The stream is to begin anew where it stands.
    Renew,
    /// Somebody asks for a snapshot.
    Start(Request),
    /// A request has been looked at, and may begin.
    Accepted(Request),
    /// Somebody asks for the end of one; the answer says whether there was one.
    Cancel(SnapshotId, oneshot::Sender<bool>),
    /// Somebody asks for one to be held, or to go on; the answer says whether there is one.
    Hold(SnapshotId, bool, oneshot::Sender<bool>),
}

/// What the engine is told.
pub(crate) struct Follow {
    pub(crate) jobs: Vec<TableJob>,
    /// Tables that may not be read before they are in the publication.
    pub(crate) adding: Vec<String>,
    pub(crate) change: RecordChange,
    /// Answered with the serial of the mark that has it all.
    pub(crate) reply: oneshot::Sender<u64>,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The connector does not stream now.
    NotStreaming,
    /// There is no such snapshot under way.
    Unknown,
    /// The request cannot be carried out, for this reason.
    Invalid(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::NotStreaming => {
                "the connector does not stream now; ask again when its state is \"streaming\""
            }
            Refused::Unknown => "no snapshot of that id is under way",
            Refused::Invalid(reason) => reason,
        })
    }
}

impl std::error::Error for Refused {}

/// A snapshot that was asked for.
pub(crate) struct Request {
    pub(crate) id: SnapshotId,
    pub(crate) tables: Vec<String>,
    pub(crate) condition: Option<String>,
    pub(crate) priority: i32,
    /// What rows of tables without a key have to be as old as.
    pub(crate) base: Option<String>,
    /// What the ranges of each table are of.
    pub(crate) contents: Vec<Contents>,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}

impl Request {
    /// Looks at the tables, and hands the request back if all checks pass. What rows without a key are read is
    /// settled before: where it is not durable with the request, a crash would move it.
    pub(crate) fn examine(
        mut self,
        runtime: &tokio::runtime::Handle,
        sessions: &Sessions,
        events: &mpsc::UnboundedSender<Event>,
    ) {
        let (sessions, events) = (sessions.clone(), events.clone());
        runtime.spawn(async move {
            match self.look(&sessions).await {
                Ok((base, contents)) => {
                    (self.base, self.contents) = (base, contents);
                    let _ = events.send(Event::Accepted(self));
                }
                Err(reason) => {
                    let _ = self.reply.send(Err(reason));
                }
            }
        });
    }

    /// The base, when a table has no key, and what is read of each; or why the tables cannot be read.
    async fn look(&self, sessions: &Sessions) -> Result<(Option<String>, Vec<Contents>), String> {
        let mut all = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let found = sessions.describe(table).await.map_err(text)?;
            let Some((oid, published)) = found else {
                return Err(format!(
                    "table {table} does not exist; write it as schema.table"
                ));
            };
            if !published {
                return Err(format!(
                    "table {table} is not in the publication: add it to source.tables and start again"
                ));
            }
            let (relation, _, contents) = sessions.shape(oid).await.map_err(text)?;
            if let Some(condition) = &self.condition {
                let name = TableName {
                    schema: relation.schema,
                    name: relation.name,
                };
                sessions.check(&name, condition).await.map_err(text)?;
            }
            all.push(contents);
        }
        // After the contents: what is rewritten between the two is found out.
        let base = match all.iter().any(Contents::by_place) {
            true => Some(sessions.base().await.map_err(text)?.0),
            false => None,
        };
        Ok((base, all))
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn jobs(&self) -> Vec<TableJob> {
        let job = |(table, contents): (&String, &Contents)| {
            let mut job = TableJob::new(table.clone(), self.id.clone(), 0);
            job.shown.priority = self.priority;
            job.condition.clone_from(&self.condition);
            job.base.clone_from(&self.base);
            job.contents = Some(contents.clone());
            job
        };
        self.tables.iter().zip(&self.contents).map(job).collect()
    }

    pub(crate) fn done(self) {
        tracing::info!(target: "audit", id = %self.id, tables = self.tables.join(", "), "snapshot asked for");
        let _ = self.reply.send(Ok(()));
    }
}

pub(crate) fn text(error: walferry_postgres::Error) -> String {
    error.to_string()
}

/// What the encode thread is given.
pub(crate) struct Reload {
    pub(crate) config: Arc<Config>,
    /// What becomes of tables because of it.
    pub(crate) follow: Follow,
}

/// What can be asked of a connector, whether it runs or not: its status, and, while it streams, everything else.
#[derive(Debug)]
pub struct Handle {
    status: Arc<Status>,
    ring: Mutex<Option<Open>>,
    /// What is published of the tables; locked while that is looked at or changed.
    pub(crate) published: tokio::sync::Mutex<Known>,
    /// Tables in whose topics the stream has written changes of others, or whose own it has written elsewhere.
    pub(crate) strange: Arc<Strange>,
}

/// A ring that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// Where requests go.
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// What it goes by.
    pub(crate) config: InForce,
}

impl Handle {
    /// The handle of the connector `name`, which is starting.
    pub fn new(name: impl Into<String>) -> Handle {
        Handle {
            status: Arc::new(Status::new(name)),
            ring: Mutex::default(),
            published: tokio::sync::Mutex::default(),
            strange: Arc::default(),
        }
    }

    /// What the connector reports.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Holds publishing at the end of the transaction that is being published. What is said to the operator.
    ///
    /// # Errors
    /// The end of the transaction has not come within half a minute: it is held as soon as it comes.
    pub async fn pause(&self) -> Result<String, String> {
        let held = self.status.pausing.pause().await;
        let checkpointed = self.status.ledger.positions().checkpointed;
        match held {
            true => Ok(format!("paused: the topics hold all up to {checkpointed}")),
            false => Err(format!(
                "the transaction behind {checkpointed} has not ended within {} s: publishing is held when it does",
                ANSWER.as_secs()
            )),
        }
    }

    /// Lets publishing go on. What is said to the operator.
    pub fn resume(&self) -> String {
        match self.status.pausing.resume() {
            true => "publishing goes on".to_owned(),
            false => "publishing was not paused".to_owned(),
        }
    }

    /// Lets a parked table go on; see `ParkedTables::approve`.
    ///
    /// # Errors
    /// The table is not parked, or the registry does not answer; in words for the operator.
    pub async fn approve(&self, table: &str) -> Result<String, String> {
        self.status.parking.approve(table).await
    }

    /// This ring can be asked while the connector streams.
    pub(crate) fn open(&self, ring: Open) {
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(ring);
    }

    /// The ring that streams now.
    pub(crate) fn streaming(&self) -> Result<Open, Refused> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = self.status.state() == State::Streaming;
        let open = ring.clone().filter(|_| streams);
        open.ok_or(Refused::NotStreaming)
    }

    /// Where requests go now.
    pub(crate) fn events(&self) -> Result<mpsc::UnboundedSender<Event>, Refused> {
        Ok(self.streaming()?.events)
    }
}

impl Deref for Handle {
    type Target = Status;

    fn deref(&self) -> &Status {
        &self.status
    }
}
