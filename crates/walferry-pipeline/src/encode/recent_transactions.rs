//! Ids of transactions that the stream has brought lately: some of them may still be running as a snapshot sees it.
//!
//! Owns `Recent`. Pure. A commit record is in the WAL, and streamed, before its transaction leaves the set of running ones.
//! Invariant: an id that was noted is reported as streamed, or is not after `Recent::forgotten`.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use walferry_postgres::Visibility;

/// The ids, in the order of the stream.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    ids: VecDeque<u32>,
    forgotten: Option<u32>,
}

/// Ids that are kept: a MiB of them.
const IDS_MAX: usize = 256 * 1024;

impl Recent {
    /// The stream has begun to bring this transaction.
    pub(crate) fn note(&mut self, xid: u32) {
        if self.ids.len() >= IDS_MAX
            && let Some(oldest) = self.ids.pop_front()
        {
            let newer = self
                .forgotten
                .is_none_or(|known| oldest.wrapping_sub(known) as i32 > 0);
            if newer {
                self.forgotten = Some(oldest);
            }
        }
        self.ids.push_back(xid);
    }

    /// Everything that was streamed up to here.
    pub(crate) fn before(&self) -> Streamed {
        Streamed {
            ids: Arc::new(self.ids.iter().copied().collect()),
            forgotten: self.forgotten,
        }
    }

    /// A snapshot was taken after everything in `before` was streamed: what had ended then is of no interest any more.
    pub(crate) fn ended(&mut self, before: &Streamed, visibility: &Visibility) {
        self.ids
            .retain(|xid| !before.ids.contains(xid) || !visibility.sees(*xid));
        if visibility.running().is_empty() {
            self.forgotten = None;
        }
    }
}

/// The transactions that were streamed before a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streamed {
    ids: Arc<HashSet<u32>>,
    forgotten: Option<u32>,
}

impl Streamed {
    /// Whether the snapshot sees each of these transactions. One that was noted too long ago to be remembered counts as
    /// unseen while anything as old as it is still running.
    pub(crate) fn all_seen(&self, visibility: &Visibility) -> bool {
        visibility.running().iter().all(|&running| {
            let running = running as u32;
            let maybe_forgotten = self
                .forgotten
                .is_some_and(|newest| newest.wrapping_sub(running) as i32 >= 0);
            !self.ids.contains(&running) && !maybe_forgotten
        }) && self.ids.iter().all(|&xid| visibility.sees(xid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visibility(text: &str) -> Visibility {
        text.parse().unwrap()
    }

    #[test]
    fn a_streamed_transaction_that_still_runs_is_not_seen() {
        let mut recent = Recent::default();
        for xid in [10, 12, 11] {
            recent.note(xid);
        }
        let streamed = recent.before();
        assert!(!streamed.all_seen(&visibility("11:14:11")));
        assert!(
            streamed.all_seen(&visibility("13:14:13")),
            "13 has not been streamed: it only runs"
        );
        assert!(
            !streamed.all_seen(&visibility("12:12:")),
            "12 is not below xmax"
        );
        recent.ended(&streamed, &visibility("11:14:11"));
        assert_eq!(recent.ids, [11]);
    }

    #[test]
    fn what_was_forgotten_counts_as_running() {
        let mut recent = Recent::default();
        for xid in 0..IDS_MAX as u32 + 5 {
            recent.note(xid);
        }
        let streamed = recent.before();
        let next = IDS_MAX as u64 + 5;
        assert!(!streamed.all_seen(&visibility(&format!("3:{next}:3"))));
        assert!(streamed.all_seen(&visibility(&format!("{next}:{next}:"))));
        let later = next + 2;
        assert!(streamed.all_seen(&visibility(&format!("{next}:{later}:{next}"))));
    }
}
