//! What is wrong with a table that was chosen: it is left out, or changes of it are known to be missing from its topic.
//!
//! Owns `Findings`, which shows one finding a table, made of all that is wrong with it. Never: decides what is wrong; whoever looks
//! at the tables does.
//! Invariants: a table with a finding is in `/status` with its reason, whether or not the stream has met it; what is known to be wrong
//! with a topic stands until its own remedy has run, whatever else is found and mended meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::position::published_record::{KnownLack, Lack, Mend};

/// What is wrong with one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) lack: Lack,
    /// Cause and remedy, for the operator.
    pub(crate) reason: String,
}

/// All that is wrong with one table.
#[derive(Clone, Debug, Default)]
struct Found {
    /// What was told last, by whoever clears it again.
    told: Option<Finding>,
    /// What stands until its remedy has run.
    known: BTreeMap<(Mend, Lack), Finding>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.told.is_none() && self.known.is_empty()
    }

    /// The gravest of it, with every reason.
    fn shown(&self) -> Option<Finding> {
        let mut all: Vec<&Finding> = self.told.iter().chain(self.known.values()).collect();
        all.sort_by_key(|it| it.lack);
        all.dedup_by(|a, b| a.reason == b.reason);
        let reasons: Vec<&str> = all.iter().map(|it| it.reason.as_str()).collect();
        Some(Finding {
            lack: all.first()?.lack,
            reason: all.first()?.lack.code().tag(&reasons.join("; besides, ")),
        })
    }
}

/// The findings of a connector, by `schema.table`.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<BTreeMap<String, Found>>);

impl Findings {
    /// Records what is wrong with a table, in place of what was told before; logged when it is new.
    pub(crate) fn set(&self, table: &str, lack: Lack, reason: impl Into<String>) {
        let finding = Finding {
            lack,
            reason: reason.into(),
        };
        let before = self
            .inner()
            .entry(table.to_owned())
            .or_default()
            .told
            .replace(finding.clone());
        if before.as_ref() != Some(&finding) {
            log(table, finding);
        }
    }

    /// Records what is wrong with a table until that has been mended; logged when it is new.
    pub(crate) fn set_known(&self, table: &str, until: Mend, lack: Lack, reason: &str) {
        let finding = Finding {
            lack,
            reason: reason.to_owned(),
        };
        let before = self
            .inner()
            .entry(table.to_owned())
            .or_default()
            .known
            .insert((until, lack), finding.clone());
        if before.as_ref() != Some(&finding) {
            log(table, finding);
        }
    }

    /// Records what is known to be wrong with a topic.
    pub(crate) fn tell(&self, table: &str, lack: &KnownLack) {
        self.set_known(table, lack.until, lack.lack(), &lack.reason);
    }

    /// Records that what was told of a table is over.
    pub(crate) fn clear(&self, table: &str) {
        self.remove(table, |found| found.told = None);
    }

    /// Records that what waited for this has been mended. A whole reading mends what was told as well, but of a table that is left out.
    pub(crate) fn mended(&self, table: &str, until: Mend) {
        self.remove(table, |found| {
            found.known.retain(|(it, _), _| *it != until);
            if until.is_whole() {
                found.told = found.told.take().filter(|it| it.lack == Lack::LeftOut);
            }
        });
    }

    /// Records that the table is followed no more.
    pub(crate) fn forget(&self, table: &str) {
        self.inner().remove(table);
    }

    fn remove(&self, table: &str, remove: impl FnOnce(&mut Found)) {
        let mut inner = self.inner();
        let Some(found) = inner.get_mut(table) else {
            return;
        };
        remove(found);
        if found.is_empty() {
            inner.remove(table);
            drop(inner);
            tracing::info!(table, "the table is complete again");
        }
    }

    /// Whether this is known to be wrong with a table.
    pub(crate) fn knows(&self, table: &str, until: Mend, lack: Lack) -> bool {
        let inner = self.inner();
        let found = inner.get(table);
        found.is_some_and(|it| it.known.contains_key(&(until, lack)))
    }

    /// What is wrong with a table.
    pub(crate) fn of(&self, table: &str) -> Option<Finding> {
        self.inner().get(table).and_then(Found::shown)
    }

    /// All of them.
    pub(crate) fn seen(&self) -> BTreeMap<String, Finding> {
        let inner = self.inner();
        let shown = inner.iter();
        shown
            .filter_map(|(table, found)| Some((table.clone(), found.shown()?)))
            .collect()
    }

    /// What was told last of each table.
    pub(crate) fn told(&self) -> BTreeMap<String, Finding> {
        let inner = self.inner();
        let told = inner.iter();
        told.filter_map(|(table, found)| Some((table.clone(), found.told.clone()?)))
            .collect()
    }

    fn inner(&self) -> MutexGuard<'_, BTreeMap<String, Found>> {
        // A holder that panicked left a whole entry or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(table: &str, Finding { lack, reason }: Finding) {
    let reason = lack.code().tag(&reason);
    match lack {
        Lack::LeftOut => tracing::warn!(table, reason, "the table is left out"),
        Lack::Uneven => tracing::warn!(table, reason, "the table's topic is not as it was"),
        Lack::Incomplete => {
            tracing::warn!(
                table,
                reason,
                "changes of the table are missing from its topic"
            );
        }
        Lack::Surplus => {
            tracing::warn!(
                table,
                reason,
                "its topic holds rows that the table has no more"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_stands_until_its_own_remedy_has_run() {
        let (findings, table) = (Findings::default(), "public.t");
        let shown = || findings.of(table).map(|it| (it.lack, it.reason));
        let surplus = || {
            findings.set_known(table, Mend::Sweep, Lack::Surplus, "dropped");
        };
        surplus();
        findings.set_known(table, Mend::Part, Lack::Incomplete, "attached");
        findings.set(table, Lack::Incomplete, "it waits");
        let all = "it waits; besides, attached; besides, dropped";
        assert_eq!(shown(), Some((Lack::Incomplete, format!("{all} [WF0310]"))));
        findings.clear(table);
        assert!(findings.knows(table, Mend::Part, Lack::Incomplete));
        findings.mended(table, Mend::Part);
        assert_eq!(
            shown(),
            Some((Lack::Surplus, "dropped [WF0311]".to_owned()))
        );
        findings.mended(table, Mend::Sweep);
        assert_eq!(shown(), None);
        // A whole reading mends all that waits, and what was told.
        surplus();
        findings.set(table, Lack::Incomplete, "it waits");
        for until in Mend::ALL.into_iter().filter(|it| Mend::Whole.covers(*it)) {
            findings.mended(table, until);
        }
        assert_eq!(shown(), None);
        findings.set(table, Lack::LeftOut, "no identity");
        findings.mended(table, Mend::Whole);
        assert!(shown().is_some());
        findings.forget(table);
        assert_eq!(shown(), None);
    }
}
