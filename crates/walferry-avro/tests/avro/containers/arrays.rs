//! Array text, elements of every type, dimensions, and the shapes that a schema widens for.

use apache_avro::types::Value;
use walferry_avro::{Format, Quirk};
use walferry_event::{Column, Datum};

use super::{check, quirk, schema};
use crate::harness::*;

/// Arrays of an element type in the default format.
fn arrays(element: Column, cases: &[(&str, &str)]) {
    check(array("c", element, 1), &Format::default(), cases);
}

#[test]
fn array_text_in_all_its_forms() {
    arrays(
        column("c", TEXT, -1),
        &[
            ("{}", "[]"),
            ("{one,two}", "[string one, string two]"),
            ("{NULL,\"NULL\",null}", "[null, string NULL, string null]"),
            (r#"{"",","," "}"#, "[string , string ,, string  ]"),
            (
                r#"{"a\"b\\c","{}",žš}"#,
                r#"[string a"b\c, string {}, string žš]"#,
            ),
            (r#"{"\\\\"}"#, r#"[string \\]"#),
            ("{a", "error malformed"),
            ("{a,}", "error malformed"),
            ("{,a}", "error malformed"),
            ("{a}b", "error malformed"),
            (r#"{"a}"#, "error malformed"),
            (r#"{"a"b}"#, "error malformed"),
            (r#"{"\"#, "error malformed"),
            (r"{a\b}", "error malformed"),
            ("", "error malformed"),
            ("a", "error malformed"),
            ("{{a},{b}}", "error shape"),
            ("[0:1]={a,b}", "error shape"),
            ("[0:1]", "error malformed"),
        ],
    );
    let lone = Lone::new(array("c", column("c", INT4, -1), 1), &Format::default());
    for count in [1, 63, 64, 65, 8_191, 8_192] {
        let numbers: Vec<String> = (0..count).map(|n: i32| n.to_string()).collect();
        let Ok(Value::Array(items)) = lone.text(format!("{{{}}}", numbers.join(",")).as_bytes())
        else {
            panic!("{count} items gave no array");
        };
        assert_eq!(items.len(), numbers.len());
    }
}

#[test]
fn elements_are_written_as_columns_of_their_type() {
    for (element, text, expected) in [
        (
            column("c", BOOL, -1),
            "{t,f,NULL}",
            "[boolean true, boolean false, null]",
        ),
        (column("c", INT2, -1), "{-1}", "[int -1]"),
        (
            column("c", INT8, -1),
            "{1550166368505037572}",
            "[long 1550166368505037572]",
        ),
        (
            column("c", OID, -1),
            "{3,4000000000}",
            "[long 3, long 4000000000]",
        ),
        (
            column("c", FLOAT4, -1),
            "{1.5,NaN}",
            "[float 1.5, float NaN]",
        ),
        (column("c", FLOAT8, -1), "{-Infinity}", "[double -inf]"),
        (
            column("c", NUMERIC, numeric(10, 2)),
            "{1.20,3.40}",
            "[decimal 120, decimal 340]",
        ),
        (
            column("c", NUMERIC, -1),
            "{1.1,2.22}",
            "[{scale: int 1, value: bytes 0b}, {scale: int 2, value: bytes 00de}]",
        ),
        (
            column("c", BPCHAR, 14),
            r#"{"cone      "}"#,
            "[string cone      ]",
        ),
        (column("c", DATE, -1), "{2016-11-04}", "[int 17109]"),
        (column("c", TIME, -1), "{00:01:02}", "[long 62000000]"),
        (
            column("c", TIMESTAMP, 3),
            r#"{"2020-04-01 00:01:02"}"#,
            "[long 1585699262000]",
        ),
        (
            column("c", TIMESTAMPTZ, -1),
            r#"{"2020-04-01 11:51:02+00",infinity}"#,
            "[string 2020-04-01T11:51:02.000000Z, string infinity]",
        ),
        (
            column("c", JSONB, -1),
            r#"{"{\"bar\": \"baz\"}"}"#,
            r#"[string {"bar": "baz"}]"#,
        ),
        (column("c", BYTEA, -1), r#"{"\\x000102"}"#, "[bytes 000102]"),
        (
            labels("c", &["a", "b c"]),
            r#"{a,"b c"}"#,
            "[string a, string b c]",
        ),
        (
            column("c", 3904, -1),
            r#"{"[1,6)",empty}"#,
            "[string [1,6), string empty]",
        ),
        (
            column("c", 600, -1),
            r#"{"(1,2)"}"#,
            "[{x: double 1, y: double 2, wkb: bytes 0101000000000000000000f03f0000000000000040, srid: null}]",
        ),
        (
            column("c", 628, -1),
            r#"{"{1,2,3}"}"#,
            "[{a: double 1, b: double 2, c: double 3}]",
        ),
        (
            column("c", INTERVAL, -1),
            r#"{"1 day",-00:00:01}"#,
            "[long 86400000000, long -1000000]",
        ),
        (
            column("c", MONEY, 2),
            r#"{"$1,234.11",$0.00}"#,
            "[decimal 123411, decimal 0]",
        ),
        (column("c", BIT, 3), "{101,000}", "[bytes 05, bytes ]"),
        (column("c", VARBIT, -1), "{101,001}", "error shape"),
        (
            column("c", TIMETZ, -1),
            "{13:51:02+02,14:51:03+02}",
            "[string 11:51:02Z, string 12:51:03Z]",
        ),
        (column("c", XML, -1), "{<a/>}", "[string <a/>]"),
        (column("c", NAME, -1), "{a}", "[string a]"),
        (
            column("c", 22, -1),
            r#"{"1 2","3"}"#,
            "[[int 1, int 2], [int 3]]",
        ),
    ] {
        arrays(element, &[(text, expected)]);
    }
    // Boxes are the only built-in type with another delimiter.
    let lone = Lone::new(array("c", column("c", 603, -1), 1), &Format::default());
    let shown = lone.show("{(1,1),(0,0);(3,3),(2,2)}");
    assert_eq!(
        shown.matches("map type => string box").count(),
        2,
        "{shown}"
    );
    let lone = Lone::new(array("c", extension("hstore"), 1), &Format::default());
    assert_eq!(
        lone.show(r#"{"\"key5\"=>NULL, \"key4\"=>\"val4\"","\"key6\"=>\"val6\""}"#),
        r#"[string {"key5":null,"key4":"val4"}, string {"key6":"val6"}]"#
    );
}

#[test]
fn several_dimensions_are_nested_as_declared() {
    let matrix = || array("c", column("c", INT4, -1), 2);
    check(
        matrix(),
        &Format::default(),
        &[
            ("{{1,2},{3,NULL}}", "[[int 1, int 2], [int 3, null]]"),
            ("{}", "[]"),
            ("{1,2}", "error shape"),
            ("{{{1}}}", "error shape"),
            ("{{1},2}", "error shape"),
            ("[0:0][0:0]={{1}}", "error shape"),
            ("{{1},{2}", "error malformed"),
        ],
    );
    assert_eq!(
        schema(matrix(), &Format::default()),
        r#"["null",{"type":"array","items":{"type":"array","items":["null","int"]}}]"#
    );
    check(
        matrix(),
        &quirk(Quirk::FlatArrays),
        &[
            ("{{1,2},{3,4}}", "[null, null]"),
            ("[5:6]={1,2}", "[int 1, int 2]"),
            ("{{1,2}", "error malformed"),
        ],
    );
}

#[test]
fn another_shape_has_a_place_once_it_has_come() {
    for column in [
        array("c", column("c", INT4, -1), 1),
        array("c", column("c", INT4, -1), 2),
    ] {
        let wide = any_shape(column);
        let cases = [
            ("[0:1]={1,2}", "string [0:1]={1,2}"),
            ("{{{1}}}", "string {{{1}}}"),
            ("{x}", "error malformed"),
        ];
        check(wide.clone(), &Format::default(), &cases[..2]);
        check(required(wide), &Format::default(), &cases[..2]);
    }
    let wide = any_shape(array("c", column("c", INT4, -1), 1));
    assert_eq!(
        schema(wide.clone(), &Format::default()),
        r#"["null",{"type":"array","items":["null","int"]},"string"]"#
    );
    assert_eq!(
        schema(required(wide.clone()), &Format::default()),
        r#"[{"type":"array","items":["null","int"]},"string"]"#
    );
    check(
        wide.clone(),
        &Format::default(),
        &[("{1,NULL}", "[int 1, null]"), ("{x}", "error malformed")],
    );
    let lone = Lone::new(wide, &Format::default());
    assert_eq!(show(&lone.datum(Datum::Null).unwrap()), "null");
}

#[test]
fn enums_and_tsvectors_are_required_until_one_is_null() {
    let moods = || array("c", labels("c", &["sad", "ok"]), 1);
    let item = r#"{"type":"string","connect.version":1,"connect.parameters":{"allowed":"sad,ok"},"connect.name":"io.debezium.data.Enum"}"#;
    assert_eq!(
        schema(moods(), &Format::default()),
        format!(r#"["null",{{"type":"array","items":{item}}}]"#)
    );
    check(
        moods(),
        &Format::default(),
        &[
            ("{sad,ok}", "[string sad, string ok]"),
            ("{sad,NULL}", "error shape"),
        ],
    );
    check(
        any_shape(moods()),
        &Format::default(),
        &[("{sad,NULL}", "[string sad, null]")],
    );
    assert_eq!(
        schema(array("c", column("c", 3614, -1), 1), &Format::default()),
        r#"["null",{"type":"array","items":{"type":"string","connect.version":1,"connect.name":"io.debezium.data.Tsvector"}}]"#
    );
}
