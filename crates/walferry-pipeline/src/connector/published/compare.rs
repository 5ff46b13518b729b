//! What has changed between a record and a look.
//!
//! Owns the list of differences. Pure: asks nobody, decides nothing.
//! Invariant: what is equal to the record is no difference, whatever happened in between and left no trace that could be seen.
//! Start reading at `differences`.

/// A table of which something else is published than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `schema.table`.
    pub(crate) table: String,
    pub(crate) change: Change,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was not followed.
    New,
    /// It was to be added to the publication, and is in it.
    Joined,
    /// There is none of that name any more, or it is not chosen any more.
    Gone,
    /// The name is another table's, or was for a while.
    Replaced,
    /// The publication does not list it any more.
    TakenOut,
    /// It was taken out and put back, or other columns or rows of it were published for a while, or are now.
    PutBack,
    /// The publication was altered as a whole.
    Altered,
    /// Partitions have come that had rows of their own before or may have had, these.
    Attached(Vec<u32>),
    /// Partitions were created.
    Born,
    /// Partitions are no longer part of it.
    Detached,
    /// Changes of partitions are not in the WAL any more.
    Unlogged,
    /// Changes of partitions are in the WAL again, and were not for a while.
    Logged,
    /// The files of partitions are others: they were emptied by TRUNCATE, or written anew. Nothing that is there for sure tells which.
    Emptied,
}

/// What is different, table by table.
pub(super) fn differences(before: &Record, now: &Look) -> Vec<Difference> {
    let altered = is_altered(before, now);
    let mut found = Vec::new();
    for (name, entry) in &before.tables {
        let mut push = |change| {
            found.push(Difference {
                table: name.clone(),
                change,
            });
        };
        match now.tables.get(name) {
            None => push(Change::Gone),
            Some(seen) => match of_table(entry, seen, altered) {
                Some(change) => push(change),
                None => of_partitions(entry, seen).into_iter().for_each(push),
            },
        }
    }
    let fresh = now
        .tables
        .keys()
        .filter(|it| !before.tables.contains_key(*it));
    found.extend(fresh.map(|name| Difference {
        table: name.clone(),
        change: Change::New,
    }));
    found
}

/// Whether the publication publishes something else as a whole, or did for a while. Another owner alone is none of that.
fn is_altered(before: &Record, now: &Look) -> bool {
    match (&before.publication, &now.publication) {
        (Some(before), Some(now)) => {
            let narrowed = before
                .operations
                .chars()
                .any(|it| !now.operations.contains(it));
            before.oid != now.oid
                || (before.version != now.version && (narrowed || before.owner == now.owner))
        }
        (before, now) => before.is_some() != now.is_some(),
    }
}

fn of_table(before: &Entry, now: &Seen, altered: bool) -> Option<Change> {
    let member = now.member.map(|it| it.entry);
    match (before.member, member) {
        _ if before.oid != now.info.oid || before.strange => Some(Change::Replaced),
        (None, None) => Some(Change::New),
        (None, Some(_)) => Some(Change::Joined),
        (Some(_), None) => Some(Change::TakenOut),
        _ if altered => Some(Change::Altered),
        // It was in a schema that is not published.
        _ if has_moved(before, now) => Some(Change::PutBack),
        // A column that is not to be left out is not in the list yet.
        _ if before
            .unlisted
            .zip(now.unlisted)
            .is_some_and(|(then, now)| now > then) =>
        {
            Some(Change::PutBack)
        }
        (Some(before), Some(now)) => (before != now).then_some(Change::PutBack),
    }
}

/// Whether it has been put into its schema again, by which it is published.
fn has_moved(before: &Entry, now: &Seen) -> bool {
    let now = now.member.and_then(|it| it.moved);
    matches!((before.moved, now), (Some(then), Some(now)) if then != now)
}

pub(super) fn of_partitions(before: &Entry, now: &Seen) -> Vec<Change> {
    let known = |oid: u32| before.leaves.get(&oid).filter(|file| **file != IN_STREAM);
    let fresh = now.leaves.iter().filter(|it| known(it.oid).is_none());
    let fresh: Vec<_> = fresh.collect();
    let stays = |oid: &&u32| now.leaves.iter().any(|it| it.oid == **oid);
    let gone = before.leaves.keys().filter(|it| !stays(it)).count();
    let files = now
        .leaves
        .iter()
        .filter_map(|it| Some((*known(it.oid)?, file(it))));
    let other = |change: fn(u32, u32) -> bool| files.clone().any(|(old, new)| change(old, new));
    let mut changes = Vec::new();
    if other(|old, new| old == 0 && new != 0) {
        changes.push(Change::Logged);
    }
    if other(|old, new| old != 0 && new == 0) {
        changes.push(Change::Unlogged);
    }
    if other(|old, new| old != 0 && new != 0 && old != new) {
        changes.push(Change::Emptied);
    }
    if gone > 0 {
        changes.push(Change::Detached);
    }
    if !fresh.is_empty() {
        let attached = fresh.iter().filter(|it| !it.born);
        let attached: Vec<u32> = attached.map(|it| it.oid).collect();
        changes.push(match attached.is_empty() {
            true => Change::Born,
            false => Change::Attached(attached),
        });
    }
    changes
}

#[cfg(test)]
mod tests;

use crate::{
    connector::published::look::{Look, Seen, file},
    position::published_record::{Entry, Record},
    status::strange::IN_STREAM,
};
