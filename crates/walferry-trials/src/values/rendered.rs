//! An Avro value as the one text that the oracle's SQL also gives.
//!
//! ```text
//! number         decimal digits; of a decimal with as many digits after the point as its scale
//! float, double  the bits, hexadecimal, highest first
//! bytes          hexadecimal
//! string         as it is; inside of anything else in double quotes, " and \ with a backslash before them
//! array          [item,item]   record {name:value,…}   map {"key":value,…} by key
//! NULL           no text; inside of anything else `null`
//! ```
//!
//! Never: interprets a count or a text; what a count means is for the oracle to say.

use anyhow::{Context, Result, bail};
use apache_avro::types::Value as Avro;
use serde_json::Value as Json;

/// The text of a field whose type is `schema`; none for NULL.
pub(super) fn rendered(schema: &Json, value: &Avro) -> Result<Option<String>> {
    match value {
        Avro::Null => Ok(None),
        Avro::Union(at, inner) => rendered(schema.get(*at as usize).unwrap_or(schema), inner),
        Avro::String(text) => Ok(Some(text.clone())),
        _ => inner(schema, value).map(Some),
    }
}

/// The text of a value inside of another.
fn inner(schema: &Json, value: &Avro) -> Result<String> {
    Ok(match value {
        Avro::Null => "null".to_owned(),
        Avro::Union(at, value) => inner(schema.get(*at as usize).unwrap_or(schema), value)?,
        Avro::Boolean(value) => value.to_string(),
        Avro::Int(value) | Avro::Date(value) | Avro::TimeMillis(value) => value.to_string(),
        Avro::Long(value) | Avro::TimestampMillis(value) => value.to_string(),
        Avro::Float(value) => format!("{:08x}", value.to_bits()),
        Avro::Double(value) => format!("{:016x}", value.to_bits()),
        Avro::Bytes(bytes) => hex(bytes),
        Avro::String(text) => quoted(text),
        Avro::Decimal(number) => {
            let bytes = Vec::<u8>::try_from(number).context("a decimal without bytes")?;
            let scale = schema["scale"]
                .as_u64()
                .context("a decimal without scale")?;
            decimal(&bytes, usize::try_from(scale)?)
        }
        Avro::Array(items) => {
            let items: Result<Vec<_>> =
                items.iter().map(|it| inner(&schema["items"], it)).collect();
            format!("[{}]", items?.join(","))
        }
        Avro::Map(pairs) => {
            let mut sorted: Vec<_> = pairs.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            let pairs: Result<Vec<_>> = sorted
                .into_iter()
                .map(|(key, it)| Ok(format!("{}:{}", quoted(key), inner(&schema["values"], it)?)))
                .collect();
            format!("{{{}}}", pairs?.join(","))
        }
        Avro::Record(fields) => record(schema, fields)?,
        other => bail!("{other:?} is of no type that is expected here"),
    })
}

fn record(schema: &Json, fields: &[(String, Avro)]) -> Result<String> {
    if let [(first, Avro::Int(scale)), (second, Avro::Bytes(bytes))] = fields
        && (first.as_str(), second.as_str()) == ("scale", "value")
    {
        return Ok(decimal(bytes, usize::try_from(*scale)?));
    }
    let fields: Result<Vec<_>> = fields
        .iter()
        .enumerate()
        .map(|(at, (name, value))| {
            Ok(format!(
                "{name}:{}",
                inner(&schema["fields"][at]["type"], value)?
            ))
        })
        .collect();
    Ok(format!("{{{}}}", fields?.join(",")))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A two's complement number, the highest byte first, with exactly `scale` digits after the point.
fn decimal(bytes: &[u8], scale: usize) -> String {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    // Nine decimal digits a limb, the lowest first; -x is !x + 1.
    let mut limbs = vec![0_u64];
    for byte in bytes {
        let mut carry = u64::from(if negative { !byte } else { *byte });
        for limb in &mut limbs {
            let wide = *limb * 256 + carry;
            *limb = wide % 1_000_000_000;
            carry = wide / 1_000_000_000;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    if negative {
        for limb in &mut limbs {
            *limb += 1;
            if *limb < 1_000_000_000 {
                break;
            }
            *limb = 0;
        }
        if limbs.iter().all(|limb| *limb == 0) {
            limbs.push(1);
        }
    }
    let padded: String = limbs
        .iter()
        .rev()
        .map(|limb| format!("{limb:09}"))
        .collect();
    let digits = format!(
        "{:0>width$}",
        padded.trim_start_matches('0'),
        width = scale + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    let sign = if negative { "-" } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (bytes, scale, expected) in [
            (&[0][..], 0, "0"),
            (&[0], 2, "0.00"),
            (&[0xFF], 2, "-0.01"),
            (&[0x00, 0xFF], 0, "255"),
            (&[0x80], 1, "-12.8"),
            (&[0xC4, 0x65, 0x36, 0x00], 0, "-1000000000"),
            (&[0x3B, 0x9A, 0xCA, 0x00], 3, "1000000.000"),
        ] {
            assert_eq!(decimal(bytes, scale), expected);
        }
    }
}
