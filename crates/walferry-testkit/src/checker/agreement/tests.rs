//! Topics at the end: what agrees, and each way in which they do not.

use super::*;

fn row(columns: &[(&str, &str)]) -> Row {
    let value = |text: &str| match text {
        "null" => Value::Null,
        "?" => Value::Unchanged,
        text => Value::Text(text.to_owned()),
    };
    let columns = columns.iter();
    Row(columns
        .map(|(name, text)| (Arc::from(*name), value(text)))
        .collect())
}

fn event(op: Op, lsn: u64, key: Option<&str>, before: Option<Row>, after: Option<Row>) -> Record {
    Record::Event(Event {
        table: Arc::from("public.t"),
        op,
        key: key.map(|id| row(&[("id", id)])),
        before,
        after,
        lsn,
        xid: lsn as u32 / 10,
        commit_us: 0,
    })
}

fn written(op: Op, lsn: u64, id: &str, note: &str) -> Record {
    let after = row(&[("id", id), ("note", note)]);
    event(op, lsn, Some(id), None, Some(after))
}

fn gone(lsn: u64, id: &str) -> [Record; 2] {
    let before = row(&[("id", id), ("note", "null")]);
    let key = Some(row(&[("id", id)]));
    [
        event(Op::Delete, lsn, Some(id), Some(before), None),
        Record::Tombstone { key },
    ]
}

/// Rows 1 and 2 are read, 3 comes, 1 changes, 2 goes.
fn right() -> Vec<Record> {
    let mut records = vec![
        written(Op::Read, 5, "1", "a"),
        written(Op::Read, 5, "2", "b"),
        written(Op::Create, 10, "3", "c"),
        written(Op::Update, 20, "1", "d"),
    ];
    records.extend(gone(30, "2"));
    records
}

fn judged(compared: &Compared, records: &[Record], table: &[Row]) -> [u64; 4] {
    let mut told = Told::new(compared);
    for (offset, record) in (0..).zip(records) {
        told.observe(&Observed {
            topic: Arc::from("p.public.t"),
            partition: 0,
            offset,
            record: record.clone(),
        });
    }
    let found = told.judge(table.to_vec());
    assert_eq!(found.faults() > 0, !found.examples.is_empty(), "{found}");
    [found.missing, found.extra, found.different, found.keyless]
}

fn compared(key: &[&str]) -> Compared {
    Compared {
        table: "public.t".to_owned(),
        key: key.iter().map(|it| (*it).to_owned()).collect(),
        ..Compared::default()
    }
}

fn table() -> Vec<Row> {
    vec![
        row(&[("id", "1"), ("note", "d")]),
        row(&[("id", "3"), ("note", "c")]),
    ]
}

#[test]
fn a_topic_that_tells_the_table_agrees_and_each_record_taken_out_of_it_does_not() {
    let check = |records: &[Record]| judged(&compared(&["id"]), records, &table());
    assert_eq!(check(&right()), [0; 4]);
    for (at, found) in [
        (2, [1, 0, 0, 0]),
        (3, [0, 0, 1, 0]),
        // The tombstone and the delete say the same.
        (4, [0; 4]),
        (5, [0; 4]),
    ] {
        let mut records = right();
        records.remove(at);
        assert_eq!(check(&records), found, "without {at}");
    }
    let mut records = right();
    records.truncate(4);
    assert_eq!(
        check(&records),
        [0, 1, 0, 0],
        "without delete and tombstone"
    );
}

#[test]
fn a_delete_behind_the_row_that_took_its_key_loses_the_row() {
    let mut records = right();
    records.extend(gone(31, "3"));
    assert_eq!(judged(&compared(&["id"]), &records, &table()), [1, 0, 0, 0]);
}

#[test]
fn a_key_that_is_null_or_not_whole_is_found() {
    let mut records = right();
    let note = || Some(row(&[("id", "3"), ("note", "c")]));
    records[2] = event(Op::Create, 10, None, None, note());
    let found = judged(&compared(&["id"]), &records, &table());
    assert_eq!(found, [1, 1, 0, 1]);
    records[2] = event(Op::Create, 10, Some("null"), None, note());
    let found = judged(&compared(&["id"]), &records, &table());
    assert_eq!(found, [1, 1, 0, 1]);
    let found = judged(&compared(&["id", "note"]), &right(), &table());
    assert_eq!(found[3], 5, "half a key");
}

#[test]
fn a_value_that_was_left_out_is_taken_from_the_row_before_also_under_another_key() {
    let mut records = right();
    records.push(written(Op::Update, 40, "1", "?"));
    let before = Some(row(&[("id", "3"), ("note", "null")]));
    records.push(event(Op::Delete, 50, Some("3"), before, None));
    records.push(Record::Tombstone {
        key: Some(row(&[("id", "3")])),
    });
    records.push(written(Op::Create, 50, "4", "?"));
    let mut rows = table();
    rows[1] = row(&[("id", "4"), ("note", "c")]);
    assert_eq!(judged(&compared(&["id"]), &records, &rows), [0; 4]);
    records.remove(2);
    let found = judged(&compared(&["id"]), &records, &rows);
    assert_eq!(found, [0, 0, 1, 0], "nobody has told it");
}

#[test]
fn a_column_is_compared_in_records_of_its_present_meaning() {
    let mut compared = compared(&["id"]);
    let rows = [
        row(&[("id", "1"), ("note", "D"), ("more", "7")]),
        row(&[("id", "3"), ("note", "C"), ("more", "7")]),
    ];
    assert_eq!(judged(&compared, &right(), &rows), [0, 0, 2, 0]);
    compared.meanings = BTreeMap::from([("note".to_owned(), 15), ("more".to_owned(), 25)]);
    let found = judged(&compared, &right(), &rows);
    assert_eq!(found, [0, 0, 1, 0], "1 was written since, and says d");
}

#[test]
fn a_truncate_takes_all_and_rows_without_a_key_are_counted() {
    let mut records = right();
    records.push(event(Op::Truncate, 40, None, None, None));
    assert_eq!(judged(&compared(&["id"]), &records, &[]), [0; 4]);
    assert_eq!(judged(&compared(&[]), &records, &[]), [0; 4]);
    let note = |note: &str| row(&[("note", note)]);
    let change = |op, before: Option<&str>, after: Option<&str>| {
        event(op, 10, None, before.map(note), after.map(note))
    };
    let records = [
        // It was there before, and nobody has read it.
        change(Op::Delete, Some("unread"), None),
        change(Op::Read, None, Some("a")),
        change(Op::Create, None, Some("a")),
        change(Op::Update, Some("a"), Some("b")),
    ];
    let check = |records: &[Record], rows: &[&str]| {
        let rows: Vec<Row> = rows.iter().map(|it| note(it)).collect();
        judged(&compared(&[]), records, &rows)
    };
    assert_eq!(check(&records, &["a", "b"]), [0; 4]);
    assert_eq!(check(&records, &["a", "a", "b"]), [1, 0, 0, 0]);
    assert_eq!(check(&records[..3], &["a", "b"]), [1, 1, 0, 0]);
}
