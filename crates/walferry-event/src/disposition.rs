//! What to do about an error, whichever stage it came from.

/// The way on after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The same call may succeed later.
    Retry,
    /// The connection is gone: open a new one and go on from the durable position.
    Reconnect,
    /// Trying again cannot help: a person has to change something.
    Halt,
}
