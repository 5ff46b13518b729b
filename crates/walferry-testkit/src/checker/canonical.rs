//! One text for one value, whether PostgreSQL wrote it or Avro holds it.
//!
//! Owns: the canonical forms. numeric: shortest plain digits; float: Rust's shortest; date: days since 1970; time:
//! microseconds of the day; timestamps: microseconds since 1970 UTC; bytea: `\x` and hex; all else: PostgreSQL's text.
//! Never: the product's own conversions; this is written apart from them on purpose.
//! Where to start: [`from_postgres`], then [`from_avro`].

use anyhow::{Context, Result, bail};
use apache_avro::types::Value as Avro;
use serde_json::Value as Json;

use super::calendar;
use super::change::Value;

/// What stands in a record for a TOAST value that the change did not touch.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// A column's name as Avro allows it: other letters become `_`, and a leading digit gets one before it.
pub(super) fn column_name(name: &str) -> String {
    let mut adjusted: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '_' {
                letter
            } else {
                '_'
            }
        })
        .collect();
    if adjusted.starts_with(|first: char| first.is_ascii_digit()) {
        adjusted.insert(0, '_');
    }
    adjusted
}

/// The canonical text of PostgreSQL's text of a type, named as `format_type` does without modifiers.
pub(crate) fn from_postgres(type_name: &str, text: &str) -> Result<String> {
    let canonical = match type_name {
        "boolean" => match text {
            "t" | "true" => "true".to_owned(),
            "f" | "false" => "false".to_owned(),
            other => bail!("{other:?} is no boolean"),
        },
        "numeric" => numeric(text),
        "real" => format!("{:?}", text.parse::<f32>().context("not a real")?),
        "double precision" => format!("{:?}", text.parse::<f64>().context("not a double")?),
        "date" => calendar::date_days(text)?,
        "time without time zone" => calendar::time_us(text)?.to_string(),
        "timestamp without time zone" | "timestamp with time zone" => calendar::timestamp_us(text)?,
        _ => text.to_owned(),
    };
    Ok(canonical)
}

/// The canonical value of an Avro field. `schema` is the field's type in the registry's JSON.
pub(crate) fn from_avro(schema: &Json, value: &Avro) -> Result<Value> {
    let (schema, value) = match (schema, value) {
        (Json::Array(branches), Avro::Union(index, inner)) => (
            branches
                .get(*index as usize)
                .context("a union's branch is missing")?,
            inner.as_ref(),
        ),
        _ => (schema, value),
    };
    let name = schema
        .get("connect.name")
        .and_then(Json::as_str)
        .unwrap_or("");
    let text = match value {
        Avro::Null => return Ok(Value::Null),
        Avro::Boolean(flag) => flag.to_string(),
        Avro::Int(number) => integer(name, i64::from(*number)),
        Avro::Long(number) => integer(name, *number),
        Avro::Date(days) => days.to_string(),
        Avro::TimeMillis(ms) => (i64::from(*ms) * 1000).to_string(),
        Avro::TimeMicros(us) => us.to_string(),
        Avro::TimestampMillis(ms) => (ms * 1000).to_string(),
        Avro::TimestampMicros(us) => us.to_string(),
        Avro::Float(number) => format!("{number:?}"),
        Avro::Double(number) => format!("{number:?}"),
        Avro::Uuid(uuid) => uuid.to_string(),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) if bytes == UNAVAILABLE.as_bytes() => {
            return Ok(Value::Unchanged);
        }
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) if name.ends_with("data.Decimal") => {
            decimal(bytes, scale(schema))
        }
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => hex(bytes),
        Avro::Decimal(number) => {
            let bytes = Vec::<u8>::try_from(number).context("a decimal without bytes")?;
            decimal(&bytes, scale(schema))
        }
        Avro::String(text) | Avro::Enum(_, text) if text == UNAVAILABLE => {
            return Ok(Value::Unchanged);
        }
        Avro::String(text) | Avro::Enum(_, text) => match name {
            "io.debezium.time.ZonedTimestamp" | "io.debezium.time.IsoTimestamp" => {
                calendar::iso_timestamp_us(text)?
            }
            _ => text.clone(),
        },
        Avro::Record(fields) => variable_decimal(fields)?,
        other => format!("{other:?}"),
    };
    Ok(Value::Text(text))
}

fn integer(name: &str, number: i64) -> String {
    let infinite = match name {
        "io.debezium.time.Timestamp" => number.abs() >= 9_223_372_036_825_200,
        "io.debezium.time.MicroTimestamp" => number == i64::MAX || number <= i64::MIN + 1,
        "io.debezium.time.Date" => number.abs() > 2_140_000_000,
        _ => false,
    };
    if infinite {
        return if number > 0 {
            "infinity".to_owned()
        } else {
            "-infinity".to_owned()
        };
    }
    match name {
        "io.debezium.time.Timestamp" | "io.debezium.time.Time" => (number * 1000).to_string(),
        "io.debezium.time.NanoTimestamp" | "io.debezium.time.NanoTime" => {
            (number / 1000).to_string()
        }
        _ => number.to_string(),
    }
}

fn scale(schema: &Json) -> i32 {
    schema.get("scale").and_then(Json::as_i64).unwrap_or(0) as i32
}

/// `{scale, value}` of `io.debezium.data.VariableScaleDecimal`.
fn variable_decimal(fields: &[(String, Avro)]) -> Result<String> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value)
    };
    match (field("scale"), field("value")) {
        (Some(Avro::Int(scale)), Some(Avro::Bytes(bytes))) => Ok(decimal(bytes, *scale)),
        _ => Ok(format!("{fields:?}")),
    }
}

/// A big-endian two's complement number at a scale, in canonical form.
fn decimal(bytes: &[u8], scale: i32) -> String {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut magnitude: Vec<u8> = bytes.to_vec();
    if negative {
        for byte in &mut magnitude {
            *byte = !*byte;
        }
        for byte in magnitude.iter_mut().rev() {
            let (sum, carry) = byte.overflowing_add(1);
            *byte = sum;
            if !carry {
                break;
            }
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut magnitude {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 10) as u8;
            rest = value % 10;
        }
        digits.push(char::from(b'0' + rest as u8));
    }
    while (digits.len() as i32) <= scale {
        digits.push('0');
    }
    let mut text: String = digits.into_iter().rev().collect();
    if scale > 0 {
        text.insert(text.len() - scale as usize, '.');
    }
    text.extend(std::iter::repeat_n('0', (-scale).max(0) as usize));
    if negative {
        text.insert(0, '-');
    }
    numeric(&text)
}

/// Plain digits without needless zeros: `-0.50` and `-.5` are both `-0.5`.
fn numeric(text: &str) -> String {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        || text.ends_with("Infinity")
    {
        return text.to_owned();
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    let whole = if whole.is_empty() { "0" } else { whole };
    match (whole, fraction) {
        ("0", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('?'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
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
}
