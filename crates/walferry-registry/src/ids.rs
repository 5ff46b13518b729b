//! The ids that the registry has given, and the proof that it still means the same by them.
//!
//! Owns the memory of ids and its generation. A registry that was away may be another when it is back: built anew with other
//! ids, or without our schemas. Then all of it is forgotten, the generation grows, and whoever uses an id asks for it again before
//! the next record. A registry that was rebuilt between two questions is found out by [`crate::Registry::still_means_the_same`].
//! Invariant: an id of the present generation was given by the registry since the last time that it was forgotten.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    generation: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By subject and schema.
    ids: BTreeMap<(String, String), Given>,
    /// The one that was looked at last.
    last: Option<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) id: u32,
    /// The registry's own text for the id, once it was seen.
    pub(crate) text: Option<String>,
}

impl Ids {
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The id that was handed out before.
    pub(crate) fn of(&self, subject: &str, schema: &str) -> Option<u32> {
        let key = (subject.to_owned(), schema.to_owned());
        self.known().ids.get(&key).map(|it| it.id)
    }

    /// The registry has said that the subject holds this schema under this id. An answer to a question of an earlier
    /// `generation` may be that of another registry.
    pub(crate) fn remember(&self, generation: u64, subject: &str, schema: &str, id: u32) {
        let mut known = self.known();
        if generation == self.generation() {
            let given = Given { id, text: None };
            known
                .ids
                .insert((subject.to_owned(), schema.to_owned()), given);
        }
    }

    pub(crate) fn forget(&self) {
        let mut known = self.known();
        *known = Known::default();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The next one to be looked at.
    pub(crate) fn next(&self) -> Option<((String, String), Given)> {
        let mut known = self.known();
        let after = known.last.as_ref().and_then(|last| {
            known
                .ids
                .range(last.clone()..)
                .find(|(key, _)| *key != last)
        });
        let next = after.or_else(|| known.ids.iter().next());
        let next = next.map(|(key, given)| (key.clone(), given.clone()));
        known.last = next.as_ref().map(|(key, _)| key.clone());
        next
    }

    pub(crate) fn set_text(&self, key: &(String, String), text: String) {
        if let Some(given) = self.known().ids.get_mut(key) {
            given.text = Some(text);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Entries are inserted whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
