//! Canonical values: each type of PostgreSQL in both of its forms, and what is told apart.

use super::*;
use serde_json::json;

fn check(type_name: &str, text: &str, schema: Json, value: Avro) {
    let left = Value::Text(from_postgres(type_name, text).unwrap());
    assert_eq!(
        left,
        from_avro(&schema, &value).unwrap(),
        "{type_name} {text}"
    );
}

fn named(kind: &str, name: &str) -> Json {
    json!({"type": kind, "connect.name": name})
}

#[test]
fn numbers_agree() {
    let two = json!({"type": "bytes", "scale": 2, "connect.name": "org.apache.kafka.connect.data.Decimal"});
    check("numeric", "1.10", two.clone(), Avro::Bytes(vec![110]));
    check("numeric", "-0.01", two.clone(), Avro::Bytes(vec![0xFF]));
    check(
        "numeric",
        "1234567890.12",
        two.clone(),
        Avro::Bytes(vec![0x1C, 0xBE, 0x99, 0x1A, 0x14]),
    );
    check("numeric", "0.00", two, Avro::Bytes(vec![0]));
    let record = |scale, value: Vec<u8>| {
        Avro::Record(vec![
            ("scale".into(), Avro::Int(scale)),
            ("value".into(), Avro::Bytes(value)),
        ])
    };
    check("numeric", "3.1400", json!("x"), record(2, vec![1, 58]));
    check("numeric", "1000", json!("x"), record(-3, vec![1]));
    check("real", "0.1", json!("float"), Avro::Float(0.1));
    check(
        "double precision",
        "1e+300",
        json!("double"),
        Avro::Double(1e300),
    );
    check(
        "double precision",
        "NaN",
        json!("double"),
        Avro::Double(f64::NAN),
    );
    check(
        "double precision",
        "-Infinity",
        json!("double"),
        Avro::Double(f64::NEG_INFINITY),
    );
}

#[test]
fn times_agree() {
    check(
        "date",
        "2016-11-04",
        named("int", "io.debezium.time.Date"),
        Avro::Int(17109),
    );
    check(
        "date",
        "4713-01-01 BC",
        named("int", "io.debezium.time.Date"),
        Avro::Int(-2_440_550),
    );
    let micro = named("long", "io.debezium.time.MicroTimestamp");
    check(
        "timestamp without time zone",
        "2016-11-04 13:51:30.123456",
        micro.clone(),
        Avro::Long(1_478_267_490_123_456),
    );
    check(
        "timestamp without time zone",
        "infinity",
        micro,
        Avro::Long(i64::MAX),
    );
    let milli = named("long", "io.debezium.time.Timestamp");
    check(
        "timestamp without time zone",
        "1970-01-01 00:00:00.5",
        milli,
        Avro::Long(500),
    );
    let zoned = named("string", "io.debezium.time.ZonedTimestamp");
    check(
        "timestamp with time zone",
        "21016-11-04 13:51:30.123456+07",
        zoned.clone(),
        Avro::String("+21016-11-04T06:51:30.123456Z".into()),
    );
    check(
        "timestamp with time zone",
        "4714-12-31 23:59:59.999999+00 BC",
        zoned,
        Avro::String("-4713-12-31T23:59:59.999999Z".into()),
    );
    check(
        "time without time zone",
        "24:00:00",
        named("long", "io.debezium.time.MicroTime"),
        Avro::Long(86_400_000_000),
    );
}

#[test]
fn texts_bytes_and_the_rest_agree() {
    check("boolean", "t", json!("boolean"), Avro::Boolean(true));
    check(
        "bytea",
        "\\x00ff",
        json!("bytes"),
        Avro::Bytes(vec![0, 255]),
    );
    check(
        "character",
        "ab  ",
        json!("string"),
        Avro::String("ab  ".into()),
    );
    let union = json!(["null", "string"]);
    let inside = Avro::Union(1, Box::new(Avro::String(UNAVAILABLE.into())));
    assert_eq!(from_avro(&union, &inside).unwrap(), Value::Unchanged);
    let null = Avro::Union(0, Box::new(Avro::Null));
    assert_eq!(from_avro(&union, &null).unwrap(), Value::Null);
}

#[test]
fn different_values_differ() {
    assert_ne!(
        decimal(&[110], 2),
        from_postgres("numeric", "1.11").unwrap()
    );
    assert_ne!(
        decimal(&[110], 1),
        from_postgres("numeric", "1.10").unwrap()
    );
    assert_ne!(numeric("-1"), numeric("1"));
}

#[test]
fn names_are_adjusted() {
    assert_eq!(column_name("1st col"), "_1st_col");
    assert_eq!(column_name("plain_1"), "plain_1");
}
