//! When a block of the stream came to each stage, and what the encode thread did with it: measured for each block, never for a row.
//!
//! Owns the encode thread's clock readings: two for a block. Never: knows a transaction; its times are in its mark.
//! Invariant: from `taken` to `encoded` is exactly the sum of `spent`.

use std::time::{Duration, Instant};

use crate::{clock::Moment, status::latency::work::Work};

/// How a block came to the encode thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its last byte came off the socket.
    pub(crate) received: Instant,
    /// How long it was held back behind that, for want of room; nothing was read meanwhile.
    pub(crate) held_back: Duration,
    /// When the encode thread took it up.
    pub(crate) taken: Moment,
}

/// The way of what stands in a block of records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    pub(crate) arrival: Arrival,
    /// When it was encoded.
    pub(crate) encoded: Instant,
    /// What has passed since it was taken up.
    pub(crate) spent: Work,
    /// What the encode thread has done since the block of records before.
    pub(crate) did: Work,
}

/// The clock of the block that is being encoded.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    arrival: Option<Arrival>,
    spent: Work,
    did: Work,
    /// When the block that is looked at was taken up, in Unix microseconds.
    pub(crate) now_us: i64,
    /// When the server sent the frame that is looked at, by its own clock.
    pub(crate) sent_us: i64,
}

impl Clock {
    /// A block is taken up.
    pub(crate) fn begins(&mut self, arrival: Arrival) {
        self.arrival = Some(arrival);
        self.now_us = arrival.taken.us;
        self.spent = Work::default();
    }

    /// Nothing more comes of the block.
    pub(crate) fn ends(&mut self) {
        self.arrival = None;
    }

    /// Servers were waited for.
    pub(crate) fn waited(&mut self, work: Work) {
        self.spent += work;
        self.did += work;
    }

    /// What was encoded up to now is handed over.
    pub(crate) fn encoded(&mut self, now: Instant) -> Option<Passage> {
        let arrival = self.arrival?;
        let since = now.saturating_duration_since(arrival.taken.monotonic);
        self.waited(Work {
            encode: since.saturating_sub(self.spent.sum()),
            ..Work::default()
        });
        Some(Passage {
            arrival,
            encoded: now,
            spent: self.spent,
            did: std::mem::take(&mut self.did),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_no_encoding_and_all_adds_up() {
        let begun = Instant::now();
        let ms = Duration::from_millis;
        let taken = Moment {
            us: 0,
            monotonic: begun,
        };
        let mut clock = Clock::default();
        assert!(clock.encoded(begun).is_none(), "no block is taken up");
        clock.begins(Arrival {
            received: begun,
            held_back: ms(0),
            taken,
        });
        let registry = Work {
            registry: ms(30),
            ..Work::default()
        };
        clock.waited(registry);
        let first = clock.encoded(begun + ms(40)).unwrap();
        assert_eq!((first.spent.encode, first.spent.sum()), (ms(10), ms(40)));
        assert_eq!(first.did, first.spent);
        // The publisher was in no hurry.
        let kafka = Work {
            kafka: ms(50),
            ..Work::default()
        };
        clock.waited(kafka);
        let second = clock.encoded(begun + ms(95)).unwrap();
        assert_eq!((second.spent.encode, second.spent.sum()), (ms(15), ms(95)));
        assert_eq!((second.did.encode, second.did.registry), (ms(5), ms(0)));
        assert_eq!(second.did.kafka, ms(50));
        clock.ends();
        assert!(clock.encoded(begun + ms(200)).is_none());
    }
}
