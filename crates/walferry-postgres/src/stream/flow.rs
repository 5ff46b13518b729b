//! Whether the stream comes in bursts, judged by its reads.
//!
//! Owns the account of reads while it does not. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// A read that brings as much shows that more is on its way.
pub(super) const FLOW_BYTES: usize = 4 << 10;
/// As many reads within [`FLOW_WINDOW`] show the same when each brings little.
const FLOW_READS: u32 = 8;
const FLOW_WINDOW: Duration = Duration::from_millis(2);

/// Whether the stream comes in bursts now.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) is_on: bool,
    /// Reads since `window`, while it is off.
    reads: u32,
    window: Instant,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Flow {
        Flow {
            is_on: false,
            reads: 0,
            window: now,
        }
    }

    /// A read that was waited for has brought so many bytes.
    pub(super) fn read(&mut self, count: usize, now: Instant) {
        if now.duration_since(self.window) > FLOW_WINDOW {
            (self.window, self.reads) = (now, 0);
        }
        self.reads += 1;
        self.is_on = count >= FLOW_BYTES || self.reads >= FLOW_READS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_read_or_many_in_a_row_are_a_flow() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        flow.read(FLOW_BYTES, now);
        assert!(flow.is_on);
        flow.read(1, now);
        assert!(!flow.is_on, "it is judged by each read anew");
        for _ in 0..5 {
            flow.read(1, now + FLOW_WINDOW);
        }
        assert!(!flow.is_on);
        flow.read(1, now + FLOW_WINDOW);
        assert!(flow.is_on, "the eighth of a window");
        flow.read(1, now + 2 * FLOW_WINDOW + Duration::from_nanos(1));
        assert!(!flow.is_on, "another window");
    }
}
