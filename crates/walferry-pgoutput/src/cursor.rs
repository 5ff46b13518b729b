//! Reads big-endian fields off a byte slice, and says where it ended too early.

use walferry_event::Lsn;

use crate::{Error, unix_us};

/// A place in the bytes of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    message: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], message: &'static str) -> Cursor<'a> {
        Cursor {
            all: bytes,
            rest: bytes,
            message,
        }
    }

    /// From here on, errors name this message.
    pub(crate) fn name(&mut self, message: &'static str) {
        self.message = message;
    }

    pub(crate) fn error(&self, expected: &'static str) -> Error {
        Error::new(self.message, self.all.len() - self.rest.len(), expected)
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
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| self.error(expected))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Error> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| self.error(expected))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, Error> {
        self.array::<1>(expected).map(|[byte]| byte)
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
        let len = self
            .rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or_else(|| self.error(expected))?;
        let text = std::str::from_utf8(&self.rest[..len]).map_err(|_| self.error(expected))?;
        self.rest = &self.rest[len + 1..];
        Ok(text)
    }
}
