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
mod tests;
