//! Text and expected value, for each type in each of its modes.

use walferry_avro::{BinaryMode, DecimalMode, Format, TimeMode};
use walferry_event::{Column, Datum, TypeKind};

use crate::harness::*;

fn check(column: Column, format: &Format, cases: &[(&str, &str)]) {
    let lone = Lone::new(column.clone(), format);
    for (text, expected) in cases {
        assert_eq!(lone.show(text), *expected, "{text:?} of {column:?}");
    }
    assert_eq!(show(&lone.datum(Datum::Null).unwrap()), "null");
}

fn plain(oid: u32, cases: &[(&str, &str)]) {
    check(column("c", oid, -1), &Format::default(), cases);
}

#[test]
fn booleans_and_integers() {
    plain(
        BOOL,
        &[
            ("t", "boolean true"),
            ("f", "boolean false"),
            ("true", "error malformed"),
            ("", "error malformed"),
        ],
    );
    plain(
        INT2,
        &[
            ("-32768", "int -32768"),
            ("32767", "int 32767"),
            ("32768", "error out_of_range"),
        ],
    );
    plain(
        INT4,
        &[
            ("-2147483648", "int -2147483648"),
            ("2147483647", "int 2147483647"),
            ("2147483648", "error out_of_range"),
            ("1.0", "error malformed"),
        ],
    );
    plain(
        INT8,
        &[
            ("-9223372036854775808", "long -9223372036854775808"),
            ("9223372036854775807", "long 9223372036854775807"),
            ("1234567890123", "long 1234567890123"),
            ("9223372036854775808", "error out_of_range"),
        ],
    );
    plain(
        OID,
        &[
            ("4000000000", "long 4000000000"),
            ("-1", "error out_of_range"),
        ],
    );
}

#[test]
fn floats() {
    plain(
        FLOAT4,
        &[
            ("3.3", "float 3.3"),
            ("1e+30", "float 1000000000000000000000000000000"),
            ("NaN", "float NaN"),
            ("Infinity", "float inf"),
            ("-Infinity", "float -inf"),
            ("-0", "float -0"),
            ("x", "error malformed"),
        ],
    );
    plain(
        FLOAT8,
        &[
            ("4.44", "double 4.44"),
            ("0.1", "double 0.1"),
            ("1e-05", "double 0.00001"),
            ("NaN", "double NaN"),
            ("-Infinity", "double -inf"),
        ],
    );
}

#[test]
fn numeric_precise() {
    let decimal = |precision, scale, cases| {
        check(
            column("c", NUMERIC, numeric(precision, scale)),
            &Format::default(),
            cases,
        );
    };
    decimal(
        3,
        2,
        &[
            ("1.10", "decimal 110"),
            ("-0.01", "decimal -1"),
            ("1.5", "decimal 150"),
            ("2", "decimal 200"),
            ("-0.005", "error out_of_range"),
            ("NaN", "error out_of_range"),
            ("", "error malformed"),
        ],
    );
    decimal(4, 0, &[("10", "decimal 10"), ("0", "decimal 0")]);
    decimal(
        38,
        10,
        &[
            (
                "9999999999999999999999999999.9999999999",
                "decimal 99999999999999999999999999999999999999",
            ),
            (
                "-9999999999999999999999999999.9999999999",
                "decimal -99999999999999999999999999999999999999",
            ),
        ],
    );
    // Scales outside 0..=precision, which PostgreSQL 15 allows.
    decimal(
        5,
        -2,
        &[("9999900", "decimal 9999900"), ("-100", "decimal -100")],
    );
    decimal(2, 4, &[("0.0099", "decimal 99")]);
    check(
        column("c", NUMERIC, -1),
        &Format::default(),
        &[
            ("10.1111", "{scale: int 4, value: bytes 018af7}"),
            ("10", "{scale: int 0, value: bytes 0a}"),
            ("100", "{scale: int 0, value: bytes 64}"),
            ("10.00", "{scale: int 0, value: bytes 0a}"),
            ("-0.50", "{scale: int 1, value: bytes fb}"),
            ("0", "{scale: int 0, value: bytes 00}"),
            ("NaN", "error out_of_range"),
            ("Infinity", "error out_of_range"),
            ("-Infinity", "error out_of_range"),
        ],
    );
}

#[test]
fn a_numeric_of_a_thousand_digits() {
    let digits = "1234567890".repeat(100);
    let lone = Lone::new(column("c", NUMERIC, numeric(1000, 0)), &Format::default());
    assert_eq!(lone.show(&digits), format!("decimal {digits}"));
    assert_eq!(
        lone.show(&format!("-{digits}")),
        format!("decimal -{digits}")
    );
    let lone = Lone::new(column("c", NUMERIC, numeric(1000, 500)), &Format::default());
    let (whole, fraction) = digits.split_at(500);
    assert_eq!(
        lone.show(&format!("{whole}.{fraction}")),
        format!("decimal {digits}")
    );
}

#[test]
fn numeric_as_text_and_double() {
    let text = format(|format| format.decimal = DecimalMode::String);
    check(
        column("c", NUMERIC, numeric(3, 2)),
        &text,
        &[
            ("1.10", "string 1.10"),
            ("NaN", "string NAN"),
            ("1e5", "error malformed"),
        ],
    );
    check(
        column("c", NUMERIC, -1),
        &text,
        &[
            ("Infinity", "string POSITIVE_INFINITY"),
            ("-Infinity", "string NEGATIVE_INFINITY"),
            ("10.1111", "string 10.1111"),
        ],
    );
    let double = format(|format| format.decimal = DecimalMode::Double);
    check(
        column("c", NUMERIC, numeric(3, 2)),
        &double,
        &[
            ("1.10", "double 1.1"),
            ("NaN", "double NaN"),
            ("Infinity", "double inf"),
        ],
    );
}

#[test]
fn text_family() {
    for oid in [TEXT, VARCHAR, BPCHAR, NAME] {
        plain(
            oid,
            &[
                ("žš", "string žš"),
                ("", "string "),
                ("a   ", "string a   "),
            ],
        );
    }
    plain(JSON, &[(r#"{"bar": "baz"}"#, r#"string {"bar": "baz"}"#)]);
    plain(JSONB, &[(r#"{"bar": "baz"}"#, r#"string {"bar": "baz"}"#)]);
    plain(
        UUID,
        &[(
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "string a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        )],
    );
    let mut citext = column("c", 70_000, -1);
    citext.data_type.name = "citext".to_owned();
    check(
        citext,
        &Format::default(),
        &[("Hello World", "string Hello World")],
    );
    check(
        labels("c", &["new", "paid"]),
        &Format::default(),
        &[("paid", "string paid")],
    );
    let lone = Lone::new(column("c", TEXT, -1), &Format::default());
    assert_eq!(
        lone.text(b"\xFF\xFE").unwrap_err().name(),
        "not_utf8",
        "a database of encoding SQL_ASCII"
    );
}

#[test]
fn a_type_without_a_mapping_is_its_text() {
    let mut unknown = column("c", 4_451, -1);
    unknown.data_type.kind = TypeKind::Other;
    check(
        unknown,
        &Format::default(),
        &[("{[1,3),[5,7)}", "string {[1,3),[5,7)}")],
    );
}

#[test]
fn bytea_in_every_mode() {
    for (mode, expected) in [
        (BinaryMode::Bytes, "bytes 010203fbff"),
        (BinaryMode::Base64, "string AQID+/8="),
        (BinaryMode::Base64UrlSafe, "string AQID-_8="),
        (BinaryMode::Hex, "string 010203fbff"),
    ] {
        check(
            column("c", BYTEA, -1),
            &format(|format| format.binary = mode),
            &[("\\x010203fbff", expected), ("\\x0", "error malformed")],
        );
    }
}

/// One text in every time mode, in the order of `MODES`.
fn times(oid: u32, modifier: i32, text: &str, expected: [&str; 6]) {
    const MODES: [TimeMode; 6] = [
        TimeMode::Adaptive,
        TimeMode::AdaptiveTimeMicroseconds,
        TimeMode::Microseconds,
        TimeMode::Nanoseconds,
        TimeMode::Connect,
        TimeMode::IsoString,
    ];
    for (mode, expected) in MODES.into_iter().zip(expected) {
        let column = column("c", oid, modifier);
        check(
            column,
            &format(|format| format.time = mode),
            &[(text, expected)],
        );
    }
}

#[test]
fn dates_in_every_mode() {
    let dates = |text, days: i32, iso: &str| {
        let (int, date) = (format!("int {days}"), format!("date {days}"));
        times(
            DATE,
            -1,
            text,
            [&int, &int, &int, &int, &date, &format!("string {iso}")],
        );
    };
    dates("2017-09-15", 17_424, "2017-09-15Z");
    dates("0044-03-15 BC", -735_160, "-0043-03-15Z");
    dates("5874897-12-31", 2_145_042_905, "+5874897-12-31Z");
    dates("infinity", i32::MAX, "infinity");
    dates("-infinity", i32::MIN, "-infinity");
}

#[test]
fn times_in_every_mode() {
    times(
        TIME,
        -1,
        "04:05:11.789",
        [
            "long 14711789000",
            "long 14711789000",
            "long 14711789000",
            "long 14711789000000",
            "time-millis 14711789",
            "string 04:05:11.789Z",
        ],
    );
    times(
        TIME,
        3,
        "13:51:30.123",
        [
            "int 49890123",
            "long 49890123000",
            "long 49890123000",
            "long 49890123000000",
            "time-millis 49890123",
            "string 13:51:30.123Z",
        ],
    );
    times(
        TIME,
        0,
        "24:00:00",
        [
            "int 86400000",
            "long 86400000000",
            "long 86400000000",
            "long 86400000000000",
            "time-millis 86400000",
            "string 24:00:00Z",
        ],
    );
}

#[test]
fn timestamps_in_every_mode() {
    times(
        TIMESTAMP,
        6,
        "2019-07-09 02:28:57.123456",
        [
            "long 1562639337123456",
            "long 1562639337123456",
            "long 1562639337123456",
            "long 1562639337123456000",
            "timestamp-millis 1562639337123",
            "string 2019-07-09T02:28:57.123456Z",
        ],
    );
    times(
        TIMESTAMP,
        3,
        "2016-11-04 13:51:30.123",
        [
            "long 1478267490123",
            "long 1478267490123",
            "long 1478267490123000",
            "long 1478267490123000000",
            "timestamp-millis 1478267490123",
            "string 2016-11-04T13:51:30.123Z",
        ],
    );
    times(
        TIMESTAMP,
        -1,
        "0044-03-15 12:00:00 BC",
        [
            "long -63517780800000000",
            "long -63517780800000000",
            "long -63517780800000000",
            "error out_of_range",
            "timestamp-millis -63517780800000",
            "string -0043-03-15T12:00:00Z",
        ],
    );
    times(
        TIMESTAMP,
        6,
        "294276-12-31 23:59:59.999999",
        [
            "error out_of_range",
            "error out_of_range",
            "error out_of_range",
            "error out_of_range",
            "timestamp-millis 9224318015999999",
            "string +294276-12-31T23:59:59.999999Z",
        ],
    );
    times(
        TIMESTAMP,
        6,
        "infinity",
        [
            "long 9223372036854775807",
            "long 9223372036854775807",
            "long 9223372036854775807",
            "long 9223372036854775807",
            "timestamp-millis 9223372036825200000",
            "string infinity",
        ],
    );
    times(
        TIMESTAMP,
        0,
        "-infinity",
        [
            "long -9223372036832400000",
            "long -9223372036832400000",
            "long -9223372036854775808",
            "long -9223372036854775808",
            "timestamp-millis -9223372036832400000",
            "string -infinity",
        ],
    );
}

#[test]
fn timestamptz_is_text_in_every_mode() {
    for (modifier, text, expected) in [
        (
            -1,
            "2016-11-04 11:51:30.123456+00",
            "string 2016-11-04T11:51:30.123456Z",
        ),
        (
            3,
            "2016-11-04 11:51:30.1+00",
            "string 2016-11-04T11:51:30.100Z",
        ),
        (0, "2016-11-04 11:51:30+00", "string 2016-11-04T11:51:30Z"),
        (
            -1,
            "2016-11-04 17:21:30+05:30",
            "string 2016-11-04T11:51:30.000000Z",
        ),
        (
            -1,
            "4714-12-31 23:59:59.999999+00 BC",
            "string -4713-12-31T23:59:59.999999Z",
        ),
        (
            -1,
            "294247-01-01 23:59:59.999999+00",
            "string +294247-01-01T23:59:59.999999Z",
        ),
        (-1, "infinity", "string infinity"),
        (-1, "-infinity", "string -infinity"),
    ] {
        times(TIMESTAMPTZ, modifier, text, [expected; 6]);
    }
}
