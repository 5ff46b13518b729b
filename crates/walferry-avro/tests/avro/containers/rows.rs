//! Unchanged TOAST, what an old key does not carry, columns that are left out.

use apache_avro::types::Value;
use walferry_avro::{BinaryMode, EncodeErrorKind, Format, HstoreMode, Quirk, Row, TimeMode};
use walferry_event::{Column, Datum, Operation};

use super::{address, quirk, wkb};
use crate::harness::*;

#[test]
fn unchanged_toast() {
    let p = "__debezium_unavailable_value";
    let codes = |word: &str| {
        let codes: Vec<String> = p.bytes().map(|byte| format!("{word} {byte}")).collect();
        format!("[{}]", codes.join(", "))
    };
    let hex: String = p.bytes().map(|byte| format!("{byte:02x}")).collect();
    let map = format(|format| format.hstore = HstoreMode::Map);
    let base64 = format(|format| format.binary = BinaryMode::Base64);
    let iso = format(|format| format.time = TimeMode::IsoString);
    let default = Format::default();
    for (column, format, expected) in [
        (
            array("c", column("c", TEXT, -1), 1),
            &default,
            format!("[string {p}]"),
        ),
        (
            array("c", column("c", JSONB, -1), 1),
            &default,
            format!("[string {p}]"),
        ),
        (
            array("c", column("c", BYTEA, -1), 1),
            &default,
            format!("[bytes {hex}]"),
        ),
        (
            array("c", column("c", BYTEA, -1), 1),
            &base64,
            "[string X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==]".to_owned(),
        ),
        (array("c", column("c", INT4, -1), 1), &default, codes("int")),
        (
            array("c", column("c", INT8, -1), 1),
            &default,
            codes("long"),
        ),
        (array("c", column("c", DATE, -1), 1), &default, codes("int")),
        (
            array("c", column("c", DATE, -1), 1),
            &iso,
            format!("[string {p}]"),
        ),
        (
            array("c", column("c", UUID, -1), 1),
            &default,
            "[string b68a35a7-17ad-35b3-af2a-ae46edb4545a]".to_owned(),
        ),
        (
            extension("hstore"),
            &default,
            format!(r#"string {{"{p}":"{p}"}}"#),
        ),
        (extension("hstore"), &map, format!("map {p} => string {p}")),
    ] {
        let lone = Lone::new(column.clone(), format);
        assert_eq!(show(&lone.datum(Datum::Unchanged).unwrap()), expected);
        let lone = Lone::new(any_shape(column), format);
        assert_eq!(show(&lone.datum(Datum::Unchanged).unwrap()), expected);
    }
    for column in [
        array("c", column("c", FLOAT8, -1), 1),
        array("c", column("c", INT2, -1), 1),
        array("c", column("c", TEXT, -1), 2),
        address(),
        extension("vector"),
        extension("geometry"),
        column("c", 602, -1),
    ] {
        let lone = Lone::new(column.clone(), &default);
        assert_eq!(lone.datum(Datum::Unchanged), Err(EncodeErrorKind::Shape));
        let lone = Lone::new(column.clone(), &quirk(Quirk::UnavailableAsNull));
        assert_eq!(lone.datum(Datum::Unchanged), Ok(Value::Null));
        for wide in [any_shape(column.clone()), required(any_shape(column))] {
            let lone = Lone::new(wide, &default);
            assert_eq!(
                show(&lone.datum(Datum::Unchanged).unwrap()),
                format!("string {p}")
            );
        }
    }
}

#[test]
fn what_an_old_key_does_not_carry_is_filled() {
    let point = wkb(1, &[], &[0., 0.]);
    let named = |name: &str, column: Column| {
        required(Column {
            name: name.into(),
            ..column
        })
    };
    let columns = || {
        vec![
            required(column("id", INT4, -1)),
            named("list", array("c", column("c", INT4, -1), 1)),
            named("point", column("c", 600, -1)),
            named("home", address()),
            named("h", extension("hstore")),
            named("v", extension("vector")),
            named("path", column("c", 602, -1)),
        ]
    };
    let expected = format!(
        "{{id: int 5, list: [], point: {{x: double 0, y: double 0, wkb: bytes {point}, srid: null}}, \
         home: {{street: null, no_1: null, tags: null}}, h: string {{}}, v: [], path: null}}"
    );
    let mut old = [Datum::Null; 7];
    old[0] = Datum::Text(b"5");
    for wide in [false, true] {
        let columns = columns().into_iter().map(|it| Column {
            any_shape: wide,
            ..it
        });
        let plan = plan(columns.collect(), &[0], &Format::default());
        let mut out = Vec::new();
        plan.value(
            Operation::Delete,
            Row::Key(&old),
            Row::None,
            &origin(),
            &mut out,
        )
        .unwrap();
        let value = decode(plan.value_schema(), &out);
        assert_eq!(show(&field(&value, "before")), expected);
    }
}

#[test]
fn what_debezium_does_not_map_is_left_out_on_request() {
    let columns = vec![
        required(column("id", INT4, -1)),
        Column {
            name: "home".into(),
            ..required(address())
        },
        array("points", column("c", 600, -1), 1),
        array("ints", column("c", INT4, -1), 1),
        column("t", TEXT, -1),
    ];
    let plan = plan(columns, &[1, 0], &quirk(Quirk::LeaveOut));
    assert_eq!(plan.key_columns(), [0]);
    let row = [
        Datum::Text(b"1"),
        Datum::Text(b"(a,1,)"),
        Datum::Unchanged,
        Datum::Text(b"{1}"),
        Datum::Text(b"x"),
    ];
    let mut out = Vec::new();
    let (before, after) = (Row::Key(&[Datum::Null; 5]), Row::Full(&row));
    plan.value(Operation::Update, before, after, &origin(), &mut out)
        .unwrap();
    let value = decode(plan.value_schema(), &out);
    assert_eq!(
        show(&field(&value, "after")),
        "{id: int 1, ints: [int 1], t: string x}"
    );
    assert_eq!(
        show(&field(&value, "before")),
        "{id: int 0, ints: null, t: null}"
    );
}
