//! The tables that wait: why, since when, and what lets them go on.
//!
//! Owns what is known of parked tables besides their positions (those are `table_positions`'). The encoder parks, the operator or
//! the registry releases (`connector::parked_retry`), the ring connects anew.
//! Invariant: a table that was released stays so over reconnects until it has caught up or is parked again, so the
//! stream always begins early enough for it.
//! Start reading at `ParkedTables`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch as news},
    time::{self, Instant},
};
use walferry_event::{Code, Lsn};

use crate::tables::plan::Offer;

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
pub(crate) struct Waiting {
    pub(crate) since: String,
    pub(crate) obstacle: Obstacle,
    pub(crate) released: bool,
    pub(crate) tries: u32,
    pub(crate) next_try: Instant,
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
pub(crate) struct Approval {
    pub(crate) table: String,
    pub(crate) answer: oneshot::Sender<Result<String, String>>,
}

/// The parked tables of one connector.
#[derive(Debug)]
pub(crate) struct ParkedTables {
    tables: Mutex<BTreeMap<String, Waiting>>,
    refused: Mutex<Vec<Refused>>,
    pub(crate) approvals: Mutex<Option<mpsc::UnboundedSender<Approval>>>,
    released: news::Sender<u64>,
}

/// How often the registry is asked about the schemas of waiting tables: first, and at most this far apart.
pub(crate) const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(30);
/// How long an operator's request may take.
const APPROVAL: Duration = Duration::from_secs(30);
/// Between two attempts to reach a ring that begins again.
const RING_RETURNS: Duration = Duration::from_millis(100);

impl Default for ParkedTables {
    fn default() -> ParkedTables {
        ParkedTables {
            tables: Mutex::default(),
            refused: Mutex::default(),
            approvals: Mutex::default(),
            released: news::Sender::new(0),
        }
    }
}

impl ParkedTables {
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
            reason: Code::TableParked.tag(&it.obstacle.reason),
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

    pub(crate) fn release(&self, table: &str) {
        if let Some(waiting) = self.tables().get_mut(table) {
            waiting.released = true;
        }
        self.released.send_modify(|count| *count += 1);
    }

    /// The offers of a table whose next try is due.
    pub(crate) fn due(&self, now: Instant) -> Vec<(String, Vec<Offer>)> {
        let tables = self.tables();
        let due = tables
            .iter()
            .filter(|(_, it)| !it.released && !it.obstacle.offers.is_empty() && it.next_try <= now);
        due.map(|(table, it)| (table.clone(), it.obstacle.offers.clone()))
            .collect()
    }

    /// The registry refuses the schema still; one that is away is asked again soon, so that its return is noticed.
    pub(crate) fn refused_again(&self, table: &str, away: bool) {
        if let Some(waiting) = self.tables().get_mut(table) {
            waiting.tries = match away {
                true => 0,
                false => waiting.tries + 1,
            };
            waiting.next_try = Instant::now() + pause(waiting.tries);
        }
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        lock(&self.tables)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries are inserted and removed whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pause(tries: u32) -> Duration {
    POLL_MIN.saturating_mul(1 << tries.min(10)).min(POLL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_approval_waits_for_a_ring_that_begins_again() {
        let parking = ParkedTables::default();
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
