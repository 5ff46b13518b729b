//! Snapshots that are asked for: by the operator, or because a table was added to the configuration.
//!
//! Owns what people may ask, and the wait for the answer. Never touches the stream: the engine on the encode thread takes the requests.
//! Invariant: a request is answered with its id only when the checkpoint that holds it is committed.

use std::time::Duration;

use tokio::{sync::oneshot, time};

use crate::{
    position::snapshot_id::SnapshotId,
    snapshot::mailbox::{Event, Handle, Refused, Request},
};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Begins a snapshot of tables that the connector follows, of the rows that fit `condition` (SQL). One with a higher
/// priority is read first; 0 is what all others have. Returns its id.
///
/// # Errors
/// The connector does not stream, or a table is not followed.
pub async fn start(
    handle: &Handle,
    tables: Vec<String>,
    condition: Option<String>,
    priority: i32,
) -> Result<String, Refused> {
    if tables.is_empty() {
        return Err(Refused::Invalid("no table is named".into()));
    }
    let id = SnapshotId::Asked(uuid::Uuid::new_v4().to_string()[..8].to_owned());
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
    send(handle, Event::Start(request))?;
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
        while !handle.report().snapshot.iter().any(|it| it.table.id == id) {
            time::sleep(LOOK).await;
        }
    };
    match time::timeout(ANSWER_MAX, committed).await {
        Ok(()) => Ok(id.into()),
        Err(_) => Err(Refused::NotStreaming),
    }
}

/// Ends a snapshot; rows that it has published stay.
///
/// # Errors
/// The connector does not stream, or no snapshot of that id is under way.
pub async fn cancel(handle: &Handle, id: &str) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    send(handle, Event::Cancel(id.to_owned().into(), reply))?;
    found(answer).await
}

/// Holds a snapshot, over restarts too, until it is resumed.
///
/// # Errors
/// The connector does not stream, or no snapshot of that id is under way.
pub async fn pause(handle: &Handle, id: &str) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    send(handle, Event::Hold(id.to_owned().into(), true, reply))?;
    found(answer).await
}

/// Lets a snapshot that is held go on where it stood.
///
/// # Errors
/// The connector does not stream, or no snapshot of that id is under way.
pub async fn resume(handle: &Handle, id: &str) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    send(handle, Event::Hold(id.to_owned().into(), false, reply))?;
    found(answer).await
}

async fn found(answer: oneshot::Receiver<bool>) -> Result<(), Refused> {
    match time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Refused::Unknown),
        _ => Err(Refused::NotStreaming),
    }
}

fn send(handle: &Handle, event: Event) -> Result<(), Refused> {
    handle
        .events()?
        .send(event)
        .map_err(|_| Refused::NotStreaming)
}
