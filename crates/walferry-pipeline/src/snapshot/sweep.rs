//! The sweep of one table: which keys the topic has and the table has no more, told beside the stream.
//!
//! Owns `Sweep`, which lives on the encode thread: what the stream has touched since it began, on disk when it is much, and the
//! order of the deletes. `search` finds the candidates: keys that the topic has and no snapshot of the table had. Never: writes
//! a record itself; holds more than a bounded part of the keys in memory.
//! Invariants: a key that the stream has touched since the sweep began is left to the stream; every other candidate is gone,
//! because the snapshots see all that was streamed before, and the topic was read when it held all of that.
//! What was deleted before a crash is dead in the topic, so that a sweep that begins anew repeats nothing.
//! Start reading at `Sweep::touch`, then `Sweep::next`.

pub(crate) mod search;

use std::{collections::HashSet, io};

use walferry_avro::EncodePlan;
use walferry_event::{Datum, Lsn, Relation};

use crate::{
    encode::{
        change_records::{Change, Old},
        gone::Gone,
    },
    snapshot::sweep::search::Found,
    sorter::{Merge, Sorter},
};

/// Touched keys in memory, in bytes; the rest is on disk.
const TOUCHED_BYTES_MAX: usize = 4 << 20;
/// Keys that are touched while deletes are given; beyond, the sweep begins anew.
const SINCE_BYTES_MAX: usize = 8 << 20;
/// What an entry takes beside its key.
const ENTRY_BYTES: usize = 64;

/// The sweep of one table.
pub(super) struct Sweep {
    pub(super) id: u64,
    pub(super) job: usize,
    pub(super) oid: u32,
    pub(super) relation: Relation,
    keys: EncodePlan,
    touched: Touched,
    /// Nothing can be said any more: it begins anew.
    void: bool,
    found: Option<Found>,
}

/// What the stream has touched.
enum Touched {
    /// While the candidates are looked for.
    Gathered(Sorter),
    /// While deletes are given: in order, and what has come since.
    Given {
        candidates: Merge,
        touched: Merge,
        head: Option<Vec<u8>>,
        since: HashSet<Box<[u8]>>,
        bytes: usize,
    },
}

impl Sweep {
    pub(super) fn new(
        id: u64,
        job: usize,
        oid: u32,
        relation: Relation,
        keys: EncodePlan,
    ) -> Sweep {
        Sweep {
            id,
            job,
            oid,
            relation,
            keys,
            touched: Touched::Gathered(Sorter::new(TOUCHED_BYTES_MAX)),
            void: false,
            found: None,
        }
    }

    /// Whether it has to begin anew.
    pub(super) fn is_void(&self) -> bool {
        self.void
    }

    /// It has to begin anew.
    pub(super) fn give_up(&mut self) {
        self.void = true;
        self.touched = Touched::Gathered(Sorter::new(TOUCHED_BYTES_MAX));
        self.found = None;
    }

    /// Where the stream has to stand before the candidates can be judged; none while they are looked for.
    pub(super) fn judged_from(&self) -> Option<Lsn> {
        self.found.as_ref().map(|it| it.wal_insert)
    }

    pub(super) fn found(&mut self, found: Found) {
        self.found = Some(found);
    }

    /// The stream brings a change of the table.
    pub(super) fn touch(&mut self, change: &Change<'_>) {
        if self.void {
            return;
        }
        match change {
            Change::Truncate => self.give_up(),
            Change::Read(_) => {}
            Change::Insert(new) => self.touch_key(new, &[]),
            Change::Delete(old) => self.touch_key(old.datums(), &[]),
            Change::Update(old, new) => {
                let old = old.map_or(&[][..], Old::datums);
                self.touch_key(new, old);
                if !old.is_empty() && !self.void {
                    self.touch_key(old, &[]);
                }
            }
        }
    }

    fn touch_key(&mut self, row: &[Datum<'_>], old: &[Datum<'_>]) {
        let mut key = Vec::new();
        // A key that the plan has no place for is met by the stream, too, which widens the plan: then the sweep has a better one.
        if self.keys.key_from(row, old, &mut key).is_err() {
            return self.give_up();
        }
        let body = search::body(&key);
        let noted = match &mut self.touched {
            Touched::Gathered(sorter) => sorter.push(&search::framed(body)).map(|()| true),
            Touched::Given { since, bytes, .. } => {
                if since.insert(body.into()) {
                    *bytes += body.len() + ENTRY_BYTES;
                }
                Ok(*bytes <= SINCE_BYTES_MAX)
            }
        };
        if !noted.unwrap_or(false) {
            self.give_up();
        }
    }

    /// The next key that is gone; nothing after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<Gone>> {
        if let Touched::Gathered(sorter) = &mut self.touched {
            let Some(candidates) = self.found.as_mut().and_then(Found::take_gone) else {
                return Ok(None);
            };
            let touched = std::mem::replace(sorter, Sorter::new(0));
            let mut touched = touched.merge()?;
            self.touched = Touched::Given {
                candidates: candidates.merge()?,
                head: touched.next_entry()?,
                touched,
                since: HashSet::new(),
                bytes: 0,
            };
        }
        let Touched::Given {
            candidates,
            touched,
            head,
            since,
            ..
        } = &mut self.touched
        else {
            return Ok(None);
        };
        while let Some(entry) = candidates.next_entry()? {
            let gone = Gone::read(&entry)
                .ok_or_else(|| io::Error::other("the temporary sort file is corrupt"))?;
            let framed = search::framed(&gone.body);
            // Both are in this order.
            while head.as_ref().is_some_and(|head| *head < framed) {
                *head = touched.next_entry()?;
            }
            if head.as_ref() != Some(&framed) && !since.contains(gone.body.as_slice()) {
                return Ok(Some(gone));
            }
        }
        Ok(None)
    }

    /// Whether a candidate may be the key of a row of the table, in another form than `own`.
    pub(super) fn meets_another_form(&self, own: &walferry_avro::KeyReader) -> bool {
        let found = self.found.as_ref();
        found.is_some_and(|it| it.readers.values().any(|it| it.has_another_form(own)))
    }

    /// Reads keys of the schema with this id.
    pub(super) fn reader(&self, id: u32) -> Option<&walferry_avro::KeyReader> {
        self.found.as_ref()?.readers.get(&id)
    }
}

#[cfg(test)]
mod tests;
