//! Reads big-endian fields off a byte slice, and says where it ended too early.
//!
//! Owns: a place in the bytes of one message. Never: copies, or looks behind it.
//! Invariant: the rest only shrinks, so `offset = len - rest.len()` needs no counter of its own.

use walferry_event::Lsn;

use crate::{Error, unix_us};

/// A place in the bytes of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// How many bytes there were at the start.
    len: usize,
    /// What errors call the message.
    message: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], message: &'static str) -> Cursor<'a> {
        Cursor {
            rest: bytes,
            len: bytes.len(),
            message,
        }
    }

    /// From here on, errors name this message.
    pub(crate) fn name(&mut self, message: &'static str) {
        self.message = message;
    }

    /// What was expected is not here.
    #[cold]
    pub(crate) fn error(&self, expected: &'static str) -> Error {
        Error::new(self.message, self.len - self.rest.len(), expected)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(self.error("the end of the message"))
        }
    }

    pub(crate) fn take(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.error(expected));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// What lies between here and `later`, which has moved on from here.
    pub(crate) fn until(&self, later: &Cursor<'a>) -> &'a [u8] {
        // `later` is a copy of this cursor that has only shrunk, so its rest is a tail of ours.
        let len = self.rest.len().saturating_sub(later.rest.len());
        self.rest.get(..len).unwrap_or_default()
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Error> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(expected));
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, Error> {
        self.array::<1>(expected).map(|[byte]| byte)
    }

    /// A byte that `read` knows. When it does not, the error points at the byte, not behind it.
    pub(crate) fn code<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, Error> {
        let before = *self;
        let byte = self.u8(expected)?;
        read(byte).ok_or_else(|| before.error(expected))
    }

    pub(crate) fn u16(&mut self, expected: &'static str) -> Result<u16, Error> {
        self.array(expected).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, expected: &'static str) -> Result<u32, Error> {
        self.array(expected).map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self, expected: &'static str) -> Result<i32, Error> {
        self.array(expected).map(i32::from_be_bytes)
    }

    pub(crate) fn lsn(&mut self, expected: &'static str) -> Result<Lsn, Error> {
        self.array(expected)
            .map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    /// A time, as microseconds since 1970.
    pub(crate) fn time_us(&mut self, expected: &'static str) -> Result<i64, Error> {
        self.array(expected)
            .map(|bytes| unix_us(i64::from_be_bytes(bytes)))
    }

    /// A zero-terminated name, which has to be UTF-8.
    pub(crate) fn text(&mut self, expected: &'static str) -> Result<&'a str, Error> {
        let before = *self;
        let len = self.rest.iter().position(|&byte| byte == 0);
        let len = len.ok_or_else(|| before.error(expected))?;
        let bytes = self.take(len, expected)?;
        self.u8(expected)?;
        std::str::from_utf8(bytes).map_err(|_| before.error(expected))
    }
}
