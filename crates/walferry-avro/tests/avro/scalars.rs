//! Schema and value of each type in each mode that has a say in it, the types of other chapters (`values`, `schemas`) left aside:
//! intervals, money, bits, times with a zone, enums, and all that goes out as text.

use walferry_avro::{DecimalMode, Format, IntervalMode, TimeMode};
use walferry_event::{Column, Datum, TypeKind};

use crate::harness::*;

/// The Avro type of a NOT NULL column.
fn schema(column: Column, format: &Format) -> String {
    let plan = plan(vec![required(column)], &[], format);
    parse(plan.value_schema());
    let schema: serde_json::Value = serde_json::from_str(plan.value_schema()).unwrap();
    schema["fields"][0]["type"][1]["fields"][0]["type"].to_string()
}

/// A column's schema, what some of its values become, and what an old row that does not carry it says.
fn check(column: Column, format: &Format, avro: &str, cases: &[(&str, &str)], zero: &str) {
    assert_eq!(schema(column.clone(), format), avro, "{column:?}");
    let lone = Lone::new(column.clone(), format);
    for (text, expected) in cases {
        assert_eq!(lone.show(text), *expected, "{text:?} of {column:?}");
    }
    assert_eq!(show(&lone.datum(Datum::Null).unwrap()), "null");
    assert_eq!(
        show(&zero_of(required(column.clone()), format)),
        zero,
        "{column:?}"
    );
}

fn named(avro: &str, name: &str) -> String {
    format!(r#"{{"type":"{avro}","connect.version":1,"connect.name":"{name}"}}"#)
}

#[test]
fn intervals() {
    check(
        column("c", INTERVAL, -1),
        &Format::default(),
        &named("long", "io.debezium.time.MicroDuration"),
        &[
            ("1 year 2 mons 3 days 04:05:06.78", "long 37091106780000"),
            ("1 year", "long 31557600000000"),
            ("-00:00:00.000001", "long -1"),
            ("infinity", "long 9223372036854775807"),
            ("-infinity", "long -9223372036854775808"),
            ("178000000 years", "error out_of_range"),
            ("P1Y", "error malformed"),
        ],
        "long 0",
    );
    check(
        column("c", INTERVAL, -1),
        &format(|format| format.interval = IntervalMode::String),
        &named("string", "io.debezium.time.Interval"),
        &[
            (
                "1 year 2 mons 3 days 04:05:06.78",
                "string P1Y2M3DT4H5M6.78S",
            ),
            ("01:00:00", "string P0Y0M0DT1H0M0S"),
            (
                "-1 years -2 mons +3 days -04:05:06.789",
                "string P-1Y-2M3DT-4H-5M-6.789S",
            ),
            ("178000000 years", "string P178000000Y0M0DT0H0M0S"),
            ("infinity", "string infinity"),
        ],
        "string P0Y0M0DT0H0M0S",
    );
}

#[test]
fn money_follows_the_decimal_mode() {
    let mode = |mode| format(|format| format.decimal = mode);
    check(
        column("c", MONEY, 2),
        &Format::default(),
        r#"{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#,
        &[
            ("$1,234.11", "decimal 123411"),
            ("-$1,234.11", "decimal -123411"),
            ("$92,233,720,368,547,758.07", "decimal 9223372036854775807"),
            (
                "-$92,233,720,368,547,758.08",
                "decimal -9223372036854775808",
            ),
            ("", "error malformed"),
        ],
        "decimal 0",
    );
    check(
        column("c", MONEY, -1),
        &mode(DecimalMode::String),
        r#""string""#,
        &[("$1,234.11", "string 1234.11"), ("-$0.05", "string -0.05")],
        "string 0.00",
    );
    check(
        column("c", MONEY, 0),
        &mode(DecimalMode::String),
        r#""string""#,
        &[("￥1,234", "string 1234")],
        "string 0",
    );
    check(
        column("c", MONEY, 2),
        &mode(DecimalMode::Double),
        r#""double""#,
        &[("$1,234.11", "double 1234.11")],
        "double 0",
    );
}

#[test]
fn bits() {
    let bits = |length| {
        format!(
            r#"{{"type":"bytes","connect.version":1,"connect.parameters":{{"length":"{length}"}},"connect.name":"io.debezium.data.Bits"}}"#
        )
    };
    let plain = |oid, modifier, avro: &str, cases: &[(&str, &str)], zero: &str| {
        check(
            column("c", oid, modifier),
            &Format::default(),
            avro,
            cases,
            zero,
        );
    };
    for oid in [BIT, VARBIT] {
        plain(
            oid,
            1,
            r#""boolean""#,
            &[
                ("1", "boolean true"),
                ("0", "boolean false"),
                ("", "error shape"),
                ("2", "error malformed"),
            ],
            "boolean false",
        );
    }
    plain(
        BIT,
        2,
        &bits("2"),
        &[("11", "bytes 03"), ("00", "bytes ")],
        "bytes ",
    );
    plain(BIT, 7, &bits("7"), &[("1000000", "bytes 40")], "bytes ");
    let long = format!("1{}", "0".repeat(63));
    plain(
        BIT,
        64,
        &bits("64"),
        &[(&long, "bytes 0000000000000080")],
        "bytes ",
    );
    plain(
        VARBIT,
        -1,
        &bits("2147483647"),
        &[
            ("101", "bytes 05"),
            ("111011010001000110000001000000001", "bytes 010223da01"),
            ("", "bytes "),
            ("01", "error shape"),
        ],
        "bytes ",
    );
    // What the bytes do not say goes out as text, once the schema has a place for it.
    let wide = any_shape(column("c", VARBIT, 24));
    let text = "000000110000001000000001";
    assert_eq!(
        Lone::new(wide.clone(), &Format::default()).show(text),
        format!("string {text}")
    );
    assert_eq!(Lone::new(wide, &Format::default()).show("1"), "bytes 01");
    let wide = any_shape(default(column("c", VARBIT, 5), "B'110'::\"bit\""));
    let lone = Lone::new(wide, &Format::default());
    assert_eq!(
        (lone.show("01"), lone.show("110")),
        ("string 01".into(), "bytes 06".into())
    );
    assert_eq!(show(&lone.datum(Datum::Null).unwrap()), "null");
    assert_eq!(
        show(&lone.datum(Datum::Unchanged).unwrap()),
        "string __debezium_unavailable_value"
    );
}

#[test]
fn a_time_with_a_zone_is_utc_in_every_mode() {
    for mode in TimeMode::WORDS {
        check(
            column("c", TIMETZ, -1),
            &format(|format| format.time = mode.parse().unwrap()),
            &named("string", "io.debezium.time.ZonedTime"),
            &[
                ("13:51:30.123789+02", "string 11:51:30.123789Z"),
                ("04:05:11-08", "string 12:05:11Z"),
                ("00:01:02-04:00", "string 04:01:02Z"),
                ("00:00:00+15:59:59", "string 08:00:01Z"),
                ("24:00:00+00", "string 24:00:00Z"),
                ("24:00:00+02", "string 22:00:00Z"),
                ("24:00:00-02", "string 02:00:00Z"),
                ("23:00:00-01", "string 00:00:00Z"),
                ("13:51:30", "error malformed"),
            ],
            "string 00:00:00Z",
        );
    }
}

#[test]
fn an_enum_notices_labels_that_it_does_not_have() {
    let mood = || labels("c", &["sad", "ok"]);
    let avro = r#"{"type":"string","connect.version":1,"connect.parameters":{"allowed":"sad,ok"},"connect.name":"io.debezium.data.Enum"}"#;
    let cases = [
        ("ok", "string ok"),
        ("happy", "error shape"),
        ("", "error shape"),
    ];
    check(mood(), &Format::default(), avro, &cases, "string ");
    let wide = any_shape(mood());
    let cases = [("ok", "string ok"), ("happy", "string happy")];
    check(wide.clone(), &Format::default(), avro, &cases, "string ");
    // So do arrays and composites of enums.
    let moods = || array("c", mood(), 1);
    assert_eq!(
        Lone::new(moods(), &Format::default()).show("{ok,happy}"),
        "error shape"
    );
    let lone = Lone::new(any_shape(moods()), &Format::default());
    assert_eq!(
        lone.show("{ok,happy,NULL}"),
        "[string ok, string happy, null]"
    );
    let pair = || composite("c", "pair", vec![labels("m", &["sad", "ok"])]);
    assert_eq!(
        Lone::new(pair(), &Format::default()).show("(happy)"),
        "error shape"
    );
    let lone = Lone::new(any_shape(pair()), &Format::default());
    assert_eq!(lone.show("(happy)"), "{m: string happy}");
}

#[test]
fn what_goes_out_as_its_text() {
    let plain = |column: Column, avro: &str, texts: &[&str]| {
        for text in texts {
            check(
                column.clone(),
                &Format::default(),
                avro,
                &[(text, &format!("string {text}"))],
                "string ",
            );
        }
    };
    for (oid, text) in [
        (CHAR, "x"),
        (NAME, "a name"),
        (VARCHAR, "žš"),
        (BPCHAR, "a   "),
        (869, "192.168.2.0/12"),
        (650, "192.168.100.128/25"),
        (829, "08:00:2b:01:02:03"),
        (774, "08:00:2b:01:02:03:04:05"),
        (3220, "16/B374D848"),
        (2970, "10:20:10,14,15"),
        (28, "4294967295"),
        (3615, "'fat' <-> 'cat'"),
    ] {
        plain(column("c", oid, -1), r#""string""#, &[text]);
    }
    let json = named("string", "io.debezium.data.Json");
    plain(column("c", JSON, -1), &json, &[r#"{"bar":  "baz"}"#]);
    plain(column("c", JSONB, -1), &json, &[r#"{"bar": "baz"}"#]);
    plain(
        column("c", XML, -1),
        &named("string", "io.debezium.data.Xml"),
        &["<foo>bar</foo>"],
    );
    let vector = named("string", "io.debezium.data.Tsvector");
    plain(column("c", TSVECTOR, -1), &vector, &["'a':1A 'cat':5"]);
    plain(
        extension("ltree"),
        &named("string", "io.debezium.data.Ltree"),
        &["Top.Science"],
    );
    for name in ["citext", "isbn", "isbn13", "semver"] {
        plain(extension(name), r#""string""#, &["0-393-04002-X"]);
    }
    for (oid, text) in [
        (3904, "[1000,6000)"),
        (3926, "[1000000,6000000)"),
        (3906, "[5.3,6.3)"),
        (3908, r#"["2019-03-31 15:30:00",infinity)"#),
        (3910, r#"["2017-06-05 11:29:12.549426+00",)"#),
        (3912, "[2019-03-31,infinity)"),
        (4451, "{[1,3),[5,7)}"),
        (4532, "{}"),
        (77_777, "(a,b]"),
    ] {
        let mut range = column("c", oid, -1);
        range.data_type.kind = TypeKind::Other;
        plain(range, r#""string""#, &[text, "empty"]);
    }
}
