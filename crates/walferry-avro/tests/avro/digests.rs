//! Records taken apart by [`EnvelopeReader`]: equal rows have equal hashes under any version of their schema, and no
//! bytes make it panic.

use proptest::prelude::*;
use walferry_avro::{
    EncodePlan, Envelope, EnvelopeReader, Format, KeyReader, OperationReader, RecordEnvelope, Row,
};
use walferry_event::{Column, Datum, Lsn, Operation, Origin};

use crate::harness::{
    BOOL, BYTEA, FLOAT8, INT4, INT8, NUMERIC, TEXT, TIMESTAMP, array, column, numeric, plan,
    required,
};

const ROW: [&str; 8] = [
    "7",
    "t",
    "grün",
    "\\x00ff",
    "12.34",
    "0.5",
    "{1,NULL,3}",
    "2024-02-29 12:00:00.123456",
];

fn columns() -> Vec<Column> {
    vec![
        required(column("id", INT4, -1)),
        column("b", BOOL, -1),
        column("t", TEXT, -1),
        column("raw", BYTEA, -1),
        column("n", NUMERIC, numeric(12, 2)),
        column("f", FLOAT8, -1),
        array("a", column("", INT4, -1), 1),
        column("ts", TIMESTAMP, -1),
    ]
}

fn record(plan: &EncodePlan, row: &[&str]) -> Vec<u8> {
    let datums: Vec<Datum<'_>> = row.iter().map(|it| Datum::Text(it.as_bytes())).collect();
    let origin = Origin {
        xid: 77,
        lsn: Lsn(5000),
        last_commit_lsn: Some(Lsn(4900)),
        commit_us: 1_000_007,
        encoded_us: 2_000_009,
        ..Origin::default()
    };
    let mut out = Vec::new();
    plan.value(
        Operation::Create,
        Row::None,
        Row::Full(&datums),
        &origin,
        &mut out,
    )
    .unwrap();
    out
}

fn read(plan: &EncodePlan, record: &[u8]) -> (RecordEnvelope, Vec<u64>) {
    let reader = EnvelopeReader::parse(plan.value_schema()).unwrap();
    let mut hashes = Vec::new();
    let envelope = reader.read(&record[5..], &mut hashes).unwrap();
    (envelope, hashes)
}

#[test]
fn a_record_says_who_changed_it_and_has_a_hash_for_each_column() {
    let plan = plan(columns(), &[0], &Format::default());
    let (envelope, hashes) = read(&plan, &record(&plan, &ROW));
    let expected = RecordEnvelope {
        operation: b'c',
        lsn: Some(5000),
        xid: Some(77),
        last_commit_lsn: Some(4900),
        commit_us: Some(1_000_007),
        encoded_us: Some(2_000_009),
        has_row: true,
        table: walferry_avro::table_digest(b"inventory", b"orders"),
    };
    assert_eq!(envelope, expected);
    assert_eq!(hashes.len(), ROW.len());
    for at in 0..ROW.len() {
        let mut row = ROW;
        row[at] = [
            "8",
            "f",
            "x",
            "\\x00",
            "12.35",
            "0.25",
            "{1,2,3}",
            "2024-02-29 12:00:00",
        ][at];
        let (_, other) = read(&plan, &record(&plan, &row));
        let differing: Vec<usize> = (0..ROW.len())
            .filter(|&it| hashes[it] != other[it])
            .collect();
        assert_eq!(differing, [at], "only column {at} has changed");
    }
}

#[test]
fn a_wider_schema_has_the_same_hashes() {
    let narrow = plan(columns(), &[0], &Format::default());
    let mut wide = columns();
    wide[0] = column("id", INT8, -1);
    wide[6].any_shape = true;
    wide.insert(1, column("new", TEXT, -1));
    let wide = plan(wide, &[0], &Format::default());
    let mut row = ROW.to_vec();
    row.insert(1, "new");
    let (_, before) = read(&narrow, &record(&narrow, &ROW));
    let (_, after) = read(&wide, &record(&wide, &row));
    let forms = |plan: &EncodePlan| {
        let reader = EnvelopeReader::parse(plan.value_schema()).unwrap();
        let pairs = reader
            .columns()
            .map(|(name, form)| (name.to_owned(), form.to_owned()));
        pairs.collect::<Vec<_>>()
    };
    for (at, pair) in forms(&narrow).iter().enumerate() {
        let other = forms(&wide).iter().position(|it| it == pair);
        let other = other.unwrap_or_else(|| panic!("{pair:?} is not comparable"));
        assert_eq!(before[at], after[other], "{pair:?}");
    }
}

#[test]
fn a_column_of_another_meaning_has_another_form() {
    let form = |column: Column| {
        let plan = plan(vec![column], &[], &Format::default());
        let reader = EnvelopeReader::parse(plan.value_schema()).unwrap();
        let (_, form) = reader.columns().next().unwrap();
        form.to_owned()
    };
    assert_eq!(
        form(column("a", INT4, -1)),
        form(required(column("a", INT8, -1)))
    );
    assert_ne!(
        form(column("a", TIMESTAMP, 3)),
        form(column("a", TIMESTAMP, 6))
    );
    let (cents, mills) = (numeric(9, 2), numeric(9, 3));
    assert_ne!(
        form(column("a", NUMERIC, cents)),
        form(column("a", NUMERIC, mills))
    );
    assert_eq!(
        form(column("a", NUMERIC, cents)),
        form(column("a", NUMERIC, numeric(12, 2)))
    );
}

#[test]
fn a_key_is_shown_as_json() {
    let columns = vec![
        required(column("id", INT8, -1)),
        required(column("t", TEXT, -1)),
    ];
    let plan = plan(columns, &[0, 1], &Format::default());
    let mut key = Vec::new();
    plan.key(&[Datum::Text(b"-5"), Datum::Text(b"a\"b")], &mut key)
        .unwrap();
    let reader = KeyReader::parse(plan.key_schema().unwrap()).unwrap();
    assert_eq!(reader.text(&key[5..]), r#"{"id":-5,"t":"a\"b"}"#);
    assert!(reader.text(&key[5..7]).contains("does not describe"));
}

/// The value of the delete of a row with this key, and what the plan itself writes when it knows the row's key.
fn deletes(written: &EncodePlan, plan: &EncodePlan, row: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let datums: Vec<Datum<'_>> = row.iter().map(|it| Datum::Text(it.as_bytes())).collect();
    let readers = [written, plan].map(|it| KeyReader::parse(it.key_schema().unwrap()).unwrap());
    let (mut key, mut told, mut known) = (Vec::new(), Vec::new(), Vec::new());
    written.key(&datums, &mut key).unwrap();
    let origin = Origin {
        lsn: Lsn(5000),
        ..Origin::default()
    };
    plan.delete_of_key(&key[5..], &readers[0], &readers[1], &origin, &mut told)
        .unwrap();
    let old: Vec<Datum<'_>> = (0..datums.len())
        .map(|at| match plan.key_columns().contains(&at) {
            true => datums[at],
            false => Datum::Null,
        })
        .collect();
    plan.value(
        Operation::Delete,
        Row::Key(&old),
        Row::None,
        &origin,
        &mut known,
    )
    .unwrap();
    (told, known)
}

#[test]
fn a_key_of_a_topic_becomes_the_delete_that_the_stream_would_bring() {
    for envelope in [Envelope::Debezium, Envelope::Flat] {
        let format = Format {
            envelope,
            ..Format::default()
        };
        for key in [&[0][..], &[2], &[7, 0], &[4, 3, 1], &[6]] {
            let plan = plan(columns(), key, &format);
            let (told, known) = deletes(&plan, &plan, &ROW);
            assert_eq!(told, known, "{envelope:?} {key:?}");
            let reader = OperationReader::parse(plan.value_schema()).unwrap();
            assert_eq!(reader.read(&told[5..]), Ok(b'd'));
            assert_eq!(reader.read(&record(&plan, &ROW)[5..]), Ok(b'c'));
            assert!(reader.read(&told[5..9]).is_err());
        }
    }
}

#[test]
fn a_key_of_another_schema_says_what_it_has_in_the_same_form() {
    let format = Format::default();
    let narrow = plan(columns(), &[0], &format);
    let mut wider = columns();
    wider[0] = required(column("id", INT8, -1));
    // An integer of another width has one form; a column that the key did not have is not known.
    let (told, known) = deletes(&narrow, &plan(wider.clone(), &[0], &format), &ROW);
    assert_eq!(told, known);
    let (told, known) = deletes(&narrow, &plan(wider, &[0, 2], &format), &ROW);
    assert_ne!(told, known);
    let reader = OperationReader::parse(narrow.value_schema()).unwrap();
    assert_eq!(reader.read(&told[5..]), Ok(b'd'));
    // Text in the place of a number is not carried over.
    let mut text = columns();
    text[0] = required(column("id", TEXT, -1));
    let (told, known) = deletes(&plan(text, &[0], &format), &narrow, &ROW);
    assert_ne!(told, known);
}

#[test]
fn a_key_has_another_form_when_its_columns_are_the_same_and_its_bytes_are_not() {
    let reader = |columns: Vec<Column>, key: &[usize]| {
        let plan = plan(columns, key, &Format::default());
        KeyReader::parse(plan.key_schema().unwrap()).unwrap()
    };
    let (id, other) = (
        || column("id", INT4, -1),
        || required(column("k", INT4, -1)),
    );
    let own = reader(vec![required(id()), other()], &[0]);
    for (columns, key, expected) in [
        (vec![required(id()), other()], [0], false),
        (vec![id(), other()], [0], true),
        (vec![required(column("id", INT8, -1)), other()], [0], false),
        (vec![required(column("id", TEXT, -1)), other()], [0], true),
        (vec![required(id()), other()], [1], false),
    ] {
        let written = reader(columns, &key);
        assert_eq!(written.has_another_form(&own), expected, "{written:?}");
    }
}

#[test]
fn a_key_is_read_in_the_form_of_another_schema_where_it_means_the_same() {
    let plan_of = |columns: Vec<Column>| plan(columns, &[0, 1], &Format::default());
    let (id, name) = (|| column("id", INT4, -1), || column("name", TEXT, -1));
    let plain = plan_of(vec![required(id()), required(name())]);
    let other = plan_of(vec![required(id()), required(column("name", BYTEA, -1))]);
    let longer = plan_of(vec![required(id()), required(column("names", TEXT, -1))]);
    let nullable = plan_of(vec![id(), required(name())]);
    let reader = |plan: &EncodePlan| KeyReader::parse(plan.key_schema().unwrap()).unwrap();
    let key = |plan: &EncodePlan| {
        let mut out = Vec::new();
        let row = [Datum::Text(b"5"), Datum::Text(b"ab")];
        plan.key(&row, &mut out).unwrap();
        out.split_off(5)
    };
    for (from, to) in [(&nullable, &plain), (&plain, &nullable), (&plain, &plain)] {
        let read = reader(from).in_form_of(&key(from), &reader(to));
        assert_eq!(read, Some(key(to)));
    }
    // Nothing that means another thing, and no bytes that are not a key.
    for from in [&other, &longer] {
        assert_eq!(reader(from).in_form_of(&key(&plain), &reader(&plain)), None);
    }
    for bytes in [&[][..], &[2], &[0, 10, 4, 97, 98], &[255; 20]] {
        assert_eq!(reader(&nullable).in_form_of(bytes, &reader(&plain)), None);
    }
}

#[test]
fn a_schema_that_is_no_envelope_is_refused() {
    for text in [
        "",
        "{}",
        r#""long""#,
        r#"{"type":"record","name":"r","fields":[]}"#,
        r#"{"type":"record","name":"r","fields":[{"name":"after","type":"unknown"}]}"#,
    ] {
        assert!(EnvelopeReader::parse(text).is_err(), "{text}");
        assert!(OperationReader::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        let plan = plan(columns(), &[0], &Format::default());
        let reader = EnvelopeReader::parse(plan.value_schema()).unwrap();
        let operation = OperationReader::parse(plan.value_schema()).unwrap();
        let key = KeyReader::parse(plan.key_schema().unwrap()).unwrap();
        let mut hashes = Vec::new();
        let _ = reader.read(&bytes, &mut hashes);
        let _ = operation.read(&bytes);
        let _ = plan.delete_of_key(&bytes, &key, &key, &Origin::default(), &mut Vec::new());
        // A record whose middle is replaced gets further than bytes without any sense.
        let whole = record(&plan, &ROW);
        let cut = cut.min(whole.len());
        bytes.splice(0..0, whole[5.min(cut)..cut].iter().copied());
        let _ = reader.read(&bytes, &mut hashes);
        let _ = operation.read(&bytes);
    }
}
