//! Where each table stands: most at one position, a few that wait behind it at their own.
//!
//! Owns the arithmetic of parking. A table that cannot go on is parked at the position before its first unpublished
//! change; the others go on. When it may go on, the stream is read again from the oldest position that is owed, and each
//! table drops what the topics hold of it already, until the parked one has caught up. Pure: no clock, no server.
//! Invariants: no position moves backwards; what a parked table is owed lies behind `Held::needed`, and the slot is
//! confirmed no further; a waiting table does not move at all.
//! Start reading at `TablePositions::is_due`, then `TablePositions::commit`.

use std::{collections::BTreeMap, sync::Arc};

use walferry_event::{Lsn, Position};
use walferry_kafka::Parked;

/// Events of one transaction, by table.
pub(crate) type Events = BTreeMap<String, u64>;

/// What the topics hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Of every table but the parked ones.
    pub(crate) position: Position,
    /// Where the last transaction ended that the stream brought before: the next records name it, over restarts too.
    pub(crate) last_commit: Option<Lsn>,
    /// Of the transaction that they hold in part: its events, where they are told.
    pub(crate) events: Option<Arc<Events>>,
    /// Tables of which they hold less.
    pub(crate) parked: Arc<[Parked]>,
}

impl Held {
    /// Everything up to here, of every table.
    pub(crate) fn at(position: Position) -> Held {
        Held {
            position,
            last_commit: None,
            events: None,
            parked: Arc::new([]),
        }
    }

    /// From where the stream has to come so that nothing is missed: as far as the slot may be confirmed.
    pub(crate) fn needed(&self) -> Lsn {
        self.needed_by(|_| true)
    }

    /// As [`Held::needed`], for the parked tables that are not left waiting.
    pub(crate) fn needed_by(&self, goes_on: impl Fn(&str) -> bool) -> Lsn {
        let owed = self.parked.iter().filter(|it| goes_on(&it.table));
        owed.map(|it| it.position.end_lsn)
            .fold(self.position.end_lsn, Lsn::min)
    }
}

/// The positions of what has been encoded.
#[derive(Debug)]
pub(crate) struct TablePositions {
    position: Position,
    last_commit: Option<Lsn>,
    events: Option<Arc<Events>>,
    lanes: Vec<Lane>,
    /// The lanes as they go into the next mark; none when they have changed since.
    shown: Option<Arc<[Parked]>>,
}

/// A table with a position of its own.
#[derive(Debug)]
struct Lane {
    parked: Parked,
    /// Whether it is catching up; else it waits.
    moving: bool,
}

/// A transaction that a table has published in part does not come again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The table; none when it is of all that are not parked.
    pub(crate) table: Option<String>,
    /// What the topics hold.
    pub(crate) position: Position,
}

impl TablePositions {
    /// Begins at what the topics hold. Parked tables are tried again.
    pub(crate) fn new(held: Held) -> TablePositions {
        let lanes = held.parked.iter().map(|parked| Lane {
            parked: parked.clone(),
            moving: true,
        });
        TablePositions {
            position: held.position,
            last_commit: held.last_commit,
            events: held.events,
            lanes: lanes.collect(),
            shown: Some(held.parked),
        }
    }

    /// The position of every table that is not parked.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Where the last transaction ended before the position of all, as far as it is known.
    pub(crate) fn last_commit(&self) -> Option<Lsn> {
        self.last_commit
    }

    /// The events of the transaction that commits at `commit_lsn` which stand before the position of all: none yet, or as
    /// many as were told. Nothing when a part of it has gone out without being told.
    pub(crate) fn events(&self, commit_lsn: Lsn) -> Option<Events> {
        match self.position.ordinal {
            Some(_) if self.position.commit_lsn == commit_lsn => self.events.as_deref().cloned(),
            _ => Some(Events::new()),
        }
    }

    /// Everything that has been encoded.
    pub(crate) fn held(&mut self) -> Held {
        let lanes = &self.lanes;
        let shown = self
            .shown
            .get_or_insert_with(|| lanes.iter().map(|lane| lane.parked.clone()).collect());
        Held {
            position: self.position,
            last_commit: self.last_commit,
            events: self.events.clone(),
            parked: shown.clone(),
        }
    }

    /// Whether any table has a position of its own.
    pub(crate) fn is_split(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Whether the change `ordinal` of the transaction that commits at `commit_lsn` has still to be published.
    pub(crate) fn is_due(&self, table: &str, commit_lsn: Lsn, ordinal: u64) -> bool {
        match self.lanes.iter().find(|lane| lane.parked.table == table) {
            Some(lane) => lane.moving && !lane.parked.position.covers(commit_lsn, ordinal),
            None => !self.position.covers(commit_lsn, ordinal),
        }
    }

    /// Whether this table has a position of its own.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.lanes.iter().any(|lane| lane.parked.table == table)
    }

    /// Whether this table waits.
    pub(crate) fn waits(&self, table: &str) -> bool {
        self.lanes
            .iter()
            .any(|lane| lane.parked.table == table && !lane.moving)
    }

    /// A transaction begins. What has been published in part of an earlier one has to have come before it.
    pub(crate) fn begin(&self, commit_lsn: Lsn) -> Result<(), Gap> {
        let lost =
            |position: Position| position.ordinal.is_some() && commit_lsn > position.commit_lsn;
        let lanes = self.lanes.iter().filter(|lane| lane.moving);
        let mut all = lanes
            .map(|lane| (Some(&lane.parked.table), lane.parked.position))
            .chain([(None, self.position)]);
        match all.find(|(_, position)| lost(*position)) {
            Some((table, position)) => Err(Gap {
                table: table.cloned(),
                position,
            }),
            None => Ok(()),
        }
    }

    /// A transaction has ended at `position`. Whether that is news for any table.
    pub(crate) fn commit(&mut self, position: Position) -> bool {
        if position > self.position {
            self.last_commit = Some(position.end_lsn);
        }
        self.advance(|held| held.max(position))
    }

    /// The first `ordinal` changes of the open transaction have been encoded, with so many `events`.
    pub(crate) fn inside(
        &mut self,
        commit_lsn: Lsn,
        ordinal: u64,
        events: Option<Arc<Events>>,
    ) -> bool {
        let before = self.position;
        let moved = self.advance(|held| match held.covers(commit_lsn, ordinal) {
            true => held,
            false => Position {
                commit_lsn,
                ordinal: Some(ordinal),
                ..held
            },
        });
        if self.position != before {
            self.events = events;
        }
        moved
    }

    /// Outside a transaction, the stream has come to `lsn`. Whether that is news for any table.
    pub(crate) fn idle(&mut self, lsn: Lsn) -> bool {
        let all_seen = self.position.ordinal.is_none() && lsn >= self.position.end_lsn;
        let moved = self.advance(|held| match held.ordinal {
            None => Position {
                end_lsn: held.end_lsn.max(lsn),
                ..held
            },
            Some(_) => held,
        });
        // Every transaction that the others have published has come again by now, also the ones without changes.
        let before = self.lanes.len();
        self.lanes.retain(|lane| {
            let position = lane.parked.position;
            !(lane.moving && all_seen && position.ordinal.is_none())
        });
        self.note(moved || self.lanes.len() < before)
    }

    /// The snapshot has come to here.
    pub(crate) fn snapshot(&mut self, position: Position) {
        if position != self.position {
            self.last_commit = None;
        }
        self.position = position;
        self.events = None;
    }

    /// `table` cannot go on at the change `ordinal` of the open transaction: it waits from now on. Since when it does.
    pub(crate) fn park(&mut self, parked: Parked, commit_lsn: Lsn, ordinal: u64) -> String {
        let at = self
            .lanes
            .iter()
            .position(|lane| lane.parked.table == parked.table);
        let before = at.map(|at| &self.lanes[at].parked);
        let position = Position {
            commit_lsn,
            ordinal: Some(ordinal.saturating_sub(1)),
            end_lsn: before.map_or(self.position, |it| it.position).end_lsn,
        };
        // A table that was tried in vain has waited since it was parked first.
        let since = match before {
            Some(before) if before.position == position => before.since.clone(),
            _ => parked.since.clone(),
        };
        let lane = Lane {
            parked: Parked {
                position,
                since: since.clone(),
                ..parked
            },
            moving: false,
        };
        match at {
            Some(at) => self.lanes[at] = lane,
            None => self.lanes.push(lane),
        }
        self.note(true);
        since
    }

    /// The stream begins anew, far enough back for these tables: they catch up.
    pub(crate) fn release(&mut self, tables: &[String]) {
        for lane in &mut self.lanes {
            lane.moving |= tables.contains(&lane.parked.table);
        }
    }

    /// Moves the common position and the tables that catch up; those that have done so lose their own.
    fn advance(&mut self, step: impl Fn(Position) -> Position) -> bool {
        let position = step(self.position);
        let mut moved = position != self.position;
        if moved {
            self.events = None;
        }
        self.position = position;
        let mut split_moved = false;
        self.lanes.retain_mut(|lane| {
            if !lane.moving {
                return true;
            }
            let next = step(lane.parked.position);
            split_moved |= next != lane.parked.position;
            lane.parked.position = next;
            let reached = reaches(next, position);
            split_moved |= reached;
            !reached
        });
        moved |= split_moved;
        self.note(split_moved);
        moved
    }

    fn note(&mut self, lanes_changed: bool) -> bool {
        if lanes_changed {
            self.shown = None;
        }
        lanes_changed
    }
}

/// Whether `position` covers every change that `other` covers.
fn reaches(position: Position, other: Position) -> bool {
    let changes = |it: Position| (it.commit_lsn, it.ordinal.unwrap_or(u64::MAX));
    changes(position) >= changes(other)
}

#[cfg(test)]
mod tests;
