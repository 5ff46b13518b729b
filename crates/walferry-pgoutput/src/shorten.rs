//! A message that is too long to keep: its values are passed over as they come, and all else is kept.
//!
//! Owns [`Shorten`], and the frame that it makes. Never: holds a value above [`VALUE_BYTES_MAX`]; I/O.
//! Invariant: the message of the frame parses as the one that came would have, with each long value in place of which
//! "unchanged" stands; so relation, operation, key and short values are known.
//!
//! ```text
//! cut frame  ┌───┬──────────┬───┬────────────────┬──────────────────────────────────────────────┐
//!            │'d'│ len: i32 │'!'│ came: u64      │ XLogData payload, its long values left out   │
//!            └───┴──────────┴───┴────────────────┴──────────────────────────────────────────────┘
//! ```
//! No server sends such a frame: the tag is ours.

use crate::Error;

/// Values up to this many bytes are kept. A key of a B-tree index is never longer.
pub const VALUE_BYTES_MAX: usize = 4 << 10;
/// Tag of the frame.
pub(crate) const CUT: u8 = b'!';
/// Tag, two LSNs and a time of XLogData, and the tag of the message in it.
const HEAD_BYTES: usize = 26;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    Relation,
    Part,
    Count,
    Kind,
    Length,
    MessageHead,
    MessagePrefix,
    MessageLength,
    Nothing,
}

/// Takes an XLogData payload piece by piece.
#[derive(Debug)]
pub struct Shorten {
    kept: Vec<u8>,
    /// A field that is not whole yet.
    field: Vec<u8>,
    wanted: usize,
    next: Next,
    operation: u8,
    kind: u8,
    /// Values of the tuple that are still to come, and whether it is the message's last.
    values_left: u16,
    last: bool,
    /// Bytes of a value that are still to come, and whether they are kept.
    passing: u64,
    keeping: bool,
    came: u64,
}

impl Default for Shorten {
    fn default() -> Shorten {
        Shorten {
            kept: Vec::new(),
            field: Vec::new(),
            wanted: HEAD_BYTES,
            next: Next::Head,
            operation: 0,
            kind: 0,
            values_left: 0,
            last: false,
            passing: 0,
            keeping: false,
            came: 0,
        }
    }
}

impl Shorten {
    /// The next bytes.
    ///
    /// # Errors
    /// They are not of a message with values.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.came += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.passing > 0 {
                let count = usize::try_from(self.passing)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let (value, rest) = bytes.split_at(count);
                if self.keeping {
                    self.kept.extend_from_slice(value);
                }
                self.passing -= count as u64;
                bytes = rest;
                continue;
            }
            let count = (self.wanted - self.field.len()).min(bytes.len());
            let (part, rest) = bytes.split_at(count);
            self.field.extend_from_slice(part);
            bytes = rest;
            if self.field.len() == self.wanted {
                let field = std::mem::take(&mut self.field);
                self.step(&field)?;
            }
        }
        Ok(())
    }

    /// The frame, when all has come.
    ///
    /// # Errors
    /// The message ends too early.
    pub fn frame(self) -> Result<Vec<u8>, Error> {
        if self.next != Next::Nothing || self.passing > 0 {
            return Err(self.error("as many bytes as the message says"));
        }
        let payload = size_of::<u8>() + size_of::<u64>() + self.kept.len();
        let len = u32::try_from(size_of::<u32>() + payload)
            .map_err(|_| self.error("values that are short when the long ones are left out"))?;
        let mut frame = Vec::with_capacity(1 + size_of::<u32>() + payload);
        frame.push(b'd');
        frame.extend_from_slice(&len.to_be_bytes());
        frame.push(CUT);
        frame.extend_from_slice(&self.came.to_be_bytes());
        frame.extend_from_slice(&self.kept);
        Ok(frame)
    }

    fn step(&mut self, field: &[u8]) -> Result<(), Error> {
        match self.next {
            Next::Head => {
                self.keep(field);
                self.operation = field[HEAD_BYTES - 1];
                match (field[0], self.operation) {
                    (b'w', b'I' | b'U' | b'D') => self.want(Next::Relation, 4),
                    (b'w', b'M') => self.want(Next::MessageHead, 9),
                    _ => {
                        return Err(
                            self.error("an insert, an update, a delete or a logical message")
                        );
                    }
                }
            }
            Next::Relation => {
                self.keep(field);
                self.want(Next::Part, 1);
            }
            Next::Part => {
                self.keep(field);
                self.last = match (self.operation, field[0]) {
                    (b'I' | b'U', b'N') => true,
                    (b'U', b'K' | b'O') => false,
                    (b'D', b'K' | b'O') => true,
                    _ => return Err(self.error("'N', 'K' or 'O'")),
                };
                self.want(Next::Count, 2);
            }
            Next::Count => {
                self.keep(field);
                self.values_left = u16::from_be_bytes([field[0], field[1]]);
                self.value_begins();
            }
            Next::Kind => match field[0] {
                b'n' | b'u' => {
                    self.keep(field);
                    self.value_ends();
                }
                b't' | b'b' => {
                    self.kind = field[0];
                    self.want(Next::Length, 4);
                }
                _ => return Err(self.error("'n', 'u', 't' or 'b'")),
            },
            Next::Length => {
                let len = number(field);
                self.keeping = len as usize <= VALUE_BYTES_MAX;
                if self.keeping {
                    self.kept.push(self.kind);
                    self.keep(field);
                } else {
                    self.kept.push(b'u');
                }
                self.passing = len.into();
                self.value_ends();
            }
            Next::MessageHead => {
                self.keep(field);
                self.want(Next::MessagePrefix, 1);
            }
            Next::MessagePrefix => {
                self.keep(field);
                if self.kept.len() > HEAD_BYTES + VALUE_BYTES_MAX {
                    return Err(self.error("the end of the prefix"));
                }
                match field[0] {
                    0 => self.want(Next::MessageLength, 4),
                    _ => self.want(Next::MessagePrefix, 1),
                }
            }
            Next::MessageLength => {
                self.keep(&[0; 4]);
                (self.passing, self.keeping) = (number(field).into(), false);
                self.want(Next::Nothing, 1);
            }
            Next::Nothing => return Err(self.error("the end of the message")),
        }
        Ok(())
    }

    fn want(&mut self, next: Next, bytes: usize) {
        (self.next, self.wanted) = (next, bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    fn value_begins(&mut self) {
        match (self.values_left, self.last) {
            (0, true) => self.want(Next::Nothing, 1),
            (0, false) => self.want(Next::Part, 1),
            _ => self.want(Next::Kind, 1),
        }
    }

    fn value_ends(&mut self) {
        self.values_left -= 1;
        self.value_begins();
    }

    fn error(&self, expected: &'static str) -> Error {
        Error::new(
            "long",
            usize::try_from(self.came).unwrap_or(usize::MAX),
            expected,
        )
    }
}

fn number(field: &[u8]) -> u32 {
    field
        .iter()
        .fold(0, |all, byte| all << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use walferry_event::{Datum, Lsn};

    use super::*;
    use crate::{Frame, Message, frames, parse};

    fn head(operation: u8) -> Vec<u8> {
        let mut payload = vec![b'w'];
        payload.extend_from_slice(&7_u64.to_be_bytes());
        payload.extend_from_slice(&7_u64.to_be_bytes());
        payload.extend_from_slice(&[0; 8]);
        payload.push(operation);
        payload
    }

    fn text(payload: &mut Vec<u8>, value: &[u8]) {
        payload.push(b't');
        payload.extend_from_slice(&(value.len() as u32).to_be_bytes());
        payload.extend_from_slice(value);
    }

    fn shortened(payload: &[u8], step: usize) -> Vec<u8> {
        let mut shorten = Shorten::default();
        for piece in payload.chunks(step) {
            shorten.take(piece).unwrap();
        }
        shorten.frame().unwrap()
    }

    #[test]
    fn long_values_are_left_out_and_the_rest_is_as_it_came() {
        let long = vec![b'x'; VALUE_BYTES_MAX + 1];
        let mut payload = head(b'U');
        payload.extend_from_slice(&9_u32.to_be_bytes());
        payload.extend_from_slice(b"O\0\x03");
        text(&mut payload, b"1");
        text(&mut payload, &long);
        payload.push(b'n');
        payload.extend_from_slice(b"N\0\x03");
        text(&mut payload, b"2");
        payload.push(b'u');
        text(&mut payload, &long);
        for step in [1, 3, 4096, payload.len()] {
            let frame = shortened(&payload, step);
            let mut walk = frames(&frame);
            let Some(Ok(Frame::Cut(cut))) = walk.next() else {
                panic!("a cut frame");
            };
            assert!(walk.next().is_none());
            assert_eq!((cut.bytes, cut.data.start), (payload.len() as u64, Lsn(7)));
            let Message::Update(update) = parse(cut.data.body, false).unwrap() else {
                panic!("an update");
            };
            assert_eq!(update.relation, 9);
            let mut new = Vec::new();
            update.new.datums(&mut new);
            assert_eq!(new, [Datum::Text(b"2"), Datum::Unchanged, Datum::Unchanged]);
        }
    }

    #[test]
    fn a_logical_message_keeps_its_prefix() {
        let mut payload = head(b'M');
        payload.push(1);
        payload.extend_from_slice(&7_u64.to_be_bytes());
        payload.extend_from_slice(b"outbox\0");
        payload.extend_from_slice(&5_u32.to_be_bytes());
        payload.extend_from_slice(b"12345");
        let frame = shortened(&payload, 2);
        let Some(Ok(Frame::Cut(cut))) = frames(&frame).next() else {
            panic!("a cut frame");
        };
        let Message::Logical(message) = parse(cut.data.body, false).unwrap() else {
            panic!("a logical message");
        };
        assert_eq!((message.prefix, message.content), ("outbox", &b""[..]));
    }

    #[test]
    fn bytes_that_are_no_such_message_are_an_error_and_never_a_panic() {
        assert!(Shorten::default().take(&head(b'R')).is_err());
        let mut early = Shorten::default();
        early.take(&head(b'I')).unwrap();
        assert!(early.frame().is_err());
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let mut payload = head(b"IUDM"[seed as usize % 4]);
            for _ in 0..24 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                payload.push(b"NKOtnu\0\0\0\0\x01\x02"[(seed >> 16) as usize % 12]);
            }
            let mut shorten = Shorten::default();
            if shorten.take(&payload).is_ok()
                && let Ok(frame) = shorten.frame()
            {
                let Some(Ok(Frame::Cut(cut))) = frames(&frame).next() else {
                    panic!("a cut frame");
                };
                parse(cut.data.body, false).unwrap();
            }
        }
    }
}
