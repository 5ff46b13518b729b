//! Dates and times, case by case.

use super::*;

fn count(write: impl FnOnce(&mut Vec<u8>) -> Written) -> Result<i64, EncodeErrorKind> {
    let mut out = Vec::new();
    write(&mut out)?;
    let mut rest = &out[..];
    let count = wire::read_long(&mut rest).unwrap();
    assert!(rest.is_empty());
    Ok(count)
}

fn iso_text(write: impl FnOnce(&mut Vec<u8>) -> Written) -> Result<String, EncodeErrorKind> {
    let mut out = Vec::new();
    write(&mut out)?;
    let mut rest = &out[..];
    assert_eq!(wire::read_long(&mut rest), Some(rest.len() as i64));
    Ok(String::from_utf8(rest.to_vec()).unwrap())
}

fn us(text: &str) -> Result<i64, EncodeErrorKind> {
    count(|out| timestamp(out, text.as_bytes(), Unit::Microseconds))
}

fn ms(text: &str) -> Result<i64, EncodeErrorKind> {
    count(|out| timestamp(out, text.as_bytes(), Unit::Milliseconds))
}

fn ns(text: &str) -> Result<i64, EncodeErrorKind> {
    count(|out| timestamp(out, text.as_bytes(), Unit::Nanoseconds))
}

fn utc(text: &str, digits: u8) -> Result<String, EncodeErrorKind> {
    iso_text(|out| zoned(out, text.as_bytes(), digits))
}

#[test]
fn timestamps_as_counts() {
    for (text, expected) in [
        ("2016-11-04 13:51:30.123456", 1_478_267_490_123_456),
        ("1936-10-25 22:10:12.608", -1_047_174_587_392_000),
        ("21016-11-04 13:51:30.123456", 601_060_312_290_123_456),
        ("294247-01-01 23:59:59.999999", 9_223_371_331_199_999_999),
        ("4713-12-31 23:59:59.999999 BC", -210_831_897_600_000_001),
        ("1970-01-01 00:00:00", 0),
        ("infinity", i64::MAX),
        ("-infinity", i64::MIN),
    ] {
        assert_eq!(us(text), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("21016-11-04 13:51:30.124", 601_060_312_290_124),
        ("294276-12-31 23:59:59.999999", 9_224_318_015_999_999),
        ("1969-12-31 23:59:59.9999", -1),
        ("infinity", 9_223_372_036_825_200_000),
        ("-infinity", -9_223_372_036_832_400_000),
    ] {
        assert_eq!(ms(text), Ok(expected), "{text}");
    }
    assert_eq!(
        ns("2019-07-09 02:28:57.123456"),
        Ok(1_562_639_337_123_456_000)
    );
}

#[test]
fn counts_that_do_not_fit_are_out_of_range() {
    let range = Err(EncodeErrorKind::OutOfRange);
    assert_eq!(us("294276-12-31 23:59:59.999999"), range);
    assert_eq!(us("294247-01-10 04:00:54.775806"), Ok(i64::MAX - 1));
    assert_eq!(
        us("294247-01-10 04:00:54.775807"),
        range,
        "it would be infinity"
    );
    assert_eq!(
        ns("2262-04-11 23:47:16.854775"),
        Ok(9_223_372_036_854_775_000)
    );
    assert_eq!(ns("2262-04-11 23:47:16.854776"), range);
    assert_eq!(
        ns("1677-09-21 00:12:43.145225"),
        Ok(-9_223_372_036_854_775_000)
    );
    assert_eq!(ns("1677-09-21 00:12:43.145224"), range);
}

#[test]
fn timestamptz_is_utc_text_with_the_columns_digits() {
    for (text, digits, expected) in [
        (
            "2016-11-04 11:51:30.123456+00",
            6,
            "2016-11-04T11:51:30.123456Z",
        ),
        (
            "2016-11-04 11:51:30.12+00",
            6,
            "2016-11-04T11:51:30.120000Z",
        ),
        ("2016-11-04 11:51:30+00", 6, "2016-11-04T11:51:30.000000Z"),
        ("2016-11-04 11:51:30+00", 3, "2016-11-04T11:51:30.000Z"),
        ("2016-11-04 11:51:30+00", 0, "2016-11-04T11:51:30Z"),
        ("2016-11-04 11:51:30.5+00", 0, "2016-11-04T11:51:30.5Z"),
        (
            "2016-11-04 11:51:30.1234+00",
            3,
            "2016-11-04T11:51:30.1234Z",
        ),
        (
            "2016-11-04 13:51:30.123456+02",
            6,
            "2016-11-04T11:51:30.123456Z",
        ),
        (
            "2016-11-04 17:21:30+05:30",
            6,
            "2016-11-04T11:51:30.000000Z",
        ),
        (
            "2016-11-04 00:00:00-00:00:01",
            6,
            "2016-11-04T00:00:01.000000Z",
        ),
        (
            "1800-01-01 00:17:30+00:17:30",
            6,
            "1800-01-01T00:00:00.000000Z",
        ),
        ("2016-12-31 23:00:00-01", 0, "2017-01-01T00:00:00Z"),
        (
            "21016-11-04 06:51:30.123456+00",
            6,
            "+21016-11-04T06:51:30.123456Z",
        ),
        (
            "294247-01-01 23:59:59.999999+00",
            6,
            "+294247-01-01T23:59:59.999999Z",
        ),
        (
            "294276-12-31 23:59:59.999999+00",
            6,
            "+294276-12-31T23:59:59.999999Z",
        ),
        (
            "4714-12-31 23:59:59.999999+00 BC",
            6,
            "-4713-12-31T23:59:59.999999Z",
        ),
        (
            "0044-03-15 12:00:00+00 BC",
            6,
            "-0043-03-15T12:00:00.000000Z",
        ),
        ("0001-01-01 00:00:00+00 BC", 0, "0000-01-01T00:00:00Z"),
        ("0001-01-01 00:00:00+00", 0, "0001-01-01T00:00:00Z"),
        ("9999-12-31 23:00:00-01", 0, "+10000-01-01T00:00:00Z"),
        ("infinity", 6, "infinity"),
        ("-infinity", 0, "-infinity"),
    ] {
        assert_eq!(utc(text, digits).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn dates() {
    let days = |text: &str| count(|out| date(out, text.as_bytes()));
    for (text, expected) in [
        ("2016-11-04", 17_109),
        ("1970-01-01", 0),
        ("0044-03-15 BC", -735_160),
        ("4713-01-01 BC", -2_440_550),
        ("1582-10-10", -141_432),
        ("5874897-12-31", 2_145_042_905),
        ("2000-02-29", 11_016),
        ("infinity", i64::from(i32::MAX)),
        ("-infinity", i64::from(i32::MIN)),
    ] {
        assert_eq!(days(text), Ok(expected), "{text}");
    }
    let iso = |text: &str| iso_text(|out| date_iso(out, text.as_bytes()));
    for (text, expected) in [
        ("2017-09-15", "2017-09-15Z"),
        ("0044-03-15 BC", "-0043-03-15Z"),
        ("5874897-12-31", "+5874897-12-31Z"),
        ("infinity", "infinity"),
        ("-infinity", "-infinity"),
    ] {
        assert_eq!(iso(text).as_deref(), Ok(expected));
    }
}

#[test]
fn times() {
    let of = |text: &str, unit| count(|out| time(out, text.as_bytes(), unit));
    assert_eq!(of("13:51:30", Unit::Microseconds), Ok(49_890_000_000));
    assert_eq!(of("13:51:30.123", Unit::Milliseconds), Ok(49_890_123));
    assert_eq!(of("24:00:00", Unit::Microseconds), Ok(86_400_000_000));
    assert_eq!(of("24:00:00", Unit::Milliseconds), Ok(86_400_000));
    assert_eq!(
        of("04:05:11.789", Unit::Nanoseconds),
        Ok(14_711_789_000_000)
    );
    let iso = |text: &str| iso_text(|out| time_iso(out, text.as_bytes()));
    assert_eq!(iso("04:05:11.789").as_deref(), Ok("04:05:11.789Z"));
    assert_eq!(iso("04:05:00").as_deref(), Ok("04:05:00Z"));
    assert_eq!(iso("24:00:00").as_deref(), Ok("24:00:00Z"));
}

#[test]
fn iso_timestamps_have_natural_fractions() {
    let iso = |text: &str| iso_text(|out| timestamp_iso(out, text.as_bytes()));
    for (text, expected) in [
        ("2019-07-09 02:28:57", "2019-07-09T02:28:57Z"),
        ("2019-07-09 02:28:57.1", "2019-07-09T02:28:57.1Z"),
        ("2019-07-09 02:28:57.12", "2019-07-09T02:28:57.12Z"),
        ("2019-07-09 02:28:57.123456", "2019-07-09T02:28:57.123456Z"),
        ("0044-03-15 12:00:00 BC", "-0043-03-15T12:00:00Z"),
        ("infinity", "infinity"),
    ] {
        assert_eq!(iso(text).as_deref(), Ok(expected));
    }
}

#[test]
fn what_postgresql_does_not_write_is_malformed() {
    let malformed = Err(EncodeErrorKind::Malformed);
    for text in [
        "",
        "now",
        "Infinity",
        "2016-11-04",
        "2016-11-04T13:51:30",
        "2016-11-04 13:51",
        "2016-11-04 13:51:60",
        "2016-11-04 13:60:00",
        "2016-11-04 24:00:00.000001",
        "2016-11-04 13:51:30.",
        "2016-11-04 13:51:30.1234567",
        "2016-11-04 13:51:30+00",
        "2016-13-04 13:51:30",
        "2016-00-04 13:51:30",
        "2015-02-29 13:51:30",
        "1900-02-29 13:51:30",
        "2016-11-00 13:51:30",
        "2016-04-31 13:51:30",
        "0000-01-01 00:00:00",
        "016-11-04 13:51:30",
        "12345678-11-04 13:51:30",
        "2016-11-04 13:51:30 AD",
        "2016-11-04  13:51:30",
        "-016-11-04 13:51:30",
        "2016-1١-04 13:51:30",
    ] {
        assert_eq!(us(text), malformed, "{text:?}");
    }
    for text in [
        "2016-11-04 13:51:30",
        "2016-11-04 13:51:30Z",
        "2016-11-04 13:51:30+0",
        "2016-11-04 13:51:30+00:",
        "2016-11-04 13:51:30+00:60",
        "2016-11-04 13:51:30+99",
        "2016-11-04x13:51:30+00",
        "2016-11-31 13:51:30+00",
        "2016-11-04 13:51:30.+00",
    ] {
        assert_eq!(
            utc(text, 6).map(|_| ()),
            Err(EncodeErrorKind::Malformed),
            "{text:?}"
        );
    }
}
