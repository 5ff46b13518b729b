//! How urgently the ids of a plan are needed, and what is said when they are others than before.
//!
//! Owns `Urgency`. Never: asks the registry.

use std::sync::Arc;

use crate::config::Policy;

/// What may happen while the registry does not take a schema because it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
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

/// Another id than before says that the registry is another.
pub(crate) fn tell_other_id(name: &Arc<str>, before: Option<u32>, now: Option<u32>) {
    if let (Some(before), Some(now)) = (before, now)
        && before != now
    {
        tracing::warn!(target: "audit", table = &**name, before, now,
            "the registry gives the schema another id than before: it was built anew, or restored; records with the old id \
             cannot be read until the registry knows it again");
    }
}
