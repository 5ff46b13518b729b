//! The ids that the registry has given, and the proof that it still means the same by them.
//!
//! Owns the memory of ids and its generation. A registry that was away may be another when it is back: built anew with other
//! ids, or without our schemas. Then all of it is forgotten, the generation grows, and whoever uses an id asks for it again before
//! the next record. A registry that was rebuilt between two questions is found out by [`Registry::still_means_the_same`].
//! Invariant: an id of the present generation was given by the registry since the last time that it was forgotten.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Error, Registry};

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
struct Given {
    id: u32,
    /// The registry's own text for the id, once it was seen.
    text: Option<String>,
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

    fn forget(&self) {
        let mut known = self.known();
        *known = Known::default();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The next one to be looked at.
    fn next(&self) -> Option<((String, String), Given)> {
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

    fn set_text(&self, key: &(String, String), text: String) {
        if let Some(given) = self.known().ids.get_mut(key) {
            given.text = Some(text);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Entries are inserted whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Grows when all ids are to be asked for again before the next record that uses them.
    pub fn generation(&self) -> u64 {
        self.ids.generation()
    }

    /// Forgets every id: the registry was away, and may be another now.
    pub fn forget(&self) {
        self.ids.forget();
    }

    /// Looks at one id, the next one each time: whether the registry still means the same schema by it. If not, all ids are
    /// forgotten, and the answer says why.
    ///
    /// # Errors
    /// The registry does not answer.
    pub async fn still_means_the_same(&self) -> Result<Option<String>, Error> {
        let Some((key, given)) = self.ids.next() else {
            return Ok(None);
        };
        let generation = self.generation();
        let (subject, schema) = &key;
        let text = self.schema(given.id).await?;
        let same = match (&text, &given.text) {
            (None, _) => false,
            (Some(now), Some(before)) => now == before,
            (Some(now), None) => json(now) == json(schema) || self.holds(&key, given.id).await?,
        };
        if generation != self.generation() {
            return Ok(None);
        }
        let id = given.id;
        match text {
            Some(text) if same => self.ids.set_text(&key, text),
            text => {
                self.forget();
                let now = match text {
                    Some(_) => "means another schema",
                    None => "does not exist",
                };
                return Ok(Some(format!(
                    "schema id {id} of subject {subject:?} {now}: the registry was built anew, or restored; all ids are asked \
                     for again, and records with the old ones cannot be read until the registry knows them again"
                )));
            }
        }
        Ok(None)
    }

    /// Whether the subject holds the schema under this id, whatever words the registry has for it.
    async fn holds(&self, (subject, schema): &(String, String), id: u32) -> Result<bool, Error> {
        let path = format!("subjects/{}", crate::client::encoded(subject));
        let body = serde_json::json!({ "schema": schema, "schemaType": "AVRO" });
        let asked = self.call(|client, url| client.post(url).json(&body), &path);
        match asked.await? {
            crate::client::Answer::Body(text) => Ok(Registry::id_of(subject, &text)? == id),
            crate::client::Answer::Missing(_) => Ok(false),
        }
    }
}

fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}
