//! Why bytes are not a message.
//!
//! Owns the one error of this crate. Never: carries bytes of the message, which may be a row's.
//! Invariant: `offset <= len of the message`.

use std::fmt;

use walferry_event::Disposition;

/// Bytes that are not what the protocol says: names the message, the offset in it, and what was
/// expected there.
///
/// | the operator sees | because | remedy |
/// |---|---|---|
/// | `expected a known message tag` | the plugin is not pgoutput, or is newer | check the slot |
/// | `expected the end of the message` | a newer protocol appended a field | update Walferry |
/// | any other | the bytes were damaged on the way | restart; report it if it stays |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: &'static str,
    offset: usize,
    expected: &'static str,
}

impl Error {
    pub(crate) fn new(message: &'static str, offset: usize, expected: &'static str) -> Error {
        Error {
            message,
            offset,
            expected,
        }
    }

    /// The same bytes will not parse the next time either.
    pub fn disposition(&self) -> Disposition {
        Disposition::Halt
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "malformed {} message: expected {} at byte {}",
            self.message, self.expected, self.offset
        )
    }
}

impl std::error::Error for Error {}
