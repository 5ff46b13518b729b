//! The values of one change as the stream brings them: old and new row, filled over and over.
//!
//! Owns the two buffers. Never allocates for a row once they have grown.

use walferry_event::Datum;
use walferry_pgoutput::{Old as OldTuple, Tuple};

use crate::encode::change_records::Old;

/// The values of one change, in buffers that are used again for the next.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) old: Vec<Datum<'a>>,
    pub(super) new: Vec<Datum<'a>>,
}

impl<'a> Rows<'a> {
    /// Fills both rows. A value that an update did not touch is taken from the old row where that has it: with replica
    /// identity full, and in a key that is stored out of line, which the server sends along for this. NULL is not such a
    /// value: what is stored out of line is none, and the old row that a leaf wrote may be one of its key alone although the
    /// marker, which is the partitioned table's, calls it whole. Returns how to look at the old row.
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
                self.restore();
                |rows| Some(Old::Key(&rows.old))
            }
            Some(OldTuple::Full(tuple)) => {
                tuple.datums(&mut self.old);
                self.restore();
                |rows| Some(Old::Full(&rows.old))
            }
        }
    }

    /// Takes values that are not sent from the old row, where it has them: one of the key's columns only has NULL in
    /// place of the others.
    fn restore(&mut self) {
        for (new, old) in self.new.iter_mut().zip(&self.old) {
            if *new == Datum::Unchanged && *old != Datum::Null {
                *new = *old;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use walferry_pgoutput::Message;

    use super::*;

    /// An update of a row (key, note, number) whose key and note are stored out of line and not touched.
    fn update(old: &[u8]) -> Vec<u8> {
        let mut bytes = b"U\0\0\0\x07".to_vec();
        bytes.extend_from_slice(old);
        bytes.extend_from_slice(b"N\0\x03uut\0\0\0\x012");
        bytes
    }

    fn filled(bytes: &[u8]) -> Vec<Datum<'_>> {
        let Message::Update(update) = walferry_pgoutput::parse(bytes, false).unwrap() else {
            panic!("it is an update");
        };
        let mut rows = Rows::default();
        let old = rows.fill(update.old, Some(update.new));
        assert!(old(&rows).is_some());
        rows.new
    }

    #[test]
    fn a_key_out_of_line_is_taken_from_the_old_key_and_nothing_else_is() {
        let new = update(b"K\0\x03t\0\0\0\x03keynn");
        let expected = [Datum::Text(b"key"), Datum::Unchanged, Datum::Text(b"2")];
        assert_eq!(filled(&new), expected);
    }

    #[test]
    fn of_a_full_old_row_every_untouched_value_is_taken() {
        let new = update(b"O\0\x03t\0\0\0\x03keyt\0\0\0\x04notet\0\0\0\x011");
        let expected = [Datum::Text(b"key"), Datum::Text(b"note"), Datum::Text(b"2")];
        assert_eq!(filled(&new), expected);
    }

    #[test]
    fn a_null_is_not_taken_for_a_value_that_was_not_touched() {
        let new = update(b"O\0\x03t\0\0\0\x03keynn");
        let expected = [Datum::Text(b"key"), Datum::Unchanged, Datum::Text(b"2")];
        assert_eq!(filled(&new), expected);
    }
}
