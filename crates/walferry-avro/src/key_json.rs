//! A key as compact JSON, for the headers that join the two halves of a key change.
//!
//! Owns: how each value of a key looks in a header. A key changes seldom, so this path may allocate.
//! Invariant: what the key's record holds is what the JSON says: both come from the same writer.
//!
//! | Avro | JSON |
//! |---|---|
//! | boolean, int, long, float, double | as it is; NaN and the infinities quoted |
//! | string | quoted |
//! | bytes | quoted, base 64 |
//! | bytes of a decimal | a number with its digits |
//! | `VariableScaleDecimal` | `{"scale":2,"value":"base 64"}` |
//! | array, map, other records | quoted, PostgreSQL's text |
//!
//! Source: Kafka Connect's `SimpleHeaderConverter`, as Debezium's records show it.

use crate::error::{EncodeErrorKind, Written};
use crate::format::{BinaryMode, DecimalMode, IntervalMode};
use crate::json::quoted;
use crate::writer::Writer;
use crate::{bytea, money, wire};

/// Writes one value of a key as JSON.
pub(crate) fn write(writer: &Writer, text: &[u8], out: &mut Vec<u8>) -> Written {
    let mut encoded = Vec::new();
    writer.write(&mut encoded, text)?;
    let mut rest = &encoded[..];
    match *writer {
        Writer::Boolean => out.extend_from_slice(match text {
            b"t" => b"true",
            _ => b"false",
        }),
        Writer::Bit => out.extend_from_slice(match text {
            b"1" => b"true",
            _ => b"false",
        }),
        Writer::DebeziumValue(bent) if bent.is_text() => quoted(content(&mut rest)?, out),
        Writer::Integer { .. }
        | Writer::Date
        | Writer::Time(_)
        | Writer::Timestamp(_)
        | Writer::Interval(IntervalMode::Numeric)
        | Writer::DebeziumValue(_) => {
            let value = wire::read_long(&mut rest).ok_or(EncodeErrorKind::Malformed)?;
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Writer::Money { fraction, mode } => {
            let plain = money::plain(money::parse(text)?, fraction);
            match mode {
                DecimalMode::String => quoted(plain.as_bytes(), out),
                DecimalMode::Precise | DecimalMode::Double => number(plain.as_bytes(), out),
            }
        }
        Writer::Single | Writer::Double | Writer::Decimal { .. } | Writer::DecimalDouble => {
            number(text, out);
        }
        Writer::Text
        | Writer::Masked(_)
        | Writer::Labels(_)
        | Writer::DecimalText
        | Writer::DateIso
        | Writer::TimeIso
        | Writer::TimestampIso
        | Writer::ZonedTime
        | Writer::Interval(IntervalMode::String)
        | Writer::Zoned { .. }
        | Writer::Bytea(BinaryMode::Hex | BinaryMode::Base64 | BinaryMode::Base64UrlSafe) => {
            quoted(content(&mut rest)?, out)
        }
        Writer::Bits { .. } | Writer::Bytea(BinaryMode::Bytes) => base64(content(&mut rest)?, out),
        Writer::VariableScaleDecimal => {
            let scale = wire::read_long(&mut rest).ok_or(EncodeErrorKind::Malformed)?;
            out.extend_from_slice(format!("{{\"scale\":{scale},\"value\":").as_bytes());
            base64(content(&mut rest)?, out);
            out.push(b'}');
        }
        Writer::Array(_)
        | Writer::Spaced(_)
        | Writer::Composite(_)
        | Writer::Hstore(_)
        | Writer::Geometry(_)
        | Writer::Vector(_)
        | Writer::OrText(_)
        | Writer::Nothing => quoted(text, out),
    }
    Ok(())
}

/// PostgreSQL writes numbers as JSON does, but for the values that JSON does not have. What it does not write is quoted.
fn number(text: &[u8], out: &mut Vec<u8>) {
    if is_number(text) {
        out.extend_from_slice(text);
    } else {
        quoted(text, out);
    }
}

/// Whether a text is a number by RFC 8259, section 6.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let split = |text: &[u8], at: &[u8]| text.iter().position(|byte| at.contains(byte));
    let (text, exponent) = match split(text, b"eE") {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match split(text, b".") {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let unsigned = |text: &[u8]| {
        digits(
            text.strip_prefix(b"-")
                .or(text.strip_prefix(b"+"))
                .unwrap_or(text),
        )
    };
    digits(whole)
        && (whole.len() == 1 || whole[0] != b'0')
        && fraction.is_none_or(digits)
        && exponent.is_none_or(unsigned)
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let mut encoded = Vec::new();
    bytea::raw(
        &mut encoded,
        bytes.iter().copied(),
        bytes.len(),
        BinaryMode::Base64,
    );
    // What `raw` has just written is a length and that many ASCII bytes.
    if let Ok(text) = content(&mut &encoded[..]) {
        quoted(text, out);
    }
}

/// The bytes of an encoded `bytes` or `string`.
fn content<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], EncodeErrorKind> {
    let length = wire::read_long(rest).and_then(|length| usize::try_from(length).ok());
    length
        .and_then(|length| rest.get(..length))
        .ok_or(EncodeErrorKind::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_json_takes_for_a_number_goes_out_unquoted() {
        for text in ["0", "-12", "0.50", "1e+20", "1.5E-7", "-0"] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "-",
            ".34",
            "1.",
            "01",
            "NaN",
            "-Infinity",
            "1e",
            "+1",
            "1.2.3",
        ] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }
}
