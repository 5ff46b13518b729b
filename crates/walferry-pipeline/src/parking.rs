//! The tables that wait: why, since when, and what lets them go on.
//!
//! Owns what is known of parked tables besides their positions (those are `course`'s), and the task that offers their
//! schemas to the registry again. The encoder parks, the operator or the registry releases, the ring connects anew.
//! Invariant: a table that was released stays so over reconnects until it has caught up or is parked again, so the
//! stream always begins early enough for it.
//! Start reading at [`Parking`], then [`watch`].

mod lifted;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch as news},
    time::{self, Instant},
};
use walferry_event::{Disposition, Lsn};
use walferry_registry::Registry;

use crate::{config::Config, status::Status};

use lifted::LevelNote;

/// A subject and the schema that it is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) subject: String,
    pub(crate) schema: String,
}

/// Why a table cannot go on.
#[derive(Clone, Debug)]
pub(crate) struct Obstacle {
    /// For people; never row values.
    pub(crate) reason: String,
    /// Schemas that the registry refuses; empty when a value is the obstacle.
    pub(crate) offers: Vec<Offer>,
}

/// A parked table, for the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) since: String,
    pub(crate) reason: String,
    /// Whether it is catching up.
    pub(crate) released: bool,
}

#[derive(Debug)]
struct Waiting {
    since: String,
    obstacle: Obstacle,
    released: bool,
    tries: u32,
    next_try: Instant,
}

/// A change that Kafka has refused: its table is parked there as soon as it comes again.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) table: String,
    pub(crate) commit_lsn: Lsn,
    pub(crate) ordinal: u64,
    pub(crate) reason: String,
}

/// An operator's word on a parked table.
#[derive(Debug)]
struct Approval {
    table: String,
    answer: oneshot::Sender<Result<String, String>>,
}

/// The parked tables of one connector.
#[derive(Debug)]
pub(crate) struct Parking {
    tables: Mutex<BTreeMap<String, Waiting>>,
    refused: Mutex<Vec<Refused>>,
    approvals: Mutex<Option<mpsc::UnboundedSender<Approval>>>,
    released: news::Sender<u64>,
}

/// How often the registry is asked about the schemas of waiting tables: first, and at most this far apart.
const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(30);
/// How long an operator's request may take.
const APPROVAL: Duration = Duration::from_secs(30);
/// Between two attempts to reach a ring that begins again.
const RING_RETURNS: Duration = Duration::from_millis(100);

impl Default for Parking {
    fn default() -> Parking {
        Parking {
            tables: Mutex::default(),
            refused: Mutex::default(),
            approvals: Mutex::default(),
            released: news::Sender::new(0),
        }
    }
}

impl Parking {
    /// The table waits from now on.
    pub(crate) fn park(&self, table: &str, since: &str, obstacle: Obstacle) {
        let mut tables = self.tables();
        let tries = tables.get(table).map_or(0, |it| it.tries);
        let waiting = Waiting {
            since: since.to_owned(),
            obstacle,
            released: false,
            tries,
            next_try: Instant::now() + pause(tries),
        };
        tables.insert(table.to_owned(), waiting);
    }

    /// The table waited when the process ended; it is tried again.
    pub(crate) fn resume(&self, table: &str, since: &str, reason: &str) {
        let obstacle = Obstacle {
            reason: reason.to_owned(),
            offers: Vec::new(),
        };
        self.park(table, since, obstacle);
        self.release(table);
    }

    /// Kafka has refused a change: the ring begins again, and its encoder takes this along.
    pub(crate) fn refuse(&self, refused: Refused) {
        lock(&self.refused).push(refused);
    }

    /// The changes that were refused since the encoder of before began.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        std::mem::take(&mut *lock(&self.refused))
    }

    /// Forgets the tables that have no position of their own any more, and tells which.
    pub(crate) fn keep(&self, has: impl Fn(&str) -> bool) -> Vec<String> {
        let mut tables = self.tables();
        let gone: Vec<String> = tables.keys().filter(|it| !has(it)).cloned().collect();
        tables.retain(|table, _| has(table));
        gone
    }

    /// A new start begins with what its checkpoint says.
    pub(crate) fn clear(&self) {
        self.tables().clear();
    }

    /// Tables that may go on: the stream has to begin early enough for them.
    pub(crate) fn released(&self) -> Vec<String> {
        let tables = self.tables();
        let released = tables.iter().filter(|(_, it)| it.released);
        released.map(|(table, _)| table.clone()).collect()
    }

    /// Says when a table is released.
    pub(crate) fn news(&self) -> news::Receiver<u64> {
        self.released.subscribe()
    }

    /// Every parked table.
    pub(crate) fn seen(&self) -> BTreeMap<String, Seen> {
        let seen = |it: &Waiting| Seen {
            since: it.since.clone(),
            reason: it.obstacle.reason.clone(),
            released: it.released,
        };
        let tables = self.tables();
        tables
            .iter()
            .map(|(table, it)| (table.clone(), seen(it)))
            .collect()
    }

    /// Lets a table go on: its schema is registered now, also against the subject's compatibility level.
    pub(crate) async fn approve(&self, table: &str) -> Result<String, String> {
        let asked = async {
            loop {
                let (answer, answered) = oneshot::channel();
                let approval = Approval {
                    table: table.to_owned(),
                    answer,
                };
                let sender = lock(&self.approvals).clone();
                if sender.is_some_and(|it| it.send(approval).is_ok())
                    && let Ok(answer) = answered.await
                {
                    return answer;
                }
                // The ring begins again, as it does behind each refusal.
                time::sleep(RING_RETURNS).await;
            }
        };
        time::timeout(APPROVAL, asked).await.unwrap_or_else(|_| {
            Err(format!(
                "no answer within {} s: the connector does not stream, or the registry does not answer; see /status, and try again",
                APPROVAL.as_secs()
            ))
        })
    }

    fn release(&self, table: &str) {
        if let Some(waiting) = self.tables().get_mut(table) {
            waiting.released = true;
        }
        self.released.send_modify(|count| *count += 1);
    }

    /// The offers of a table whose next try is due.
    fn due(&self, now: Instant) -> Vec<(String, Vec<Offer>)> {
        let tables = self.tables();
        let due = tables
            .iter()
            .filter(|(_, it)| !it.released && !it.obstacle.offers.is_empty() && it.next_try <= now);
        due.map(|(table, it)| (table.clone(), it.obstacle.offers.clone()))
            .collect()
    }

    /// The registry refuses the schema still; one that is away is asked again soon, so that its return is noticed.
    fn refused_again(&self, table: &str, away: bool) {
        if let Some(waiting) = self.tables().get_mut(table) {
            waiting.tries = match away {
                true => 0,
                false => waiting.tries + 1,
            };
            waiting.next_try = Instant::now() + pause(waiting.tries);
        }
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        lock(&self.tables)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries are inserted and removed whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pause(tries: u32) -> Duration {
    POLL_MIN.saturating_mul(1 << tries.min(10)).min(POLL_MAX)
}

/// Offers the schemas of waiting tables to the registry, and answers the operator, until the ring ends.
pub(crate) async fn watch(config: Arc<Config>, status: Arc<Status>, registry: Arc<Registry>) {
    let mut note = LevelNote::new(config.clone());
    if let Err(reason) = note.put_back(&registry).await {
        tracing::warn!(reason, "it is tried again before the next approval");
    }
    let errors = &config.errors;
    let (sender, mut approvals) = mpsc::unbounded_channel();
    *lock(&status.parking.approvals) = Some(sender);
    let every = POLL_MIN.min(Duration::from_millis(errors.retry_max_ms.max(100)));
    loop {
        let approval = time::timeout(every, approvals.recv()).await;
        match approval {
            Ok(Some(approval)) => {
                // What Kafka did not take may be mended, too.
                status.refusals.forget();
                let outcome = match note.put_back(&registry).await {
                    Ok(()) => approve(&status.parking, &registry, &note, &approval.table).await,
                    Err(reason) => Err(reason),
                };
                tracing::info!(target: "audit", table = approval.table,
                    outcome = outcome.as_ref().map_or_else(String::as_str, String::as_str),
                    "schema approval");
                // The operator may have stopped waiting.
                let _ = approval.answer.send(outcome);
            }
            Ok(None) => return,
            Err(_) => poll(&status.parking, &registry).await,
        }
    }
}

async fn poll(parking: &Parking, registry: &Registry) {
    for (table, offers) in parking.due(Instant::now()) {
        match offer(registry, &offers).await {
            Ok(()) => {
                tracing::info!(target: "audit", table, "the registry takes the schema now: the table goes on");
                parking.release(&table);
            }
            Err(error) => {
                let away = error.disposition() != Disposition::Halt;
                parking.refused_again(&table, away);
            }
        }
    }
}

async fn offer(registry: &Registry, offers: &[Offer]) -> Result<(), walferry_registry::Error> {
    let pairs = offers.iter();
    let pairs: Vec<_> = pairs
        .map(|it| (it.subject.as_str(), it.schema.as_str()))
        .collect();
    registry.register_all(&pairs).await.map(drop)
}

async fn approve(
    parking: &Parking,
    registry: &Registry,
    note: &LevelNote,
    table: &str,
) -> Result<String, String> {
    let offers = {
        let tables = parking.tables();
        match tables.get(table) {
            Some(it) if it.released => return Ok(format!("table {table} is catching up already")),
            Some(it) => it.obstacle.offers.clone(),
            None => {
                let names: Vec<&str> = tables.keys().map(String::as_str).collect();
                let parked = match names.is_empty() {
                    true => "no table is".to_owned(),
                    false => format!("parked: {}", names.join(", ")),
                };
                return Err(format!("table {table:?} is not parked; {parked}"));
            }
        }
    };
    for offer in &offers {
        force(registry, note, offer)
            .await
            .map_err(|reason| format!("table {table} stays parked: {reason}"))?;
    }
    parking.release(table);
    Ok(match offers.is_empty() {
        true => format!("table {table} is tried again at the change that it waits at"),
        false => format!("the registry has taken the schema of table {table}: it goes on"),
    })
}

/// Registers a schema, also against the subject's level, which is noted before it is lifted.
async fn force(registry: &Registry, note: &LevelNote, offer: &Offer) -> Result<(), String> {
    let told = |error: walferry_registry::Error| error.to_string();
    let offered = registry.register_or_lift(&offer.subject, &offer.schema);
    if let Err(lifted) = offered.await.map_err(told)? {
        note.write(Some(&lifted)).await?;
        let registered = registry.register_lifted(&lifted, &offer.schema);
        registered.await.map_err(told)?;
        note.write(None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_approval_waits_for_a_ring_that_begins_again() {
        let parking = Parking::default();
        let rings = async {
            for answers in [false, true] {
                let (sender, mut approvals) = mpsc::unbounded_channel();
                *lock(&parking.approvals) = Some(sender);
                let approval: Approval = approvals.recv().await.unwrap();
                if answers {
                    approval.answer.send(Ok("it goes on".into())).unwrap();
                }
            }
        };
        let (answer, ()) = tokio::join!(parking.approve("public.t"), rings);
        assert_eq!(answer.unwrap(), "it goes on");
    }
}
