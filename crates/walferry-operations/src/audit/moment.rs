//! The moment that is audited: which changes it holds.
//!
//! Owns the rule. By LSN alone it cannot be told: a change may stand in the WAL before the moment and be committed
//! after it. So a change is held when it stands before the moment and its transaction is one that the snapshot sees.
//! Source: PostgreSQL documentation, "Transaction ID and Snapshot Information Functions".

use std::collections::HashSet;

use walferry_event::Lsn;
use walferry_postgres::Visibility;

/// A moment between two commits.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Every transaction that commits before it is held, none that commits later.
    pub(crate) lsn: Lsn,
    /// Ids below `xmax` of transactions that were running, 32 bits as records have them.
    running: HashSet<u32>,
    /// Transactions from here on were running or had not begun.
    xmax: u64,
    /// No transaction with a change before the moment has this id or a later one.
    next: u64,
}

impl Moment {
    pub(crate) fn new(lsn: Lsn, visibility: &Visibility, next: u64) -> Moment {
        Moment {
            lsn,
            // Records have the low 32 bits.
            running: visibility.running().iter().map(|&xid| xid as u32).collect(),
            xmax: visibility.xmax(),
            next: next.max(visibility.xmax()),
        }
    }

    /// Whether the change is held. A row of a snapshot has no transaction, and what it was read from precedes its LSN.
    pub(crate) fn holds(&self, lsn: u64, xid: Option<u32>) -> bool {
        let Some(xid) = xid else {
            return lsn <= self.lsn.0;
        };
        let later = u64::from(xid.wrapping_sub(self.xmax as u32)) < self.next - self.xmax;
        lsn < self.lsn.0 && !later && !self.running.contains(&xid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_from_before_the_moment_is_held_only_when_its_transaction_is_seen() {
        let text = format!(
            "{0}:{1}:{2},{0}",
            (1_u64 << 32) - 1,
            (1_u64 << 32) + 10,
            (1_u64 << 32) + 5
        );
        let visibility: Visibility = text.parse().unwrap();
        let moment = Moment::new(Lsn(1000), &visibility, (1 << 32) + 20);
        for (lsn, xid, held) in [
            (999, Some(9), true),
            (999, Some(u32::MAX - 1), true),
            (999, Some(5), false),
            (999, Some(u32::MAX), false),
            (999, Some(10), false),
            (999, Some(19), false),
            (999, Some(20), true), // Of an earlier turn of the 32 bits.
            (1000, Some(9), false),
            (1000, None, true),
            (1001, None, false),
        ] {
            assert_eq!(moment.holds(lsn, xid), held, "{lsn} {xid:?}");
        }
    }
}
