//! Before and after, keys, unchanged TOAST, and the blocks around the row.

use apache_avro::types::Value;
use walferry_avro::{BinaryMode, DecimalMode, EncodeErrorKind, EncodePlan, Format, Quirks, Row};
use walferry_event::{Column, Datum, Lsn, Operation, Origin, SnapshotMark};

use crate::harness::*;

const T: fn(&str) -> Datum<'_> = |text| Datum::Text(text.as_bytes());

fn value(plan: &EncodePlan, operation: Operation, before: Row<'_>, after: Row<'_>) -> Value {
    let mut out = Vec::new();
    plan.value(operation, before, after, &origin(), &mut out)
        .unwrap();
    decode(plan.value_schema(), &out)
}

/// The row record of one side, on one line.
fn side(value: &Value, name: &str) -> String {
    show(&field(value, name))
}

fn error(plan: &EncodePlan, after: &[Datum<'_>]) -> (usize, String, EncodeErrorKind) {
    let mut out = Vec::new();
    let error = plan
        .value(
            Operation::Create,
            Row::None,
            Row::Full(after),
            &origin(),
            &mut out,
        )
        .unwrap_err();
    (error.column, error.name, error.kind)
}

#[test]
fn the_bytes_of_a_small_record() {
    let mut plan = plan(
        vec![required(column("id", INT4, -1)), column("t", TEXT, -1)],
        &[0],
        &Format::default(),
    );
    plan.set_ids(Some(7), 0x0102_0304);
    let row = [T("1"), T("ab")];
    let mut out = vec![0xEE];
    plan.key(&row, &mut out).unwrap();
    assert_eq!(out, [0xEE, 0, 0, 0, 0, 7, 2], "a key is appended");
    out.clear();
    plan.value(
        Operation::Create,
        Row::None,
        Row::Full(&row),
        &origin(),
        &mut out,
    )
    .unwrap();
    assert_eq!(out[..5], [0, 1, 2, 3, 4]);
    // before null; after: branch 1, id 1, t branch 1 of 2 bytes.
    assert_eq!(out[5..12], [0, 2, 2, 2, 4, b'a', b'b']);
}

#[test]
fn every_operation_says_what_it_was() {
    let plan = plan(
        vec![required(column("id", INT4, -1))],
        &[0],
        &Format::default(),
    );
    let row = [T("1")];
    for (operation, before, after, code, sides) in [
        (
            Operation::Read,
            Row::None,
            Row::Full(&row),
            "r",
            ["null", "{id: int 1}"],
        ),
        (
            Operation::Create,
            Row::None,
            Row::Full(&row),
            "c",
            ["null", "{id: int 1}"],
        ),
        (
            Operation::Update,
            Row::Full(&row),
            Row::Full(&row),
            "u",
            ["{id: int 1}"; 2],
        ),
        (
            Operation::Delete,
            Row::Key(&row),
            Row::None,
            "d",
            ["{id: int 1}", "null"],
        ),
        (
            Operation::Truncate,
            Row::None,
            Row::None,
            "t",
            ["null", "null"],
        ),
    ] {
        let value = value(&plan, operation, before, after);
        assert_eq!(show(&field(&value, "op")), format!("string {code}"));
        assert_eq!([side(&value, "before"), side(&value, "after")], sides);
    }
}

#[test]
fn the_source_block_and_the_times() {
    let plan = plan(
        vec![required(column("id", INT4, -1))],
        &[0],
        &Format::default(),
    );
    let row = [T("1")];
    let version = env!("CARGO_PKG_VERSION");
    let read = |origin: &Origin<'_>| {
        let mut out = Vec::new();
        plan.value(
            Operation::Create,
            Row::None,
            Row::Full(&row),
            origin,
            &mut out,
        )
        .unwrap();
        decode(plan.value_schema(), &out)
    };
    let streamed = read(&origin());
    assert_eq!(
        side(&streamed, "source"),
        format!(
            "{{version: string {version}, connector: string postgresql, name: string shop, \
             ts_ms: long 1478267490123, snapshot: string false, db: string shopdb, \
             sequence: string [\"24023000\",\"24023128\"], ts_us: long 1478267490123456, \
             ts_ns: long 1478267490123456000, schema: string inventory, table: string orders, \
             txId: long 747, lsn: long 24023128, xmin: null, origin: null, origin_lsn: null}}"
        )
    );
    assert_eq!(side(&streamed, "transaction"), "null");
    assert_eq!(side(&streamed, "ts_ms"), "long 1478267490999");
    assert_eq!(side(&streamed, "ts_us"), "long 1478267490999999");
    assert_eq!(side(&streamed, "ts_ns"), "long 1478267490999999000");

    let replicated = Origin {
        origin: Some("west"),
        origin_lsn: Some(Lsn(9)),
        last_commit_lsn: None,
        lsn: Lsn(i64::MAX as u64),
        xid: u32::MAX,
        commit_us: -1,
        encoded_us: i64::MAX,
        ..origin()
    };
    let source = field(&read(&replicated), "source");
    for (name, expected) in [
        ("sequence", "string [null,\"9223372036854775807\"]"),
        ("ts_ms", "long -1"),
        ("txId", "long 4294967295"),
        ("lsn", "long 9223372036854775807"),
        ("origin", "string west"),
        ("origin_lsn", "long 9"),
    ] {
        assert_eq!(show(&field(&source, name)), expected, "{name}");
    }
    assert_eq!(side(&read(&replicated), "ts_ns"), "null", "beyond 2262");

    for mark in [
        SnapshotMark::First,
        SnapshotMark::FirstInTable,
        SnapshotMark::Inner,
        SnapshotMark::LastInTable,
        SnapshotMark::Last,
        SnapshotMark::Incremental,
    ] {
        let nothing = Origin {
            snapshot: mark,
            ..Origin::default()
        };
        let source = field(&read(&nothing), "source");
        assert_eq!(
            show(&field(&source, "snapshot")),
            format!("string {}", mark.text())
        );
        for unknown in ["txId", "lsn", "sequence"] {
            assert_eq!(show(&field(&source, unknown)), "null", "{unknown}");
        }
    }
}

#[test]
fn what_an_old_key_does_not_carry_is_filled() {
    let columns: Vec<(Column, &str)> = vec![
        (column("id", INT4, -1), "int 5"),
        (column("i2", INT2, -1), "int 0"),
        (column("i8", INT8, -1), "long 0"),
        (default(column("i8d", INT8, -1), "42"), "long 42"),
        (column("b", BOOL, -1), "boolean false"),
        (column("f4", FLOAT4, -1), "float 0"),
        (column("f8", FLOAT8, -1), "double 0"),
        (column("t", TEXT, -1), "string "),
        (default(column("td", TEXT, -1), "'x'::text"), "string x"),
        (column("by", BYTEA, -1), "bytes "),
        (column("n", NUMERIC, numeric(12, 2)), "decimal 0"),
        (
            default(column("nd", NUMERIC, numeric(12, 2)), "1.5"),
            "decimal 150",
        ),
        (column("v", NUMERIC, -1), "{scale: int 0, value: bytes 00}"),
        (column("d", DATE, -1), "int 0"),
        (column("ti", TIME, -1), "long 0"),
        (column("ts", TIMESTAMP, -1), "long 0"),
        (column("tz", TIMESTAMPTZ, -1), "string 1970-01-01T00:00:00Z"),
        (
            default(column("tzd", TIMESTAMPTZ, -1), "now()"),
            "string 1970-01-01T00:00:00.000000Z",
        ),
        (column("u", UUID, -1), "string "),
        (column("j", JSONB, -1), "string "),
        (labels("e", &["a"]), "string "),
        (default(labels("ed", &["a", "b"]), "'b'::e"), "string b"),
    ];
    let expected: Vec<_> = columns
        .iter()
        .map(|(column, shown)| format!("{}: {shown}", column.name))
        .collect();
    let columns: Vec<_> = columns
        .into_iter()
        .map(|(column, _)| required(column))
        .collect();
    let mut old = vec![Datum::Null; columns.len()];
    old[0] = T("5");
    let plan = plan(columns, &[0], &Format::default());
    let deleted = value(&plan, Operation::Delete, Row::Key(&old), Row::None);
    assert_eq!(
        side(&deleted, "before"),
        format!("{{{}}}", expected.join(", "))
    );
    // The same row as a whole one is a fault, and names the first column that is.
    assert_eq!(
        error(&plan, &old),
        (1, "i2".to_owned(), EncodeErrorKind::NullInRequired)
    );
}

#[test]
fn null_stays_null_also_where_there_is_a_default() {
    let plan = plan(
        vec![
            required(column("id", INT4, -1)),
            default(column("flag", BOOL, -1), "true"),
            default(column("txt", TEXT, -1), "'dflt'::text"),
        ],
        &[0],
        &Format::default(),
    );
    let row = [T("1"), Datum::Null, Datum::Null];
    let created = value(&plan, Operation::Create, Row::None, Row::Full(&row));
    assert_eq!(
        side(&created, "after"),
        "{id: int 1, flag: null, txt: null}"
    );
    let row = [T("1"), T("f"), T("dflt")];
    let deleted = value(&plan, Operation::Delete, Row::Key(&row), Row::None);
    assert_eq!(
        side(&deleted, "before"),
        "{id: int 1, flag: boolean false, txt: string dflt}"
    );
}

#[test]
fn unchanged_toast_is_its_placeholder() {
    let p = "__debezium_unavailable_value";
    let p_hex: String = p.bytes().map(|byte| format!("{byte:02x}")).collect();
    let format = Format::default();
    for oid in [TEXT, VARCHAR, BPCHAR, JSON, JSONB, XML] {
        let lone = Lone::new(column("c", oid, -1), &format);
        assert_eq!(
            show(&lone.datum(Datum::Unchanged).unwrap()),
            format!("string {p}")
        );
    }
    let bytea = |mode| {
        let lone = Lone::new(
            column("c", BYTEA, -1),
            &crate::harness::format(|f| f.binary = mode),
        );
        show(&lone.datum(Datum::Unchanged).unwrap())
    };
    assert_eq!(bytea(BinaryMode::Bytes), format!("bytes {p_hex}"));
    assert_eq!(bytea(BinaryMode::Hex), format!("string {p_hex}"));
    assert_eq!(
        bytea(BinaryMode::Base64),
        "string X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="
    );
    let text = crate::harness::format(|f| {
        f.decimal = DecimalMode::String;
        f.unavailable_value = "?".to_owned();
    });
    let lone = Lone::new(column("c", NUMERIC, -1), &text);
    assert_eq!(show(&lone.datum(Datum::Unchanged).unwrap()), "string ?");
    // A number cannot say that it is not known.
    for modifier in [-1, numeric(1000, 2)] {
        let lone = Lone::new(column("c", NUMERIC, modifier), &format);
        assert_eq!(
            lone.datum(Datum::Unchanged),
            Err(EncodeErrorKind::Unavailable)
        );
    }
}

#[test]
fn unchanged_toast_is_taken_from_the_old_row() {
    let plan = plan(
        vec![
            required(column("k", TEXT, -1)),
            column("t", TEXT, -1),
            column("n", NUMERIC, -1),
        ],
        &[0],
        &Format::default(),
    );
    let old = [T("key"), T("long"), T("12")];
    let new = [Datum::Unchanged; 3];
    let full = value(&plan, Operation::Update, Row::Full(&old), Row::Full(&new));
    assert_eq!(
        side(&full, "after"),
        "{k: string key, t: string long, n: {scale: int 0, value: bytes 0c}}"
    );
    let old = [T("key"), Datum::Null, Datum::Null];
    let new = [Datum::Unchanged, Datum::Unchanged, Datum::Null];
    let identity = value(&plan, Operation::Update, Row::Key(&old), Row::Full(&new));
    assert_eq!(
        side(&identity, "after"),
        "{k: string key, t: string __debezium_unavailable_value, n: null}"
    );
    // A key is never a placeholder.
    let mut out = Vec::new();
    assert_eq!(
        plan.key(&new, &mut out).unwrap_err().kind,
        EncodeErrorKind::Unavailable
    );
    out.clear();
    plan.key_from(&new, &old, &mut out).unwrap();
    assert_eq!(
        show(&decode(plan.key_schema().unwrap(), &out)),
        "{k: string key}"
    );
}

#[test]
fn keys() {
    let columns = || {
        vec![
            required(column("a", INT4, -1)),
            column("note", TEXT, -1),
            required(column("b", TEXT, -1)),
            column("c", NUMERIC, -1),
        ]
    };
    let plan = plan(columns(), &[2, 0, 3], &Format::default());
    assert_eq!(plan.key_columns(), [2, 0, 3]);
    let row = [T("1"), T("x"), T("k"), T("1.5")];
    let mut out = Vec::new();
    plan.key(&row, &mut out).unwrap();
    assert_eq!(
        show(&decode(plan.key_schema().unwrap(), &out)),
        "{b: string k, a: int 1, c: {scale: int 1, value: bytes 0f}}"
    );
    let changed = |new: [Datum<'_>; 4]| plan.key_changed(&row, &new);
    assert!(!changed(row));
    assert!(!changed([T("1"), T("other"), Datum::Unchanged, T("1.5")]));
    assert!(changed([T("2"), T("x"), T("k"), T("1.5")]));
    assert!(changed([T("1"), T("x"), T("k"), Datum::Null]));
    let null = [Datum::Null; 4];
    let error = plan.key(&null, &mut out).unwrap_err();
    assert_eq!((error.column, error.kind), (2, EncodeErrorKind::NullInKey));
    assert_eq!(
        error.to_string(),
        "column \"b\" of table inventory.orders is part of the message key and NULL, or not known of the old row, so that \
         different rows would share a key; choose another `key`, or let old rows carry it (REPLICA IDENTITY)"
    );

    let keyless = crate::harness::plan(columns(), &[], &Format::default());
    out.clear();
    keyless.key(&row, &mut out).unwrap();
    assert!(out.is_empty() && keyless.key_schema().is_none());
    assert!(!keyless.key_changed(&row, &null));
}

#[test]
fn a_row_that_is_not_the_tables_is_a_fault() {
    let plan = plan(
        vec![column("a", INT4, -1), column("b", INT4, -1)],
        &[0],
        &Format::default(),
    );
    let columns = EncodeErrorKind::Columns;
    assert_eq!(error(&plan, &[]), (0, "a".to_owned(), columns));
    assert_eq!(error(&plan, &[T("1")]), (1, "b".to_owned(), columns));
    assert_eq!(error(&plan, &[T("1"); 3]), (2, String::new(), columns));
    assert_eq!(plan.key(&[], &mut Vec::new()).unwrap_err().kind, columns);
    let binary = [Datum::Binary(b"\0\0\0\x01"), Datum::Null];
    assert_eq!(
        error(&plan, &binary),
        (0, "a".to_owned(), EncodeErrorKind::Malformed)
    );
}

#[test]
fn a_table_without_columns() {
    let plan = plan(Vec::new(), &[], &Format::default());
    let created = value(&plan, Operation::Create, Row::None, Row::Full(&[]));
    assert_eq!(side(&created, "after"), "{}");
}

#[test]
fn a_key_as_json() {
    let columns = vec![
        required(column("id", INT4, -1)),
        required(column("na\"me", TEXT, -1)),
        required(column("at", TIMESTAMP, -1)),
        required(column("price", NUMERIC, numeric(9, 2))),
        required(column("any", NUMERIC, -1)),
        required(column("raw", BYTEA, -1)),
        column("flag", BOOL, -1),
    ];
    let plan = plan(columns, &[0, 1, 2, 3, 4, 5, 6], &<_>::default());
    let row: Vec<Datum<'_>> = [
        "2",
        "O'Hara \"x\"",
        "1970-01-01 00:00:01",
        "1.50",
        "1.25",
        "\\x0102",
        "t",
    ]
    .iter()
    .map(|text| Datum::Text(text.as_bytes()))
    .collect();
    let mut json = Vec::new();
    plan.key_json(&row, &mut json).unwrap();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{"id":2,"na\"me":"O'Hara \"x\"","at":1000000,"price":1.50,"any":{"scale":2,"value":"fQ=="},"raw":"AQI=","flag":true}"#
    );
}

#[test]
fn null_is_the_default_when_the_quirk_asks_for_it() {
    for (quirks, expected) in [(Quirks::NONE, "null"), (Quirks::all(), "string none")] {
        let format = format(|format| format.quirks = quirks);
        let lone = Lone::new(default(column("note", TEXT, -1), "'none'::text"), &format);
        assert_eq!(show(&lone.datum(Datum::Null).unwrap()), expected);
    }
}
