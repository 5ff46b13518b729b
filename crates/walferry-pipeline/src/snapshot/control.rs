//! Snapshots that are asked for: by the operator, or because a table was added to the configuration.
//!
//! Owns the requests and their examination. Never touches the stream: the engine on the encode thread takes the requests.
//! Invariant: a request is answered with its id only when the checkpoint that holds it is committed.

use std::{fmt, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time,
};
use walferry_postgres::{Contents, TableName};

use super::{chunk::Sessions, progress::TableJob, watermark::Event};
use crate::status::Status;

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

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// A snapshot that was asked for.
pub(crate) struct Request {
    id: String,
    tables: Vec<String>,
    condition: Option<String>,
    priority: i32,
    /// What rows of tables without a key have to be as old as.
    base: Option<String>,
    /// What the ranges of each table are of.
    contents: Vec<Contents>,
    reply: oneshot::Sender<Result<(), String>>,
}

impl Request {
    /// Looks at the tables, and hands the request back when nothing speaks against it. What rows without a key are read is
    /// settled before: where it is not durable with the request, a crash would move it.
    pub(super) fn examine(
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
    pub(super) fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn jobs(&self) -> Vec<TableJob> {
        let job = |(table, contents): (&String, &Contents)| {
            let mut job = TableJob::new(table.clone(), &self.id, 0);
            job.shown.priority = self.priority;
            job.condition.clone_from(&self.condition);
            job.base.clone_from(&self.base);
            job.contents = Some(contents.clone());
            job
        };
        self.tables.iter().zip(&self.contents).map(job).collect()
    }

    pub(super) fn done(self) {
        tracing::info!(target: "audit", id = self.id, tables = self.tables.join(", "), "snapshot asked for");
        let _ = self.reply.send(Ok(()));
    }
}

/// Begins a snapshot of tables that the connector follows, of the rows that fit `condition` (SQL). One with a higher
/// priority is read first; 0 is what all others have. Returns its id.
///
/// # Errors
/// The connector does not stream, or a table is not followed.
pub async fn start(
    status: &Status,
    tables: Vec<String>,
    condition: Option<String>,
    priority: i32,
) -> Result<String, Refused> {
    if tables.is_empty() {
        return Err(Refused::Invalid("no table is named".into()));
    }
    let id = uuid::Uuid::new_v4().to_string()[..8].to_owned();
    let (reply, answer) = oneshot::channel();
    let request = Request {
        id: id.clone(),
        tables,
        condition,
        priority,
        base: None,
        contents: Vec::new(),
        reply,
    };
    send(status, Event::Start(request))?;
    match time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(reason))) => return Err(Refused::Invalid(reason)),
        Ok(Err(_)) => return Err(Refused::NotStreaming),
        Err(_) => {
            return Err(Refused::Invalid(format!(
                "nothing was begun: no answer within {} s; a table without a key waits for the transactions that are running",
                ANSWER_MAX.as_secs()
            )));
        }
    }
    // What the status shows is committed.
    let committed = async {
        while !status.report().snapshot.iter().any(|it| it.table.id == id) {
            time::sleep(LOOK).await;
        }
    };
    match time::timeout(ANSWER_MAX, committed).await {
        Ok(()) => Ok(id),
        Err(_) => Err(Refused::NotStreaming),
    }
}

/// Ends a snapshot; rows that it has published stay.
///
/// # Errors
/// The connector does not stream, or no snapshot of that id is under way.
pub async fn cancel(status: &Status, id: &str) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    send(status, Event::Cancel(id.to_owned(), reply))?;
    found(answer).await
}

/// Holds a snapshot, over restarts too, until it is resumed.
///
/// # Errors
/// The connector does not stream, or no snapshot of that id is under way.
pub async fn pause(status: &Status, id: &str) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    send(status, Event::Hold(id.to_owned(), true, reply))?;
    found(answer).await
}

/// Lets a snapshot that is held go on where it stood.
///
/// # Errors
/// The connector does not stream, or no snapshot of that id is under way.
pub async fn resume(status: &Status, id: &str) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    send(status, Event::Hold(id.to_owned(), false, reply))?;
    found(answer).await
}

fn text(error: walferry_postgres::Error) -> String {
    error.to_string()
}

async fn found(answer: oneshot::Receiver<bool>) -> Result<(), Refused> {
    match time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Refused::Unknown),
        _ => Err(Refused::NotStreaming),
    }
}

fn send(status: &Status, event: Event) -> Result<(), Refused> {
    let control = status.snapshots().ok_or(Refused::NotStreaming)?;
    control.send(event).map_err(|_| Refused::NotStreaming)
}
