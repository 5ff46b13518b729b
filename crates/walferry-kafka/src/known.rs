//! The topics that records go to, as they were when they were accepted: which ones they are, and over how many partitions
//! their keys are spread.
//!
//! Owns [`KnownTopics`], shared by whoever creates topics, sends to them, looks at them and writes checkpoints. Never asks
//! the cluster.
//! Invariant: what was accepted does not change by itself, so a key stays in its partition; only [`KnownTopics::renew`]
//! lets a topic be accepted anew.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// Which topic it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicIdentity {
    /// Its id (KIP-516), where the brokers have ids. One that is deleted and created again has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many partitions its keys are spread over.
    pub partitions: i32,
}

/// How a topic differs from what was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was deleted and created again: records are gone.
    Replaced,
    /// It does not exist.
    Gone,
    /// It has another number of partitions; keys stay in those that they were in.
    Partitions {
        /// What was accepted.
        accepted: i32,
        /// What there is.
        found: i32,
    },
}

/// What is known of one topic.
#[derive(Clone, Debug)]
struct Known {
    accepted: TopicIdentity,
    /// What there is; nothing when it does not exist.
    found: Option<TopicIdentity>,
}

/// The topics that records go to.
#[derive(Debug, Default)]
pub struct KnownTopics(Mutex<BTreeMap<Arc<str>, Known>>);

impl KnownTopics {
    /// Begins with what a checkpoint says.
    pub fn load(&self, accepted: &BTreeMap<String, TopicIdentity>) {
        let known = |accepted: &TopicIdentity| Known {
            accepted: accepted.clone(),
            found: Some(accepted.clone()),
        };
        let all = accepted.iter();
        *self.inner() = all
            .map(|(topic, it)| (topic.as_str().into(), known(it)))
            .collect();
    }

    /// What the next checkpoint says.
    pub fn accepted(&self) -> BTreeMap<String, TopicIdentity> {
        let inner = self.inner();
        let all = inner.iter();
        all.map(|(topic, it)| (topic.to_string(), it.accepted.clone()))
            .collect()
    }

    /// Everything in a topic is about to be made anew: one that was created again is accepted as it is. One that has another
    /// number of partitions is not, because what it holds would be in others than what comes.
    pub fn renew(&self, topic: &str) {
        let mut inner = self.inner();
        let Some(known) = inner.get_mut(topic) else {
            return;
        };
        match (known.difference(), known.found.clone()) {
            (Some(Difference::Replaced), Some(found)) => known.accepted = found,
            (Some(Difference::Gone), _) => drop(inner.remove(topic)),
            _ => {}
        }
    }

    /// Keeps only the topics of which this is true.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.inner().retain(|topic, _| wanted(topic));
    }

    /// The names.
    pub fn names(&self) -> Vec<String> {
        self.inner().keys().map(ToString::to_string).collect()
    }

    /// How each topic differs from what was accepted, if it does.
    pub fn differences(&self) -> BTreeMap<String, Difference> {
        let inner = self.inner();
        let all = inner.iter();
        all.filter_map(|(topic, it)| Some((topic.to_string(), it.difference()?)))
            .collect()
    }

    /// Over how many partitions the keys of a topic are spread.
    pub(crate) fn partitions(&self, topic: &str) -> Option<i32> {
        let inner = self.inner();
        let known = inner.get(topic)?;
        match known.difference() {
            // Nothing of before is in it.
            Some(Difference::Replaced) => known.found.as_ref().map(|it| it.partitions),
            _ => Some(known.accepted.partitions),
        }
    }

    /// A topic was looked at: what there is of it. One that was not known is accepted as it is.
    pub(crate) fn found(&self, topic: &str, found: Option<TopicIdentity>) {
        let mut inner = self.inner();
        match (inner.get_mut(topic), found) {
            (Some(known), found) => {
                // Of an id that was not known before, nothing can be said.
                if let (None, Some(id)) = (
                    &known.accepted.id,
                    found.as_ref().and_then(|it| it.id.clone()),
                ) {
                    known.accepted.id = Some(id);
                }
                known.found = found;
            }
            (None, Some(found)) => {
                let known = Known {
                    accepted: found.clone(),
                    found: Some(found),
                };
                inner.insert(topic.into(), known);
            }
            (None, None) => {}
        }
    }

    fn inner(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Known>> {
        // Entries are inserted and removed whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn difference(&self) -> Option<Difference> {
        let Some(found) = &self.found else {
            return Some(Difference::Gone);
        };
        match (&self.accepted.id, &found.id) {
            (Some(before), Some(now)) if before != now => Some(Difference::Replaced),
            _ if self.accepted.partitions != found.partitions => Some(Difference::Partitions {
                accepted: self.accepted.partitions,
                found: found.partitions,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str, partitions: i32) -> Option<TopicIdentity> {
        Some(TopicIdentity {
            id: (!id.is_empty()).then(|| id.to_owned()),
            partitions,
        })
    }

    #[test]
    fn what_was_accepted_stays_until_it_is_renewed() {
        let topics = KnownTopics::default();
        topics.found("t", identity("a", 1));
        topics.found("t", identity("a", 4));
        assert_eq!(topics.partitions("t"), Some(1), "keys stay where they are");
        let more = Difference::Partitions {
            accepted: 1,
            found: 4,
        };
        assert_eq!(topics.differences()["t"], more);
        topics.found("t", None);
        assert_eq!(topics.differences()["t"], Difference::Gone);
        topics.found("t", identity("b", 3));
        assert_eq!(topics.differences()["t"], Difference::Replaced);
        assert_eq!(
            topics.partitions("t"),
            Some(3),
            "nothing of before is in it"
        );
        let saved = topics.accepted();
        assert_eq!(Some(saved["t"].clone()), identity("a", 1));
        let again = KnownTopics::default();
        again.load(&saved);
        again.found("t", identity("b", 3));
        assert_eq!(
            again.differences()["t"],
            Difference::Replaced,
            "over a restart"
        );
        again.renew("t");
        assert!(again.differences().is_empty());
        assert_eq!(again.partitions("t"), Some(3));
        again.found("t", identity("b", 5));
        again.renew("t");
        assert_eq!(
            again.partitions("t"),
            Some(3),
            "what it holds stays in its partitions"
        );
        again.found("t", None);
        again.renew("t");
        again.found("t", identity("c", 2));
        assert!(again.differences().is_empty());
    }

    #[test]
    fn brokers_without_ids_tell_of_partitions_all_the_same() {
        let topics = KnownTopics::default();
        topics.found("t", identity("", 2));
        topics.found("t", identity("", 3));
        assert!(matches!(
            topics.differences()["t"],
            Difference::Partitions { .. }
        ));
        topics.found("t", identity("a", 2));
        topics.found("t", identity("b", 2));
        assert_eq!(topics.differences()["t"], Difference::Replaced);
    }
}
