//! What Kafka will not take however often it is sent: topics that take nothing, topics that take no record without a key,
//! and topics of which one record was refused.
//!
//! Owns what is known of them while the process lives. The publisher notes; the ring begins again at the checkpoint, and the
//! encoder then does with each change what its table's policy says, as with one that cannot be encoded. Never decides that.
//! Invariant: each refusal is noted once, so that a ring that begins again for one gets further than before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use walferry_kafka::{Refusal, Refused};

/// What a topic does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Barred {
    /// Why it takes nothing.
    pub(crate) all: Option<String>,
    /// Why it takes no record without a key.
    pub(crate) keyless: Option<String>,
    /// Why one of its records was refused: from then on it is decided beforehand what becomes of each, should it be refused.
    pub(crate) one: Option<String>,
}

/// The topics that do not take everything.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: BTreeMap<String, Barred>,
    /// What was refused since the process began, each once.
    noted: BTreeSet<(String, u8)>,
}

impl Refusals {
    /// Kafka has refused something.
    pub(crate) fn note(&self, refusal: &Refusal) {
        let mut inner = self.inner();
        let barred = inner.topics.entry(refusal.topic.clone()).or_default();
        let reason = refusal.reason.clone();
        let place = match refusal.refused {
            Refused::Topic => (0, &mut barred.all),
            Refused::Keyless => (1, &mut barred.keyless),
            Refused::Record | Refused::Size => (2, &mut barred.one),
        };
        tracing::warn!(topic = refusal.topic, reason, "Kafka refuses what is sent");
        *place.1 = Some(reason);
        let kind = place.0;
        inner.noted.insert((refusal.topic.clone(), kind));
    }

    /// A topic takes no record without a key, as its settings say.
    pub(crate) fn compacted(&self, topic: &str) {
        let mut inner = self.inner();
        let barred = inner.topics.entry(topic.to_owned()).or_default();
        barred.keyless.get_or_insert_with(|| {
            format!(
                "topic {topic:?} is compacted (cleanup.policy) and takes no record without a key: give the table a key, leave \
                 truncates out (format.skipped_operations = [\"t\"]), or set the topic's cleanup.policy to delete"
            )
        });
    }

    /// What a topic does not take.
    pub(crate) fn of(&self, topic: &str) -> Barred {
        self.inner().topics.get(topic).cloned().unwrap_or_default()
    }

    /// Somebody says that it is mended: everything is tried again.
    pub(crate) fn forget(&self) {
        self.inner().topics.clear();
    }

    /// How many different refusals there were: progress of a ring that begins again for each.
    pub(crate) fn count(&self) -> usize {
        self.inner().noted.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A holder that panicked left a whole entry or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(refused: Refused) -> Refusal {
        Refusal {
            refused,
            topic: "t".into(),
            bytes: 1,
            reason: "why".into(),
        }
    }

    #[test]
    fn each_refusal_counts_once_and_is_told_of_its_topic() {
        let refusals = Refusals::default();
        for _ in 0..2 {
            refusals.note(&refusal(Refused::Topic));
        }
        assert_eq!(refusals.count(), 1);
        refusals.note(&refusal(Refused::Keyless));
        refusals.note(&refusal(Refused::Record));
        refusals.note(&refusal(Refused::Size));
        assert_eq!(refusals.count(), 3);
        let barred = refusals.of("t");
        assert!(barred.all.is_some() && barred.keyless.is_some() && barred.one.is_some());
        assert_eq!(refusals.of("other"), Barred::default());
        refusals.forget();
        assert_eq!(refusals.of("t"), Barred::default());
        assert_eq!(refusals.count(), 3);
    }
}
