//! The judge itself is judged: a right pair of histories passes, and each planted fault is found.

use std::collections::BTreeMap;

use super::*;
use crate::checker::decoding::{self, Line};

/// Three transactions over a table with a key, as the witness tells them: LSN, then the line.
const HISTORY: &[(u64, &str)] = &[
    (10, "BEGIN 1"),
    (
        11,
        "table public.t: INSERT: id[integer]:1 note[text]:'a' big[text]:'long'",
    ),
    (
        12,
        "table public.t: INSERT: id[integer]:2 note[text]:null big[text]:'long'",
    ),
    (
        12,
        "table public.t: INSERT: id[integer]:3 note[text]:'c' big[text]:'long'",
    ),
    (13, "COMMIT 1"),
    (20, "BEGIN 2"),
    (
        21,
        "table public.t: UPDATE: id[integer]:1 note[text]:'b' big[text]:unchanged-toast-datum",
    ),
    (
        22,
        "table public.t: UPDATE: old-key: id[integer]:2 new-tuple: id[integer]:9 note[text]:'n' big[text]:'x'",
    ),
    (23, "COMMIT 2"),
    (30, "BEGIN 3"),
    (31, "table public.t: DELETE: id[integer]:3"),
    (32, "table public.other: INSERT: id[integer]:7"),
    (33, "table public.t: TRUNCATE: (no-flags)"),
    (34, "COMMIT 3"),
];

fn row(columns: &[(&str, &str)]) -> Option<Row> {
    let value = |text: &str| match text {
        "null" => Value::Null,
        "?" => Value::Unchanged,
        text => Value::Text(text.to_owned()),
    };
    Some(Row(columns
        .iter()
        .map(|(name, text)| (Arc::from(*name), value(text)))
        .collect()))
}

fn full(id: &str, note: &str, big: &str) -> Option<Row> {
    row(&[("id", id), ("note", note), ("big", big)])
}

fn event(op: Op, xid: u32, lsn: u64, key: &str, before: Option<Row>, after: Option<Row>) -> Record {
    let key = (op != Op::Truncate).then(|| row(&[("id", key)]).unwrap());
    Record::Event(Event {
        table: Arc::from("public.t"),
        op,
        key,
        before,
        after,
        lsn,
        xid,
        commit_us: 0,
    })
}

/// What the topic must show for [`HISTORY`]: columns that the old row does not tell are filled with nothings.
fn right() -> Vec<Record> {
    vec![
        event(Op::Create, 1, 11, "1", None, full("1", "a", "long")),
        event(Op::Create, 1, 12, "2", None, full("2", "null", "long")),
        event(Op::Create, 1, 12, "3", None, full("3", "c", "long")),
        event(Op::Update, 2, 21, "1", None, full("1", "b", "?")),
        event(Op::Delete, 2, 22, "2", full("2", "null", ""), None),
        Record::Tombstone {
            key: row(&[("id", "2")]),
        },
        event(Op::Create, 2, 22, "9", None, full("9", "n", "x")),
        event(Op::Delete, 3, 31, "3", full("3", "null", ""), None),
        Record::Tombstone {
            key: row(&[("id", "3")]),
        },
        event(Op::Truncate, 3, 33, "", None, None),
    ]
}

fn rules() -> Rules {
    Rules::new(BTreeMap::from([(
        "public.t".to_owned(),
        vec!["id".to_owned()],
    )]))
}

fn judge_with(rules: Rules, records: &[(i32, Record)]) -> Report {
    let mut judge = Judge::new(rules);
    let mut xid = 0;
    for (lsn, line) in HISTORY {
        match decoding::parse(line).unwrap() {
            Line::Begin(id) => xid = id,
            Line::Commit(_) => judge.commit(*lsn),
            Line::Other => {}
            Line::Change(change) => {
                for table in change.tables {
                    let (op, old, new) = (change.op, change.old.clone(), change.new.clone());
                    judge.expect(Change {
                        table: Arc::from(table),
                        op,
                        old,
                        new,
                        lsn: *lsn,
                        xid,
                    });
                }
            }
        }
    }
    for (offset, (partition, record)) in records.iter().enumerate() {
        let (topic, record) = (Arc::from("p.public.t"), record.clone());
        judge.observe(&Observed {
            topic,
            partition: *partition,
            offset: offset as i64,
            record,
        });
    }
    judge.finish()
}

fn judge(records: Vec<Record>) -> Report {
    let records: Vec<(i32, Record)> = records.into_iter().map(|record| (0, record)).collect();
    judge_with(rules(), &records)
}

/// Checks that exactly these faults are found, and no other.
fn check(records: Vec<Record>, faults: &[(Fault, u64)]) {
    let report = judge(records);
    for fault in [
        Fault::Lost,
        Fault::Doubled,
        Fault::Reordered,
        Fault::Wrong,
        Fault::Unexpected,
    ] {
        let expected = faults
            .iter()
            .find(|(found, _)| *found == fault)
            .map_or(0, |(_, count)| *count);
        assert_eq!(report.count(fault), expected, "{}: {report}", fault.word());
    }
    assert_eq!(report.is_clean(), faults.is_empty());
    assert_eq!(report.examples.len() as u64, report.faults());
}

#[test]
fn a_right_history_is_clean() {
    let report = judge(right());
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        (report.transactions, report.expected, report.observed),
        (3, 8, 8)
    );
    assert_eq!(report.tombstones, 2);
    report.assert_clean(8);
}

#[test]
fn each_event_that_is_taken_out_is_lost() {
    for at in 0..right().len() {
        let mut records = right();
        let removed = records.remove(at);
        let report = judge(records);
        let lost_tombstone = matches!(removed, Record::Tombstone { .. });
        assert_eq!(report.lost, 1, "without {at}: {report}");
        // A tombstone left alone after its delete was taken out follows nothing.
        let orphan = !lost_tombstone
            && at + 1 < right().len()
            && matches!(right()[at + 1], Record::Tombstone { .. });
        assert_eq!(
            report.faults(),
            1 + u64::from(orphan),
            "without {at}: {report}"
        );
    }
}

#[test]
fn each_event_that_is_repeated_is_doubled() {
    for at in 0..right().len() {
        let mut records = right();
        records.push(records[at].clone());
        let is_delete = matches!(&records[at], Record::Event(event) if event.op == Op::Delete);
        if is_delete {
            records.push(records[at + 1].clone());
        }
        check(records, &[(Fault::Doubled, 1)]);
    }
}

#[test]
fn a_whole_batch_that_is_repeated_is_doubled() {
    let mut records = right();
    records.extend(right());
    check(records, &[(Fault::Doubled, 8)]);
}

#[test]
fn each_pair_that_is_swapped_is_reordered() {
    for at in 0..right().len() - 1 {
        let mut records = right();
        records.swap(at, at + 1);
        let is_tombstone = |at: usize| matches!(right()[at], Record::Tombstone { .. });
        let report = judge(records);
        assert!(!report.is_clean(), "{at}");
        if !is_tombstone(at)
            && !is_tombstone(at + 1)
            && (at + 2 >= right().len() || !is_tombstone(at + 2))
        {
            assert_eq!(
                (report.reordered, report.faults()),
                (1, 1),
                "{at}: {report}"
            );
        }
    }
}

#[test]
fn each_value_that_is_changed_is_wrong() {
    for at in 0..right().len() {
        let mut records = right();
        let Record::Event(event) = &mut records[at] else {
            continue;
        };
        if let Some(row) = &mut event.after {
            row.0[1].1 = Value::Text("other".to_owned());
        } else if let Some(row) = &mut event.before {
            row.0[0].1 = Value::Text("77".to_owned());
        } else {
            continue;
        }
        check(records, &[(Fault::Wrong, 1)]);
    }
}

#[test]
fn a_placeholder_for_a_known_value_and_a_null_for_an_unchanged_one_are_wrong() {
    let mut records = right();
    records[0] = event(Op::Create, 1, 11, "1", None, full("1", "a", "?"));
    records[3] = event(Op::Update, 2, 21, "1", None, full("1", "b", "null"));
    check(records, &[(Fault::Wrong, 2)]);
}

#[test]
fn a_missing_column_is_wrong_unless_it_is_left_out_on_purpose() {
    let mut records = right();
    records[0] = event(
        Op::Create,
        1,
        11,
        "1",
        None,
        row(&[("id", "1"), ("note", "a")]),
    );
    check(records, &[(Fault::Wrong, 1)]);
    let mut rules = rules();
    rules.ignored_columns.insert("public.t.big".to_owned());
    let records: Vec<_> = right().into_iter().map(|record| (0, record)).collect();
    let report = judge_with(rules, &records);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn what_was_never_committed_is_unexpected() {
    let mut records = right();
    records.insert(
        3,
        event(Op::Create, 1, 12, "4", None, full("4", "rolled back", "")),
    );
    records.insert(
        4,
        event(Op::Create, 99, 12, "1", None, full("1", "a", "long")),
    );
    check(records, &[(Fault::Unexpected, 2)]);
}

#[test]
fn a_wrong_key_is_found() {
    let mut records = right();
    records[0] = event(Op::Create, 1, 11, "8", None, full("1", "a", "long"));
    check(records, &[(Fault::Lost, 1), (Fault::Unexpected, 1)]);
}

#[test]
fn a_key_change_told_as_an_update_is_found() {
    let mut records = right();
    records.drain(4..7);
    records.insert(
        4,
        event(
            Op::Update,
            2,
            22,
            "9",
            full("2", "null", ""),
            full("9", "n", "x"),
        ),
    );
    check(records, &[(Fault::Lost, 2), (Fault::Unexpected, 1)]);
}

#[test]
fn a_tombstone_of_another_key_is_found() {
    let mut records = right();
    records[5] = Record::Tombstone {
        key: row(&[("id", "3")]),
    };
    check(records, &[(Fault::Lost, 1), (Fault::Doubled, 1)]);
}

#[test]
fn keys_may_be_spread_over_partitions_but_each_stays_in_its_own() {
    let spread = |home: fn(&str) -> i32| -> Vec<(i32, Record)> {
        let place = |record: &Record| match record {
            Record::Tombstone { key } => home(&key.clone().unwrap_or_default().to_string()),
            Record::Event(event) => home(&event.key.clone().unwrap_or_default().to_string()),
            Record::Other => 0,
        };
        right()
            .into_iter()
            .map(|record| (place(&record), record))
            .collect()
    };
    let by_key = spread(|key| i32::from(key == "id=2" || key == "id=9"));
    let report = judge_with(rules(), &by_key);
    assert!(report.is_clean(), "{report}");
    let mut moved = by_key;
    moved[3].0 = 5;
    assert_eq!(judge_with(rules(), &moved).count(Fault::Reordered), 1);
}

#[test]
fn snapshot_rows_are_the_rows_at_the_start_of_the_stream() {
    let mut rules = rules();
    rules.start = Start::Snapshot(13);
    let read =
        |id: &str, note: &str, lsn: u64| event(Op::Read, 0, lsn, id, None, full(id, note, "long"));
    let snapshot = [
        read("1", "a", 13),
        read("2", "null", 13),
        read("3", "c", 13),
    ];
    let records = |snapshot: &[Record]| -> Vec<(i32, Record)> {
        snapshot
            .iter()
            .cloned()
            .chain(right().into_iter().skip(3))
            .map(|record| (0, record))
            .collect()
    };
    let report = judge_with(rules.clone(), &records(&snapshot));
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.snapshot_rows, report.expected), (3, 5));

    let check = |snapshot: &[Record], fault: Fault| {
        let report = judge_with(rules.clone(), &records(snapshot));
        assert_eq!((report.count(fault), report.faults()), (1, 1), "{report}");
    };
    check(&snapshot[1..], Fault::Lost);
    check(&[&snapshot[..], &snapshot[..1]].concat(), Fault::Doubled);
    check(
        &[&snapshot[..2], &[read("3", "z", 13)][..]].concat(),
        Fault::Wrong,
    );
    check(
        &[&snapshot[..], &[read("4", "z", 13)][..]].concat(),
        Fault::Unexpected,
    );
    let mut late = records(&snapshot[1..]);
    late.push((0, snapshot[0].clone()));
    assert_eq!(judge_with(rules.clone(), &late).count(Fault::Reordered), 1);
}

#[test]
fn without_a_snapshot_its_rows_are_unexpected() {
    let mut records = right();
    records.insert(0, event(Op::Read, 0, 9, "1", None, full("1", "a", "long")));
    check(records, &[(Fault::Unexpected, 1)]);
}

#[test]
fn the_report_keeps_the_first_examples_and_counts_the_rest() {
    let mut judge = Judge::new(rules());
    for lsn in 1..=50 {
        let (table, new) = (Arc::from("public.t"), full(&lsn.to_string(), "n", "b"));
        judge.expect(Change {
            table,
            op: Op::Create,
            old: None,
            new,
            lsn,
            xid: 1,
        });
    }
    judge.commit(99);
    let report = judge.finish();
    assert_eq!(
        (report.lost, report.examples.len()),
        (50, Report::EXAMPLES_MAX)
    );
    let text = report.to_string();
    assert!(
        text.contains("lost: c public.t of transaction 1 at 0/1: big=b id=1 note=n"),
        "{text}"
    );
    assert!(text.ends_with("and 30 more"), "{text}");
}

#[test]
fn rows_of_a_snapshot_beside_the_stream_are_the_rows_at_their_places() {
    let mut rules = rules();
    rules.start = Start::Beside(13);
    let read = |id: &str, note: &str| event(Op::Read, 0, 50, id, None, full(id, note, "long"));
    let stream: Vec<Record> = right().into_iter().skip(3).collect();
    let records = |before: &[Record], after: &[Record]| -> Vec<(i32, Record)> {
        let all = before.iter().chain(&stream).chain(after);
        all.cloned().map(|record| (0, record)).collect()
    };
    let whole = [read("1", "a"), read("2", "null"), read("3", "c")];
    let report = judge_with(rules.clone(), &records(&whole, &[]));
    assert!(report.is_clean(), "{report}");

    let faults = |before: &[Record], after: &[Record]| {
        let report = judge_with(rules.clone(), &records(before, after));
        let names = [Fault::Lost, Fault::Doubled, Fault::Wrong, Fault::Unexpected];
        names.map(|fault| report.count(fault))
    };
    let twice = [&whole[..], &whole[..1]].concat();
    assert_eq!(faults(&twice, &[])[1], 1);
    let other = [whole[0].clone(), whole[1].clone(), read("3", "z")];
    assert_eq!(faults(&other, &[])[2], 1);
    let ghost = [&whole[..], &[read("4", "z")][..]].concat();
    assert_eq!(faults(&ghost, &[])[3], 1);
    // A row of before that comes after the changes of it.
    let stale = faults(&[], &whole);
    assert!(stale[2] + stale[3] > 0, "{stale:?}");
}

#[test]
fn a_row_that_a_reader_of_the_topics_does_not_know_whole_is_lost() {
    let mut rules = rules();
    rules.start = Start::Beside(5);
    let verdict = |records: &[Record]| {
        let mut judge = Judge::new(rules.clone());
        let change = |op, new, lsn| Change {
            table: Arc::from("public.t"),
            op,
            old: None,
            new,
            lsn,
            xid: 1,
        };
        judge.expect(change(Op::Create, full("1", "a", "long"), 4));
        judge.commit(5);
        judge.expect(change(Op::Update, full("1", "b", "?"), 8));
        judge.commit(9);
        for (offset, record) in (0..).zip(records) {
            judge.observe(&Observed {
                topic: Arc::from("p.public.t"),
                partition: 0,
                offset,
                record: record.clone(),
            });
        }
        judge.finish()
    };
    let update = event(Op::Update, 1, 8, "1", None, full("1", "b", "?"));
    let read = |note| event(Op::Read, 0, 9, "1", None, full("1", note, "long"));
    assert_eq!(verdict(std::slice::from_ref(&update)).count(Fault::Lost), 1);
    assert!(verdict(&[update.clone(), read("b")]).is_clean());
    assert!(verdict(&[read("a"), update.clone()]).is_clean());
    assert_eq!(verdict(&[update, read("a")]).count(Fault::Wrong), 1);
}
