//! What an audit found.

use serde::Serialize;
use walferry_event::Lsn;

/// The outcome of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct AuditReport {
    /// The moment at which tables and topics were compared: what committed before it counts.
    pub lsn: Lsn,
    /// How far the topics had come when they were read.
    pub checkpoint: Lsn,
    /// Per table.
    pub tables: Vec<TableAudit>,
    /// What an audit of these tables cannot see, each with the reason.
    pub unseen: Vec<String>,
}

/// What was found of one table and its topic.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableAudit {
    /// `schema.table`.
    pub name: String,
    /// Its topic.
    pub topic: String,
    /// Rows of the table.
    pub rows: u64,
    /// Records of the topic.
    pub records: u64,
    /// Rows that the topic does not have.
    pub missing: u64,
    /// Keys that only the topic has.
    pub extra: u64,
    /// Rows whose values differ.
    pub different: u64,
    /// Records that the topic holds more than once.
    pub duplicates: u64,
    /// Records that stand behind a later one of their key or partition.
    pub out_of_order: u64,
    /// Keys with a row in more than one partition, so that no reader knows which of them is the last.
    pub split: u64,
    /// Values that could not be compared: of columns that did not exist or had another type when the record was written, or
    /// placeholders of unchanged values whose record is no longer there.
    pub unchecked_values: u64,
    /// Why the comparison is not whole.
    pub incomplete: Vec<String>,
    /// The first differences.
    pub differences: Vec<AuditDifference>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditDifference {
    /// `missing`, `extra`, `different`, `duplicate`, `out_of_order` or `split`.
    pub kind: &'static str,
    /// The key, as JSON text.
    pub key: String,
    /// The columns that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// LSN of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<Lsn>,
}

impl TableAudit {
    /// Everything that makes the verdict bad.
    pub fn faults(&self) -> u64 {
        self.missing
            + self.extra
            + self.different
            + self.duplicates
            + self.out_of_order
            + self.split
    }
}

impl AuditReport {
    /// Whether every table was compared whole and nothing was found.
    pub fn is_clean(&self) -> bool {
        let clean = |table: &TableAudit| table.faults() == 0 && table.incomplete.is_empty();
        self.tables.iter().all(clean)
    }
}
