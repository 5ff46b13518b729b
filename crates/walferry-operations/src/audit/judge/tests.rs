//! Each rule of the judge by a history of one or two keys, written as one letter and an LSN per record.

use super::*;
use crate::audit::entry::{ABSENT, hash};

/// `k` is the key; the operation `T` is the table's row.
fn entry(key: u8, offset: u64, operation: u8, lsn: u64, columns: &[u64]) -> Entry {
    Entry {
        key: vec![key],
        side: if operation == b'T' {
            Side::Table
        } else {
            Side::Topic
        },
        partition: 0,
        offset,
        lsn,
        form: 0,
        key_schema: 0,
        operation,
        seen: lsn < 1000,
        columns: columns.to_vec(),
    }
}

fn judged(history: &[Entry], truncated: Option<u64>) -> TableAudit {
    let mut report = TableAudit::default();
    let columns = ["a".to_owned(), "b".to_owned()];
    let text = |key: &[u8]| format!("{key:?}");
    let mut judge = Judge::new(&mut report, &columns, &text, 10, truncated);
    for entry in history {
        judge.take(entry.clone());
    }
    judge.finish();
    report
}

/// Missing, extra, different, duplicates, out of order.
fn found(history: &[(u8, u64, &[u64])]) -> [u64; 5] {
    let history: Vec<Entry> = history
        .iter()
        .enumerate()
        .map(|(at, (operation, lsn, columns))| entry(1, at as u64, *operation, *lsn, columns))
        .collect();
    counts(&judged(&history, None))
}

fn counts(it: &TableAudit) -> [u64; 5] {
    [
        it.missing,
        it.extra,
        it.different,
        it.duplicates,
        it.out_of_order,
    ]
}

const A: u64 = 10;
const B: u64 = 11;
const C: u64 = 12;

#[test]
fn a_history_that_ends_in_the_tables_row_is_clean() {
    assert_eq!(found(&[(b'r', 5, &[A, B]), (b'T', 0, &[A, B])]), [0; 5]);
    assert_eq!(
        found(&[(b'c', 5, &[A, B]), (b'u', 6, &[A, C]), (b'T', 0, &[A, C])]),
        [0; 5]
    );
    // A delete and its tombstone, and the key again; what comes after the moment does not count.
    let again: [(u8, u64, &[u64]); 6] = [
        (b'c', 5, &[A, B]),
        (b'd', 6, &[]),
        (TOMBSTONE, 0, &[]),
        (b'c', 7, &[B, B]),
        (b'd', 1001, &[]),
        (TOMBSTONE, 0, &[]),
    ];
    assert_eq!(found(&[&again[..], &[(b'T', 0, &[B, B])]].concat()), [0; 5]);
    assert_eq!(found(&again[..3]), [0; 5]);
    // A change that began before the snapshot's row was read and was committed after it.
    assert_eq!(
        found(&[(b'r', 9, &[A, B]), (b'u', 8, &[A, C]), (b'T', 0, &[A, C])]),
        [0; 5]
    );
}

#[test]
fn each_fault_is_found() {
    assert_eq!(found(&[(b'T', 0, &[A, B])]), [1, 0, 0, 0, 0]);
    assert_eq!(found(&[(b'c', 5, &[A, B])]), [0, 1, 0, 0, 0]);
    assert_eq!(
        found(&[(b'c', 5, &[A, B]), (b'T', 0, &[A, C])]),
        [0, 0, 1, 0, 0]
    );
    assert_eq!(
        found(&[
            (b'c', 5, &[A, B]),
            (b'u', 6, &[A, C]),
            (b'c', 5, &[A, B]),
            (b'T', 0, &[A, B])
        ]),
        [0, 0, 0, 1, 0]
    );
    assert_eq!(
        found(&[(b'u', 6, &[A, C]), (b'c', 5, &[A, B]), (b'T', 0, &[A, B])]),
        [0, 0, 0, 0, 1]
    );
    assert_eq!(
        found(&[(b'r', 5, &[A, B]), (b'r', 5, &[A, B]), (b'T', 0, &[A, B])]),
        [0, 0, 0, 1, 0]
    );
}

#[test]
fn an_unchanged_value_is_the_one_of_the_record_before_and_what_is_unknown_is_counted() {
    let carried = [
        entry(1, 0, b'c', 5, &[A, B]),
        entry(1, 1, b'u', 6, &[C, UNCHANGED]),
        entry(1, 2, b'T', 0, &[C, B]),
    ];
    let report = judged(&carried, None);
    assert_eq!((counts(&report), report.unchecked_values), ([0; 5], 0));
    // The record before was compacted away, or the column was added later.
    let report = judged(&[carried[1].clone(), carried[2].clone()], None);
    assert_eq!((counts(&report), report.unchecked_values), ([0; 5], 1));
    let added = [
        entry(1, 0, b'c', 5, &[A, ABSENT]),
        entry(1, 1, b'T', 0, &[A, hash(0)]),
    ];
    assert_eq!(judged(&added, None).unchecked_values, 1);
}

#[test]
fn a_truncate_takes_all_keys_from_before_it() {
    let history = [
        entry(1, 0, b'c', 5, &[A, B]),
        entry(2, 1, b'c', 5, &[A, B]),
        entry(2, 2, b'c', 9, &[A, C]),
        entry(2, 3, b'T', 0, &[A, C]),
    ];
    assert_eq!(counts(&judged(&history, Some(7))), [0; 5]);
    assert_eq!(counts(&judged(&history, None)), [0, 1, 0, 0, 0]);
}

#[test]
fn a_difference_names_key_columns_and_lsn() {
    let report = judged(
        &[entry(7, 0, b'c', 5, &[A, B]), entry(7, 1, b'T', 0, &[B, B])],
        None,
    );
    let expected = AuditDifference {
        kind: "different",
        key: "[7]".to_owned(),
        columns: vec!["a".to_owned()],
        lsn: Some(Lsn(5)),
    };
    assert_eq!(report.differences, [expected]);
}

/// Places the last records of a history in partition 1.
fn split_at(history: &[(u8, u64, &[u64])], first: usize) -> ([u64; 5], u64) {
    let entries = history.iter().enumerate();
    let entries: Vec<Entry> = entries
        .map(|(at, (operation, lsn, columns))| Entry {
            partition: u32::from(at >= first && *operation != b'T'),
            ..entry(1, at as u64, *operation, *lsn, columns)
        })
        .collect();
    let report = judged(&entries, None);
    (counts(&report), report.split)
}

#[test]
fn a_row_of_one_key_in_two_partitions_is_found_and_one_that_has_moved_is_not() {
    let twice: [(u8, u64, &[u64]); 3] =
        [(b'c', 5, &[A, B]), (b'u', 6, &[A, C]), (b'T', 0, &[A, C])];
    assert_eq!(split_at(&twice, 2), ([0; 5], 0));
    assert_eq!(split_at(&twice, 1), ([0; 5], 1));
    let moved: [(u8, u64, &[u64]); 5] = [
        (b'c', 5, &[A, B]),
        (b'd', 6, &[]),
        (TOMBSTONE, 0, &[]),
        (b'c', 7, &[A, C]),
        (b'T', 0, &[A, C]),
    ];
    assert_eq!(split_at(&moved, 3), ([0; 5], 0));
    // The delete is where the row is not.
    let (found, split) = split_at(&moved[..3], 1);
    assert_eq!((found, split), ([0, 1, 0, 0, 0], 0));
}

#[test]
fn a_key_that_is_gone_is_deleted_once_under_each_schema_that_it_was_written_with() {
    let deleted = |schemas: [u32; 2]| {
        let deletes = schemas.iter().zip(2..);
        let deletes = deletes.map(|(&key_schema, offset)| Entry {
            key_schema,
            ..entry(1, offset, b'd', 7, &[])
        });
        let mut history = vec![entry(1, 0, b'c', 5, &[A, B]), entry(1, 1, b'u', 6, &[A, C])];
        history.extend(deletes);
        counts(&judged(&history, None))
    };
    assert_eq!(deleted([3, 4]), [0; 5]);
    assert_eq!(deleted([3, 3]), [0, 0, 0, 1, 0]);
}

#[test]
fn a_key_in_another_form_is_another_key_to_bytes_and_the_same_to_whoever_decodes_it() {
    let told = |history: &[(u32, u8, u64)]| {
        let entries = history.iter().zip(0..);
        let entries: Vec<Entry> = entries
            .map(|(&(form, operation, lsn), offset)| Entry {
                form,
                ..entry(1, offset, operation, lsn, &[A, B])
            })
            .collect();
        counts(&judged(&entries, None))
    };
    const ROW: (u32, u8, u64) = (0, b'T', 0);
    // The old form is deleted before the row is told, or behind it and the row is told again.
    assert_eq!(
        told(&[(7, b'c', 5), (7, b'd', 6), (0, b'r', 7), ROW]),
        [0; 5]
    );
    assert_eq!(
        told(&[(0, b'r', 5), (7, b'd', 6), (0, b'r', 7), ROW]),
        [0; 5]
    );
    // It is deleted behind the row.
    assert_eq!(
        told(&[(7, b'c', 4), (0, b'r', 5), (7, b'd', 6), ROW]),
        [1, 0, 0, 0, 0]
    );
    // It is never deleted: whoever compares bytes keeps it.
    assert_eq!(told(&[(7, b'c', 4), (0, b'r', 5), ROW]), [0, 1, 0, 0, 0]);
    // A delete in the form of now takes nothing from the bytes of the other.
    assert_eq!(told(&[(7, b'c', 4), (0, b'd', 5)]), [0, 1, 0, 0, 0]);
    // The order of each form is its own.
    assert_eq!(
        told(&[(0, b'u', 9), (7, b'd', 6), (0, b'r', 9), ROW]),
        [0; 5]
    );
}
