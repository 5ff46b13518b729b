//! The ids of schemas: asked for again when the registry was away, and whether a table may wait instead of all.
//!
//! Owns the question whether a plan's ids are of the registry's present generation. Invariant: no record is written with an id
//! that the registry has not given since it was last away.

use walferry_event::Lsn;

use crate::{
    encode::relations::{Entry, Relations, urgency::Urgency},
    error::Error,
};

impl Relations {
    /// The registry's generation: what was made with ids of another is to be made anew.
    pub(crate) fn generation(&self) -> u64 {
        self.servers.generation()
    }

    /// Asks for the ids of a relation's plan again, unless they are of the registry's present generation.
    pub(super) fn renew_ids(&mut self, oid: u32, at: Lsn, urgency: Urgency) -> Result<(), Error> {
        let now = self.servers.generation();
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
