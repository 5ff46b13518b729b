//! Debezium's deviations, one by one and only when they are asked for: each value as it was measured.

use walferry_avro::{Format, Quirk, Row, TimeMode};
use walferry_event::{Column, Datum, Operation, TypeKind};

use crate::harness::*;

fn quirk(quirk: Quirk) -> Format {
    format(|format| format.quirks = [quirk].into_iter().collect())
}

fn iso(quirk: Quirk) -> Format {
    Format {
        time: TimeMode::IsoString,
        ..self::quirk(quirk)
    }
}

fn check(column: Column, format: &Format, cases: &[(&str, &str)]) {
    let lone = Lone::new(column.clone(), format);
    for (text, expected) in cases {
        assert_eq!(lone.show(text), *expected, "{text:?} of {column:?}");
    }
}

/// What a snapshot makes of a value of a nullable column.
fn read(column: Column, format: &Format, text: &str) -> String {
    let plan = plan(vec![column], &[], format);
    let mut out = Vec::new();
    let row = [Datum::Text(text.as_bytes())];
    plan.value(
        Operation::Read,
        Row::None,
        Row::Full(&row),
        &origin(),
        &mut out,
    )
    .unwrap();
    show(&field(
        &field(&decode(plan.value_schema(), &out), "after"),
        "c",
    ))
}

#[test]
fn values_that_the_type_cannot_hold_are_null() {
    let format = quirk(Quirk::OutOfRangeAsNull);
    check(
        column("c", NUMERIC, numeric(9, 2)),
        &format,
        &[
            ("NaN", "null"),
            ("Infinity", "null"),
            ("1.50", "decimal 150"),
            ("x", "error malformed"),
        ],
    );
    check(column("c", NUMERIC, -1), &format, &[("-Infinity", "null")]);
    let nanoseconds = Format {
        time: TimeMode::Nanoseconds,
        ..format.clone()
    };
    check(
        column("c", TIMESTAMP, -1),
        &nanoseconds,
        &[("1500-01-01 00:00:00", "null")],
    );
    check(
        required(column("c", NUMERIC, -1)),
        &format,
        &[("NaN", "error out_of_range")],
    );
    check(
        default(column("c", INTERVAL, -1), "'00:00:01'::interval"),
        &format,
        &[("178000000 years", "null"), ("00:00:02", "long 2000000")],
    );
}

#[test]
fn bits_are_cut_and_arrays_of_them_are_null() {
    let format = quirk(Quirk::CutBits);
    check(
        column("c", VARBIT, 24),
        &format,
        &[
            ("000000110000001000000001", "bytes 010203"),
            ("00", "bytes "),
        ],
    );
    let format = quirk(Quirk::BitArraysAsNull);
    let column = array("c", column("c", BIT, 3), 1);
    check(column.clone(), &format, &[("{101,010}", "null")]);
    let plan = plan(vec![column], &[], &format);
    assert!(
        plan.value_schema()
            .contains(r#"{"type":"bytes","connect.version":1,"connect.parameters":{"length":"3"}"#)
    );
}

#[test]
fn arrays_of_shapes_are_lost_and_null_spoils_arrays_of_an_enum() {
    let boxes = array("c", column("c", 603, -1), 1);
    let format = quirk(Quirk::OutOfRangeAsNull);
    let shapes = [
        ("{(1,1),(0,0)}", "null"),
        ("{}", "[]"),
        ("{NULL}", "[null]"),
    ];
    check(boxes.clone(), &format, &shapes);
    assert!(
        Lone::new(boxes, &Format::default())
            .show("{(1,1),(0,0)}")
            .contains("wkb")
    );
    let moods = array("c", labels("c", &["sad", "ok"]), 1);
    let trees = array("c", extension("ltree"), 1);
    for column in [moods, trees] {
        check(column.clone(), &format, &[("{ok,NULL}", "null")]);
        check(column, &format, &[("{ok}", "[string ok]")]);
    }
}

#[test]
fn intervals_end_at_the_last_number() {
    let format = quirk(Quirk::SaturateIntervals);
    let far = [
        ("178000000 years", "long 9223372036854775807"),
        ("-178000000 years", "long -9223372036854775808"),
        ("1 day", "long 86400000000"),
    ];
    check(column("c", INTERVAL, -1), &format, &far);
    let plain = Lone::new(column("c", INTERVAL, -1), &Format::default());
    assert_eq!(plain.show("178000000 years"), "error out_of_range");
}

#[test]
fn names_are_lost_in_the_stream() {
    let format = quirk(Quirk::NameAsNull);
    check(column("c", NAME, -1), &format, &[("x", "null")]);
    check(
        required(column("c", NAME, -1)),
        &format,
        &[("x", "string ")],
    );
    assert_eq!(read(column("c", NAME, -1), &format, "x"), "string x");
}

#[test]
fn infinity_is_a_far_day() {
    let format = quirk(Quirk::InfinityAsDate);
    let date = || column("c", DATE, -1);
    check(
        date(),
        &format,
        &[
            ("infinity", "int 2146033979"),
            ("-infinity", "int -2147472691"),
            ("0044-03-15 BC", "int -735160"),
        ],
    );
    assert_eq!(read(date(), &format, "infinity"), "int -622191234");
    assert_eq!(read(date(), &format, "-infinity"), "int -625821272");
    assert_eq!(read(date(), &format, "0044-03-15 BC"), "int -735160");
    let format = iso(Quirk::InfinityAsDate);
    check(
        date(),
        &format,
        &[
            ("infinity", "string +5877611-06-21Z"),
            ("-infinity", "string -5877611-06-22Z"),
            ("2017-09-15", "string 2017-09-15Z"),
        ],
    );
    check(
        column("c", TIMESTAMP, -1),
        &format,
        &[
            ("infinity", "string +292278994-08-16T23:00:00Z"),
            ("-infinity", "string -292275055-05-16T23:00:00Z"),
            ("2017-09-15 00:00:00", "string 2017-09-15T00:00:00Z"),
        ],
    );
}

#[test]
fn snapshots_forget_the_era() {
    let format = quirk(Quirk::EraInSnapshots);
    let date = || column("c", DATE, -1);
    for (text, expected) in [
        ("0044-03-15 BC", "int -703383"),
        ("4713-01-01 BC", "int 1001860"),
        ("1582-10-10", "int -141422"),
        ("1582-10-15", "int -141427"),
        ("1582-10-04", "int -141438"),
        ("2017-09-15", "int 17424"),
        ("infinity", "int 2147483647"),
    ] {
        assert_eq!(read(date(), &format, text), expected, "{text}");
    }
    check(date(), &format, &[("0044-03-15 BC", "int -735160")]);
}

#[test]
fn times_that_wrap_round() {
    check(
        column("c", TIMESTAMP, -1),
        &quirk(Quirk::WrapTimestamps),
        &[
            ("294276-12-31 23:59:59.999999", "long -9223372036853775810"),
            ("294247-01-01 23:59:59.999999", "long 9223371331199999999"),
            ("infinity", "long 9223372036854775807"),
        ],
    );
    check(
        column("c", TIME, -1),
        &iso(Quirk::MidnightAsZero),
        &[
            ("24:00:00", "string 00:00:00Z"),
            ("23:59:59.5", "string 23:59:59.5Z"),
        ],
    );
}

#[test]
fn a_negative_scale_is_a_large_one() {
    let format = quirk(Quirk::NegativeScale);
    let plan = plan(vec![column("c", NUMERIC, numeric(5, -2))], &[], &format);
    assert!(
        plan.value_schema()
            .contains(r#""scale":2046,"precision":5"#)
    );
    let mut out = Vec::new();
    let row = [Datum::Text(b"100")];
    plan.value(
        Operation::Create,
        Row::None,
        Row::Full(&row),
        &origin(),
        &mut out,
    )
    .unwrap();
    // 10^2048 takes 851 bytes.
    assert!(out.len() > 851);
}

#[test]
fn defaults_that_are_no_numbers_stand_as_text() {
    let column = || default(column("c", FLOAT8, -1), "'-Infinity'::double precision");
    let plain = plan(vec![column()], &[], &Format::default());
    assert!(!plain.value_schema().contains("Infinity"));
    let quirk = plan(vec![column()], &[], &quirk(Quirk::NanDefaults));
    assert!(
        quirk
            .value_schema()
            .contains(r#""connect.default":"-Infinity""#)
    );
    assert!(quirk.value_schema().contains(r#""default":"-Infinity""#));
}

#[test]
fn types_without_a_mapping_are_left_out() {
    let format = quirk(Quirk::LeaveOut);
    let mut range = column("range", 3904, -1);
    range.data_type.kind = TypeKind::Other;
    let mut multirange = column("multirange", 4451, -1);
    multirange.data_type.kind = TypeKind::Other;
    let mut isbn13 = extension("isbn13");
    isbn13.name = "isbn13".to_owned();
    let columns = vec![
        column("lsn", 3220, -1),
        column("query", 3615, -1),
        multirange,
        isbn13,
        range,
        column("inet", 869, -1),
        column("name", NAME, -1),
        column("letter", CHAR, -1),
        column("money", MONEY, 2),
        column("interval", INTERVAL, -1),
        extension("citext"),
    ];
    let plan = plan(columns, &[], &format);
    let schema: serde_json::Value = serde_json::from_str(plan.value_schema()).unwrap();
    let row = schema["fields"][0]["type"][1]["fields"].as_array().unwrap();
    let names: Vec<&str> = row
        .iter()
        .map(|field| field["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["range", "inet", "name", "letter", "money", "interval", "c"]
    );
}
