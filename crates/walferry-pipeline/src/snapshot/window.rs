//! The rule of the watermark: which rows of a chunk the stream has overtaken. Pure.
//!
//! Owns `Window`: what streamed changes have touched in one table since the window was opened, and what becomes of each row
//! of a chunk that was read meanwhile. The order is `open` ≤ snapshot taken ≤ … ≤ judged, and:
//! every transaction that was streamed before `open` is seen by the snapshot (`recent` checks that), and every transaction
//! that the snapshot sees has been streamed when a row is judged (the stream has passed the WAL insert position read just after the snapshot was taken).
//! So a row that nothing has touched since is the row as the stream has it, and a row that was touched is in the stream.
//! Invariants: a row is given once or not at all; a window that cannot say so any more is void.
//!
//! A touched row is dropped, but for one case: when all that has come since are updates which left a TOAST value out, the stream
//! does not hold that value. Then the row is given with what those updates wrote in place of what was read; the value that
//! they left out is the one that was read, because none of them has changed it.

use std::collections::{HashMap, hash_map::Entry};

use walferry_event::Datum;
use walferry_postgres::Visibility;

use crate::encode::change_records::{Change, Old};

/// What tells rows of a table apart, in the stream and in a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The values of these columns.
    Key(Vec<usize>),
    /// Nothing does: rows with equal values are equal. Only removals count, and only those that the snapshot does not see.
    Bag,
}

/// What has been touched since the window was opened.
#[derive(Debug)]
pub(crate) struct Window {
    identity: Identity,
    touched: HashMap<Box<[u8]>, Touch>,
    bytes: usize,
    void: Option<Void>,
}

#[derive(Debug)]
enum Touch {
    /// The stream holds the row whole, or its end.
    Replaced,
    /// The stream holds what is here; the rest is as it was.
    Patched(Vec<Patch>),
    /// Rows with these values were removed by these transactions.
    Removed(Vec<u32>),
}

/// What updates wrote to a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Patch {
    /// They left it out.
    Unchanged,
    Null,
    Text(Box<[u8]>),
}

/// Why nothing can be said about the chunk any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Void {
    /// The table was truncated.
    Truncated,
    /// More was touched than is kept.
    Full,
}

/// What becomes of a row of the chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It is given as it was read.
    Give,
    /// It is given with these values.
    GiveAs(Vec<Datum<'a>>),
    /// The stream has it, or its end.
    Drop,
}

/// Bytes of touched keys and values that one window keeps; beyond, its chunk is read again with fewer rows.
pub(crate) const TOUCHED_BYTES_MAX: usize = 8 << 20;
/// What an entry takes beside its key.
const ENTRY_BYTES: usize = 64;

impl Window {
    pub(crate) fn new(identity: Identity) -> Window {
        Window {
            identity,
            touched: HashMap::new(),
            bytes: 0,
            void: None,
        }
    }

    /// Why the chunk has to be read again.
    pub(crate) fn void(&self) -> Option<Void> {
        self.void
    }

    /// The stream brings a change of the table.
    pub(crate) fn touch(&mut self, change: &Change<'_>, xid: u32) {
        if self.void.is_some() {
            return;
        }
        match (change, &self.identity) {
            (Change::Truncate, _) => self.give_up(Void::Truncated),
            (Change::Read(_), _) => {}
            (
                Change::Update(Some(Old::Full(old)), _) | Change::Delete(Old::Full(old)),
                Identity::Bag,
            ) => {
                let key = print(old.iter());
                self.removed(key, xid);
            }
            (_, Identity::Bag) => {}
            (Change::Insert(new), Identity::Key(columns)) => {
                let key = key_of(columns, new, None);
                self.replaced(key);
            }
            (Change::Delete(old), Identity::Key(columns)) => {
                let key = key_of(columns, old.datums(), None);
                self.replaced(key);
            }
            (Change::Update(old, new), Identity::Key(columns)) => {
                let old = old.map(Old::datums);
                let key = key_of(columns, new, old);
                if let Some(old) = old {
                    let before = key_of(columns, old, None);
                    if before != key {
                        self.replaced(before);
                    }
                }
                self.updated(key, new);
            }
        }
        if self.bytes > TOUCHED_BYTES_MAX {
            self.give_up(Void::Full);
        }
    }

    fn give_up(&mut self, why: Void) {
        self.void = Some(why);
        self.touched = HashMap::new();
        self.bytes = 0;
    }

    fn replaced(&mut self, key: Box<[u8]>) {
        let size = key.len() + ENTRY_BYTES;
        if self.touched.insert(key, Touch::Replaced).is_none() {
            self.bytes += size;
        }
    }

    fn removed(&mut self, key: Box<[u8]>, xid: u32) {
        self.bytes += key.len() + ENTRY_BYTES;
        match self
            .touched
            .entry(key)
            .or_insert(Touch::Removed(Vec::new()))
        {
            Touch::Removed(xids) => xids.push(xid),
            other => *other = Touch::Removed(vec![xid]),
        }
    }

    fn updated(&mut self, key: Box<[u8]>, new: &[Datum<'_>]) {
        if !new.contains(&Datum::Unchanged) {
            return self.replaced(key);
        }
        let mut size = 0;
        let entry = match self.touched.entry(key) {
            Entry::Vacant(entry) => {
                size += entry.key().len() + ENTRY_BYTES;
                entry.insert(Touch::Patched(vec![Patch::Unchanged; new.len()]))
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        // After a change that brought the row whole, what an update leaves out is in the stream.
        if let Touch::Patched(patches) = entry {
            // The table has other columns by now; the chunk is read again for that reason.
            patches.resize(new.len(), Patch::Unchanged);
            for (patch, value) in patches.iter_mut().zip(new) {
                match value {
                    Datum::Unchanged => {}
                    Datum::Null => *patch = Patch::Null,
                    Datum::Text(text) | Datum::Binary(text) => {
                        size += text.len();
                        *patch = Patch::Text((*text).into());
                    }
                }
            }
        }
        self.bytes += size;
    }

    /// Whether rows without a key were removed.
    pub(crate) fn has_removals(&self) -> bool {
        self.identity == Identity::Bag && !self.touched.is_empty()
    }

    /// Whether a row with these values was removed and the snapshot does not see it: of several that are equal in every value,
    /// the stream does not say which.
    pub(crate) fn is_unclear(&self, row: &[Datum<'_>], visibility: &Visibility) -> bool {
        match self.touched.get(&print(row.iter())) {
            Some(Touch::Removed(xids)) => xids.iter().any(|&xid| !visibility.sees(xid)),
            _ => false,
        }
    }

    /// What becomes of a row that was read in the snapshot with this visibility.
    pub(crate) fn judge<'a>(
        &'a mut self,
        row: &[Datum<'a>],
        visibility: &Visibility,
    ) -> Verdict<'a> {
        if self.touched.is_empty() {
            return Verdict::Give;
        }
        let key = match &self.identity {
            Identity::Key(columns) => key_of(columns, row, None),
            Identity::Bag => print(row.iter()),
        };
        match self.touched.get_mut(&key) {
            None => Verdict::Give,
            Some(Touch::Replaced) => Verdict::Drop,
            Some(Touch::Removed(xids)) => {
                // One row for each removal that the snapshot does not see; those that it sees are not among its rows.
                match xids.iter().position(|&xid| !visibility.sees(xid)) {
                    Some(unseen) => {
                        xids.swap_remove(unseen);
                        Verdict::Drop
                    }
                    None => Verdict::Give,
                }
            }
            Some(Touch::Patched(patches)) => Verdict::GiveAs(
                row.iter()
                    .zip(patches)
                    .map(|(&read, patch)| match patch {
                        Patch::Unchanged => read,
                        Patch::Null => Datum::Null,
                        Patch::Text(text) => Datum::Text(text),
                    })
                    .collect(),
            ),
        }
    }
}

/// The identity's values in one buffer, each with its length, so that no two identities are alike. A value that the new row
/// leaves out is the old one's.
fn key_of(columns: &[usize], row: &[Datum<'_>], old: Option<&[Datum<'_>]>) -> Box<[u8]> {
    let value = |&column: &usize| match row.get(column) {
        Some(Datum::Unchanged) | None => old
            .and_then(|old| old.get(column))
            .unwrap_or(&Datum::Unchanged),
        Some(value) => value,
    };
    print(columns.iter().map(value))
}

fn print<'r, 'd: 'r>(values: impl Iterator<Item = &'r Datum<'d>>) -> Box<[u8]> {
    let mut bytes = Vec::new();
    for value in values {
        match value {
            Datum::Null => bytes.push(0),
            Datum::Unchanged => bytes.push(1),
            Datum::Text(text) | Datum::Binary(text) => {
                bytes.push(2);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text);
            }
        }
    }
    bytes.into()
}

#[cfg(test)]
mod tests;
