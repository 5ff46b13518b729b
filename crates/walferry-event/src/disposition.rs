//! What to do about an error, whichever stage it came from.

/// The way on after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The server is away: the same call succeeds once it is back. It is waited for without an end.
    Wait,
    /// The same call may succeed later. It is no outage, so the tries are counted.
    Retry,
    /// The connection is gone: open a new one and go on from the durable position. What keeps a new one from being had
    /// is waited for without an end.
    Reconnect,
    /// Trying again cannot help: a person has to change something.
    Halt,
}

impl Disposition {
    /// Whether the server is away, which no number of tries bounds.
    pub fn is_outage(self) -> bool {
        matches!(self, Disposition::Wait | Disposition::Reconnect)
    }
}
