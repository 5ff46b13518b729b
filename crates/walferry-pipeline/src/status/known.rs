//! What the running connector knows to be published of its tables.
//!
//! Owns `Known`. Never: looks at the catalog.
//! Invariant: whoever changes it holds the lock until the change is committed.

use crate::{
    position::published_record::{KnownLack, Lack, Mend, Record},
    status::findings::Findings,
};

/// The record that the running connector knows, and the tables that are left out. Whoever changes it holds the lock until the
/// change is committed.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) record: Record,
    /// Tables that are left out because of what is published of them.
    pub(crate) left_out: std::collections::BTreeSet<String>,
    /// Tables of which changes are missing for as long as something stands, and what mends that.
    pub(crate) standing: std::collections::BTreeSet<(String, Mend)>,
}

impl Known {
    /// What has been mended meanwhile is known to be wrong no more.
    pub(crate) fn forget_mended(&mut self, findings: &Findings) {
        for (table, entry) in &mut self.record.tables {
            let stands = |it: &KnownLack| findings.knows(table, it.until, it.lack());
            entry.lacks.retain(stands);
        }
    }

    /// Something is missing from a topic.
    pub(crate) fn lacks(&mut self, findings: &Findings, table: &str, reason: &str) {
        let lack = KnownLack {
            surplus: false,
            until: Mend::Whole,
            reason: reason.to_owned(),
        };
        if self.record.lacks(table, lack.clone()) {
            findings.tell(table, &lack);
        }
    }

    /// A table that is not followed after all.
    pub(crate) fn leave_out(&mut self, findings: &Findings, table: &str, reason: &str) {
        self.record.tables.remove(table);
        self.left_out.insert(table.to_owned());
        findings.set(table, Lack::LeftOut, reason);
    }
}
