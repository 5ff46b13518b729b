//! The ids of schemas: asked for again when the registry was away, and whether a table may wait instead of all.
//!
//! Owns the question whether a plan's ids are of the registry's present generation. Invariant: no record is written with an id
//! that the registry has not given since it was last away.

use std::sync::Arc;

use walferry_event::Lsn;

use super::{Entry, Relations};
use crate::{config::Policy, error::Error};

/// What may happen while the registry does not take a schema because it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It is waited for, whatever the policy.
    Waits,
    /// A table whose policy is `park` is parked, so that the others go on.
    MayPark,
}

impl Urgency {
    /// For a table with this policy. An outage makes no dead letters and skips nothing.
    pub(super) fn of(self, policy: Policy) -> Urgency {
        match policy {
            Policy::Park => self,
            Policy::Stop | Policy::DeadLetter | Policy::Skip => Urgency::Waits,
        }
    }
}

impl Relations {
    /// The registry's generation: what was made with ids of another is to be made anew.
    pub(crate) fn generation(&self) -> u64 {
        self.registry.generation()
    }

    /// Asks for the ids of a relation's plan again, unless they are of the registry's present generation.
    pub(super) fn renew_ids(&mut self, oid: u32, at: Lsn, urgency: Urgency) -> Result<(), Error> {
        let now = self.registry.generation();
        let old = |entry: &Entry| match entry {
            Entry::Followed(plan) => plan.ids_of != now,
            Entry::Ignored => false,
        };
        if self.entries.get(&oid).is_some_and(old)
            && let Some(Entry::Followed(mut plan)) = self.entries.remove(&oid)
        {
            let outcome = self.register(&mut plan, at, urgency);
            if outcome.is_ok() {
                plan.ids_of = now;
            }
            self.entries.insert(oid, Entry::Followed(plan));
            outcome?;
        }
        if !self.entries.values().any(old) {
            self.ids_of = now;
        }
        Ok(())
    }
}

/// Another id than before says that the registry is another.
pub(super) fn tell_other_id(name: &Arc<str>, before: Option<u32>, now: Option<u32>) {
    if let (Some(before), Some(now)) = (before, now)
        && before != now
    {
        tracing::warn!(target: "audit", table = &**name, before, now,
            "the registry gives the schema another id than before: it was built anew, or restored; records with the old id \
             cannot be read until the registry knows it again");
    }
}
