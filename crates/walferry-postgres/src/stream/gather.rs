//! How long a burst gathers before it is read, and whether it is read on.
//!
//! Owns [`Gather`]. Never: sleeps or reads; that is the follower's.
//! Invariant: a pause is [`PAUSE_MIN`] at least and [`PAUSE_MAX`] at most.
//!
//! Within one machine the kernel carries each message of the walsender to this socket in the walsender's own time, unless
//! the receive window is closed: then the message is appended to what waits at the sender, for a third of the price. So
//! the window is kept small there, and the pause as long as it takes to close it. What is left in the socket after a read
//! was at the sender before, and tells where that stands:
//!
//! ```text
//!   left after a read:  0 ........ half a window ........ 7/8 of one ........ the window
//!   the next pause:     a quarter longer     the same                a sixteenth shorter, or none
//! ```
//!
//! From another machine the messages come in the sender's time whatever the window; there the pause is always the
//! shortest, and the window what [`Socket`] asks for at first.

use std::time::Duration;

use crate::socket::Socket;

/// No longer than feedback may be late.
const PAUSE_MAX: Duration = Duration::from_millis(4);
const PAUSE_MIN: Duration = Duration::from_micros(500);
/// Two whole segments of the loopback interface, which are just short of 64 KiB each.
const WINDOW_BYTES: usize = 128 << 10;
/// As much left shows that the window is too small for the pause.
const FULL_BYTES: usize = WINDOW_BYTES / 8 * 7;
/// Less left shows that the window was open for most of the pause.
const OPEN_BYTES: usize = WINDOW_BYTES / 2;
/// A flow of fewer bytes in a microsecond is worth no delay.
const BUSY_BYTES_PER_US: u128 = 8;

/// The pauses of one stream.
pub(super) struct Gather {
    near: bool,
    pause: Duration,
}

impl Gather {
    /// Makes the window of a socket small if the peer is on the same machine.
    pub(super) fn on(socket: &Socket) -> Gather {
        Gather {
            near: socket.narrow_if_near(WINDOW_BYTES),
            pause: PAUSE_MIN,
        }
    }

    /// How long the next burst gathers.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// Whether a burst goes on with what is left in the socket, since shorter pauses would not keep up.
    pub(super) fn reads_on(&self, socket: &Socket) -> bool {
        self.near && self.pause == PAUSE_MIN && socket.waiting() >= FULL_BYTES
    }

    /// Takes note of what a burst brought.
    pub(super) fn learn(&mut self, gained: usize, socket: &Socket) {
        if self.near {
            self.pause = next(self.pause, gained, socket.waiting());
        }
    }
}

/// The pause that follows one that brought `gained` bytes and left so many.
fn next(pause: Duration, gained: usize, left: usize) -> Duration {
    if (gained as u128) < pause.as_micros() * BUSY_BYTES_PER_US {
        PAUSE_MIN
    } else if left < OPEN_BYTES {
        (pause * 5 / 4).min(PAUSE_MAX)
    } else if left >= FULL_BYTES {
        (pause * 15 / 16).max(PAUSE_MIN)
    } else {
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_until_the_window_closes_and_shrinks_when_it_is_too_small() {
        let mut pause = PAUSE_MIN;
        for _ in 0..20 {
            pause = next(pause, WINDOW_BYTES, 0);
        }
        assert_eq!(pause, PAUSE_MAX);
        assert_eq!(next(pause, WINDOW_BYTES, OPEN_BYTES), PAUSE_MAX);
        assert!(next(pause, WINDOW_BYTES, FULL_BYTES) < PAUSE_MAX);
        for _ in 0..40 {
            pause = next(pause, WINDOW_BYTES, FULL_BYTES);
        }
        assert_eq!(pause, PAUSE_MIN);
    }

    #[test]
    fn a_flow_of_little_is_not_delayed() {
        // 4 MB/s at the longest pause.
        assert_eq!(next(PAUSE_MAX, 16_000, 0), PAUSE_MIN);
        assert_eq!(next(PAUSE_MIN, 3_999, 0), PAUSE_MIN);
        assert!(next(PAUSE_MIN, 4_000, 0) > PAUSE_MIN);
    }
}
