//! The verdict on a table without a key: how many rows of each content the topic makes, against how many there are.
//!
//! Owns the count. A record brings a row, takes one away, or both; equal rows cannot be told apart, so that a doubled
//! record shows as an extra row. While a snapshot runs beside the stream, a change may take away a row that no record has
//! brought, and none will: up to the last row of a snapshot each taking may be of such a row. Never: reads anything.

use crate::audit::{
    entry::{Entry, Side},
    report::{AuditDifference, TableAudit},
};

/// Counts one table.
pub(crate) struct Multiset<'a> {
    report: &'a mut TableAudit,
    differences_max: usize,
    /// LSN of the last truncate that the moment holds.
    truncated: Option<u64>,
    /// LSN of the last row of a snapshot: where it was read, so that the next change may begin there.
    snapshot_until: Option<u64>,
    content: Option<Vec<u8>>,
    topic: i64,
    /// Rows that were taken away while a snapshot ran.
    taken_early: i64,
    table: i64,
}

impl<'a> Multiset<'a> {
    pub(crate) fn new(
        report: &'a mut TableAudit,
        differences_max: usize,
        truncated: Option<u64>,
        snapshot_until: Option<u64>,
    ) -> Multiset<'a> {
        Multiset {
            report,
            differences_max,
            truncated,
            snapshot_until,
            content: None,
            topic: 0,
            taken_early: 0,
            table: 0,
        }
    }

    /// The next entry, in their order.
    pub(crate) fn take(&mut self, entry: Entry) {
        if self.content.as_ref() != Some(&entry.key) {
            self.end();
            self.content = Some(entry.key);
        }
        match entry.side {
            Side::Table => {
                self.report.rows += 1;
                self.table += 1;
            }
            Side::Topic if !entry.seen || self.truncated.is_some_and(|lsn| entry.lsn <= lsn) => {}
            Side::Topic if entry.operation != b'd' => self.topic += 1,
            Side::Topic if self.snapshot_until > Some(entry.lsn) => self.taken_early += 1,
            Side::Topic => self.topic -= 1,
        }
    }

    /// The last content has ended.
    pub(crate) fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let most = std::mem::take(&mut self.topic);
        let least = most - std::mem::take(&mut self.taken_early);
        let table = std::mem::take(&mut self.table);
        let missing = table - table.clamp(least, most);
        let (kind, count) = match missing {
            0 => return,
            1.. => ("missing", &mut self.report.missing),
            _ => ("extra", &mut self.report.extra),
        };
        *count += missing.unsigned_abs();
        if self.report.differences.len() < self.differences_max {
            self.report.differences.push(AuditDifference {
                kind,
                key: format!("{} equal rows of a table without a key", missing.abs()),
                columns: Vec::new(),
                lsn: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_counted_on_both_sides() {
        // Content, side and operation, LSN.
        let entry = |content: u8, operation: u8, lsn: u64| Entry {
            key: vec![content],
            side: if operation == b'T' {
                Side::Table
            } else {
                Side::Topic
            },
            partition: 0,
            offset: 0,
            lsn,
            form: 0,
            key_schema: 0,
            operation,
            seen: lsn < 100,
            columns: Vec::new(),
        };
        let counts = |entries: &[Entry], truncated, snapshot_until| {
            let mut report = TableAudit::default();
            let mut counted = Multiset::new(&mut report, 10, truncated, snapshot_until);
            entries.iter().for_each(|it| counted.take(it.clone()));
            counted.finish();
            [report.rows, report.missing, report.extra]
        };
        let found = |entries: &[Entry], truncated| counts(entries, truncated, None);
        let two = [
            entry(1, b'c', 5),
            entry(1, b'c', 5),
            entry(1, b'T', 0),
            entry(1, b'T', 0),
        ];
        assert_eq!(found(&two, None), [2, 0, 0]);
        assert_eq!(found(&two[1..], None), [2, 1, 0]);
        assert_eq!(found(&two[..3], None), [1, 0, 1]);
        assert_eq!(found(&two, Some(7)), [2, 2, 0]);
        let deleted = [entry(1, b'c', 5), entry(1, b'd', 6), entry(2, b'c', 100)];
        assert_eq!(found(&deleted, None), [0, 0, 0]);
        // Deleted before a snapshot beside the stream came to it; deleted when none ran any more.
        assert_eq!(counts(&deleted[1..], None, Some(7)), [0, 0, 0]);
        assert_eq!(counts(&deleted[1..], None, Some(6)), [0, 1, 0]);
        assert_eq!(counts(&two[1..], None, Some(9)), [2, 1, 0]);
        assert_eq!(counts(&two[..3], None, Some(9)), [1, 0, 1]);
    }
}
