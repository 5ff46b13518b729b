//! Why bytes are not a message.

use std::fmt;

use walferry_event::Disposition;

/// Bytes that are not what the protocol says. Names the message, the offset in it, and what was expected.
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
