//! `money` text to a decimal, its text, or a double.
//!
//! How an amount looks is the locale's choice: `$1,234.11`, `-$1,234.11`, `($1,234.11)`, `1.234,11 €`, `￥1,234`. Yet in every
//! locale its digits, read without what stands between them, are the 64-bit count that PostgreSQL stores, in the
//! currency's smallest unit; only how many of them are a fraction has to be known, and the type's modifier says that
//! (see `mapping`).
//! Source: PostgreSQL documentation, "Monetary Types".

use crate::error::{EncodeErrorKind, Written};
use crate::format::DecimalMode;
use crate::{numeric, wire};

/// Writes an amount whose last `fraction` digits are a fraction.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8], fraction: u8, mode: DecimalMode) -> Written {
    let count = parse(text)?;
    match mode {
        DecimalMode::Precise => numeric::unscaled_64(out, count),
        DecimalMode::String => wire::bytes(out, plain(count, fraction).as_bytes()),
        DecimalMode::Double => {
            let value: f64 = plain(count, fraction)
                .parse()
                .map_err(|_| EncodeErrorKind::Malformed)?;
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    Ok(())
}

/// The stored count: all digits, negative where a minus or a parenthesis says so.
pub(crate) fn parse(text: &[u8]) -> Result<i64, EncodeErrorKind> {
    // U+2212 is the minus of some locales.
    let negative = text.iter().any(|byte| matches!(byte, b'-' | b'('))
        || contains(text, "\u{2212}".as_bytes());
    let mut digits = text.iter().filter(|byte| byte.is_ascii_digit()).peekable();
    digits.peek().ok_or(EncodeErrorKind::Malformed)?;
    let magnitude = digits.try_fold(0_u64, |count, digit| {
        count.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    let count = match (magnitude, negative) {
        (Some(magnitude), true) => 0_i64.checked_sub_unsigned(magnitude),
        (Some(magnitude), false) => i64::try_from(magnitude).ok(),
        (None, _) => None,
    };
    count.ok_or(EncodeErrorKind::OutOfRange)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Digits with a point among them, as `numeric` has them.
pub(crate) fn plain(count: i64, fraction: u8) -> String {
    let fraction = usize::from(fraction);
    let digits = format!("{:0width$}", count.unsigned_abs(), width = fraction + 1);
    let (whole, rest) = digits.split_at(digits.len() - fraction);
    let sign = if count < 0 { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_the_count_in_every_locale() {
        for (text, fraction, expected) in [
            ("$1,234.11", 2, "1234.11"),
            ("-$1,234.11", 2, "-1234.11"),
            ("($1,234.11)", 2, "-1234.11"),
            ("$0.05", 2, "0.05"),
            ("-$0.05", 2, "-0.05"),
            ("1.234,11 €", 2, "1234.11"),
            ("\u{2212}1 234,11 kr", 2, "-1234.11"),
            ("￥1,234", 0, "1234"),
            ("KD 1,234.567", 3, "1234.567"),
            ("$92,233,720,368,547,758.07", 2, "92233720368547758.07"),
            ("-$92,233,720,368,547,758.08", 2, "-92233720368547758.08"),
        ] {
            let count = parse(text.as_bytes()).unwrap();
            assert_eq!(plain(count, fraction), expected, "{text}");
        }
        assert_eq!(parse(b"$"), Err(EncodeErrorKind::Malformed));
        assert_eq!(
            parse(b"$92,233,720,368,547,758.08"),
            Err(EncodeErrorKind::OutOfRange)
        );
    }
}
