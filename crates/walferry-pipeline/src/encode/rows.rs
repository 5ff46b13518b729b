//! The values of one change as the stream brings them: old and new row, filled over and over.
//!
//! Owns the two buffers. Never allocates for a row once they have grown.

use walferry_event::Datum;
use walferry_pgoutput::{Old as OldTuple, Tuple};

use crate::changes::Old;

/// The values of one change, in buffers that are used again for the next.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) old: Vec<Datum<'a>>,
    pub(super) new: Vec<Datum<'a>>,
}

impl<'a> Rows<'a> {
    /// Fills both rows. A value that an update did not touch is taken from the old row where that has it (replica
    /// identity full). Returns how to look at the old row.
    pub(super) fn fill(
        &mut self,
        old: Option<OldTuple<'a>>,
        new: Option<Tuple<'a>>,
    ) -> for<'r> fn(&'r Rows<'a>) -> Option<Old<'r>> {
        self.old.clear();
        self.new.clear();
        if let Some(new) = new {
            new.datums(&mut self.new);
        }
        match old {
            None => |_| None,
            Some(OldTuple::Key(tuple)) => {
                tuple.datums(&mut self.old);
                |rows| Some(Old::Key(&rows.old))
            }
            Some(OldTuple::Full(tuple)) => {
                tuple.datums(&mut self.old);
                for (new, old) in self.new.iter_mut().zip(&self.old) {
                    if *new == Datum::Unchanged {
                        *new = *old;
                    }
                }
                |rows| Some(Old::Full(&rows.old))
            }
        }
    }
}
