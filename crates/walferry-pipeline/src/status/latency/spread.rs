//! How figures are spread, for quantiles: counts over buckets that grow with the value.
//!
//! Owns: [`Spread`]. Invariant: a quantile is off by a sixteenth of itself at most. Adding allocates nothing.

/// Buckets for each doubling, as a power of two.
const STEPS_LOG2: u32 = 3;
const STEPS: u64 = 1 << STEPS_LOG2;
/// Above 2^36 µs, which are 19 hours, all counts as that.
const DOUBLINGS: u32 = 36;
const BUCKETS: usize = ((DOUBLINGS - STEPS_LOG2 + 2) << STEPS_LOG2) as usize;

/// Counts of microseconds.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    counts: [u32; BUCKETS],
}

impl Default for Spread {
    fn default() -> Spread {
        Spread {
            counts: [0; BUCKETS],
        }
    }
}

impl Spread {
    /// So many figures of this value.
    pub(super) fn add(&mut self, us: u64, times: u32) {
        let count = &mut self.counts[bucket(us)];
        *count = count.saturating_add(times);
    }

    /// All figures of another.
    pub(super) fn merge(&mut self, other: &Spread) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// The value that so many of a hundred figures do not exceed.
    pub(super) fn quantile(&self, percent: u64) -> u64 {
        let all: u64 = self.counts.iter().copied().map(u64::from).sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return middle(at);
            }
        }
        0
    }
}

fn bucket(us: u64) -> usize {
    let us = us.min((1 << (DOUBLINGS + 1)) - 1);
    if us < STEPS {
        return us as usize;
    }
    let doubling = us.ilog2();
    let step = (us >> (doubling - STEPS_LOG2)) & (STEPS - 1);
    (u64::from(doubling - STEPS_LOG2 + 1) * STEPS + step) as usize
}

fn middle(bucket: usize) -> u64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match row {
        0 => step,
        row => {
            let width = 1 << (row - 1);
            (STEPS + step) * width + width / 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_off_by_a_sixteenth_at_most() {
        for us in (0..64).chain((0..36).flat_map(|it| [1 << it, (1 << it) + (1 << it) / 3])) {
            let mut spread = Spread::default();
            spread.add(us, 3);
            let said = spread.quantile(50);
            assert!(
                said.abs_diff(us) * 16 <= us.max(1),
                "{us} is told as {said}"
            );
        }
        let mut spread = Spread::default();
        spread.add(u64::MAX, 1);
        assert!(spread.quantile(99) > 1 << 36);
    }

    #[test]
    fn quantiles_are_of_all_that_was_added() {
        let (mut spread, mut other) = (Spread::default(), Spread::default());
        assert_eq!(spread.quantile(50), 0);
        spread.add(5, 98);
        other.add(7, 1);
        other.add(1_000_000, 1);
        spread.merge(&other);
        assert_eq!((spread.quantile(50), spread.quantile(98)), (5, 5));
        assert_eq!(spread.quantile(99), 7);
        assert!(spread.quantile(100) > 900_000);
    }
}
