//! Numbers: PostgreSQL's decimal text to Avro integers, decimals and floats.
//!
//! ```text
//! numeric text   [-] digits [ . digits ]   |   NaN   |   Infinity   |   -Infinity
//! decimal bytes  the unscaled value, two's complement, highest byte first, as few as hold it
//! VariableScaleDecimal   scale (int), unscaled value (bytes)
//! ```
//!
//! Owns: the way from digits to bytes; 18 digits go through 64 bits, 38 through 128, and any
//! number of them through limbs of 64 bits.
//! Invariants: a decimal is never rounded for a row (digits beyond the scale other than zero are out
//! of range); NaN and the infinities are out of range for `bytes`; no text panics.
//! Source: PostgreSQL documentation, "Numeric Types"; Avro specification 1.12, "Decimal".

use crate::error::{EncodeErrorKind, Written};
use crate::wire;

/// What PostgreSQL can hold: 131072 digits before the point and 16383 after it.
pub(crate) const DIGITS_MAX: usize = 131_072 + 16_383;

/// A number as its text says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number<'a> {
    Finite(Digits<'a>),
    Nan,
    Infinity,
    NegativeInfinity,
}

/// The digits of a finite number; both parts hold ASCII digits only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits<'a> {
    pub(crate) negative: bool,
    pub(crate) whole: &'a [u8],
    pub(crate) fraction: &'a [u8],
}

/// Reads `numeric` text.
pub(crate) fn parse(text: &[u8]) -> Result<Number<'_>, EncodeErrorKind> {
    match text {
        b"NaN" => return Ok(Number::Nan),
        b"Infinity" => return Ok(Number::Infinity),
        b"-Infinity" => return Ok(Number::NegativeInfinity),
        _ => {}
    }
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let whole_len = leading_digits(digits);
    let (whole, rest) = digits.split_at(whole_len);
    let fraction = match rest.strip_prefix(b".") {
        Some(fraction) => fraction,
        None if rest.is_empty() => rest,
        None => return Err(EncodeErrorKind::Malformed),
    };
    let dangling = rest.len() == 1;
    if whole.is_empty() || dangling || leading_digits(fraction) != fraction.len() {
        return Err(EncodeErrorKind::Malformed);
    }
    if digits.len() > DIGITS_MAX + 1 {
        return Err(EncodeErrorKind::OutOfRange);
    }
    Ok(Number::Finite(Digits {
        negative,
        whole,
        fraction,
    }))
}

fn leading_digits(text: &[u8]) -> usize {
    text.iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len())
}

/// Writes an integer that lies within `min..=max`.
#[inline]
pub(crate) fn integer(out: &mut Vec<u8>, text: &[u8], min: i64, max: i64) -> Written {
    let value = parse_integer(text)?;
    if value < min || value > max {
        return Err(EncodeErrorKind::OutOfRange);
    }
    wire::long(out, value);
    Ok(())
}

#[inline]
fn parse_integer(text: &[u8]) -> Result<i64, EncodeErrorKind> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        _ => (false, text),
    };
    // 19 digits always fit 64 bits without a sign, and no 64-bit integer has more.
    if digits.is_empty() || digits.len() > 19 {
        return Err(EncodeErrorKind::Malformed);
    }
    let magnitude = accumulate(0, digits).ok_or(EncodeErrorKind::Malformed)?;
    let value = if negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    };
    value.ok_or(EncodeErrorKind::OutOfRange)
}

/// Appends decimal digits to `value`; the caller bounds their number to 19 in all.
#[inline]
fn accumulate(mut value: u64, digits: &[u8]) -> Option<u64> {
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    Some(value)
}

/// Writes the decimal `bytes` of a number at a fixed scale.
#[inline]
pub(crate) fn decimal(out: &mut Vec<u8>, text: &[u8], scale: usize) -> Written {
    match short(text, scale) {
        Some(unscaled) => {
            unscaled_64(out, unscaled);
            Ok(())
        }
        None => long_decimal(out, text, scale),
    }
}

/// A number of at most 18 digits, exactly `scale` of them after the point: nearly every value.
#[inline]
fn short(text: &[u8], scale: usize) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        _ => (false, text),
    };
    let magnitude = if scale == 0 {
        if digits.is_empty() || digits.len() > 18 {
            return None;
        }
        accumulate(0, digits)?
    } else {
        if digits.len() < scale + 2 || digits.len() > 19 {
            return None;
        }
        let (whole, rest) = digits.split_at(digits.len() - scale - 1);
        let (&point, fraction) = rest.split_first()?;
        if point != b'.' {
            return None;
        }
        accumulate(accumulate(0, whole)?, fraction)?
    };
    // 18 digits are below 2^60.
    let value = magnitude as i64;
    Some(if negative { -value } else { value })
}

#[cold]
fn long_decimal(out: &mut Vec<u8>, text: &[u8], scale: usize) -> Written {
    let Number::Finite(digits) = parse(text)? else {
        return Err(EncodeErrorKind::OutOfRange);
    };
    let kept = digits.fraction.len().min(scale);
    let (fraction, beyond) = digits.fraction.split_at(kept);
    if beyond.iter().any(|&digit| digit != b'0') {
        return Err(EncodeErrorKind::OutOfRange);
    }
    unscaled(out, digits.negative, digits.whole, fraction, scale - kept);
    Ok(())
}

/// Writes the record `VariableScaleDecimal`: zeros at the end of the fraction are dropped.
pub(crate) fn variable(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let Number::Finite(digits) = parse(text)? else {
        return Err(EncodeErrorKind::OutOfRange);
    };
    let scale = digits
        .fraction
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(0, |at| at + 1);
    wire::length(out, scale);
    unscaled(
        out,
        digits.negative,
        digits.whole,
        &digits.fraction[..scale],
        0,
    );
    Ok(())
}

/// Writes the integer `whole fraction 0{zeros}` as `bytes`.
fn unscaled(out: &mut Vec<u8>, negative: bool, whole: &[u8], fraction: &[u8], zeros: usize) {
    let digits = || {
        let parts = whole.iter().chain(fraction).copied();
        parts
            .chain(std::iter::repeat_n(b'0', zeros))
            .skip_while(|&digit| digit == b'0')
    };
    let significant = if whole.len() + fraction.len() + zeros <= 38 {
        38
    } else {
        digits().count()
    };
    if significant > 38 {
        return unscaled_limbs(out, negative, digits(), significant);
    }
    // 38 digits are below 2^127.
    let magnitude = digits().fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let value = if negative { -magnitude } else { magnitude };
    match i64::try_from(value) {
        Ok(value) => unscaled_64(out, value),
        Err(_) => wire::bytes(out, minimal(&value.to_be_bytes())),
    }
}

/// Writes the `bytes` of a decimal whose unscaled value fits 64 bits.
#[inline]
pub(crate) fn unscaled_64(out: &mut Vec<u8>, value: i64) {
    // The sign bit counts, so that 127 takes one byte and 128 takes two.
    let bits = 65 - (value ^ (value >> 63)).leading_zeros() as usize;
    let size = bits.div_ceil(8);
    wire::bytes(out, &value.to_be_bytes()[8 - size..]);
}

fn unscaled_limbs(
    out: &mut Vec<u8>,
    negative: bool,
    mut digits: impl Iterator<Item = u8>,
    count: usize,
) {
    // Lowest limb first. A decimal digit is less than 3.33 bits.
    let mut limbs: Vec<u64> = Vec::with_capacity(count / 19 + 1);
    loop {
        let (mut chunk, mut factor) = (0_u64, 1_u64);
        for digit in digits.by_ref().take(19) {
            chunk = chunk * 10 + u64::from(digit - b'0');
            factor = factor.wrapping_mul(10);
        }
        if factor == 1 {
            break;
        }
        let mut carry = u128::from(chunk);
        for limb in &mut limbs {
            // (2^64-1)^2 + 2^64-1 is below 2^128.
            let wide = u128::from(*limb) * u128::from(factor) + carry;
            *limb = wide as u64;
            carry = wide >> 64;
        }
        if carry != 0 {
            limbs.push(carry as u64);
        }
    }
    let mut bytes = vec![0_u8];
    bytes.extend(limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()));
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            *byte = sum;
            carry = over;
        }
    }
    wire::bytes(out, minimal(&bytes));
}

/// The shortest two's complement form of the same value; `bytes` is not empty.
fn minimal(mut bytes: &[u8]) -> &[u8] {
    while let [first, second, ..] = bytes {
        let redundant = (*first == 0 && *second < 0x80) || (*first == 0xFF && *second >= 0x80);
        if !redundant {
            break;
        }
        bytes = &bytes[1..];
    }
    bytes
}

/// Writes a `numeric` as text: its digits, and Java's names for what is not finite.
pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) -> Written {
    wire::bytes(
        out,
        match parse(text)? {
            Number::Finite(_) => text,
            Number::Nan => b"NAN",
            Number::Infinity => b"POSITIVE_INFINITY",
            Number::NegativeInfinity => b"NEGATIVE_INFINITY",
        },
    );
    Ok(())
}

/// Writes a `double`: the nearest to the text.
pub(crate) fn double(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let value: f64 = float(text)?;
    out.extend_from_slice(&value.to_le_bytes());
    Ok(())
}

/// Writes a `float`.
pub(crate) fn single(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let value: f32 = float(text)?;
    out.extend_from_slice(&value.to_le_bytes());
    Ok(())
}

/// A floating-point number as PostgreSQL writes it.
pub(crate) fn float<F: std::str::FromStr>(text: &[u8]) -> Result<F, EncodeErrorKind> {
    // The standard parser knows more words (`inf`, `+1`) than PostgreSQL writes.
    let plain = text
        .iter()
        .all(|b| b.is_ascii_digit() || b".-+e".contains(b));
    let known = matches!(text, b"NaN" | b"Infinity" | b"-Infinity");
    if !(plain || known) || text.first() == Some(&b'+') {
        return Err(EncodeErrorKind::Malformed);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(EncodeErrorKind::Malformed)
}

/// The number rounded to `scale` digits after the point, halves away from zero: what PostgreSQL
/// does with a column's default when it makes a row. `None` when it is not a finite number.
pub(crate) fn rounded(text: &str, scale: usize) -> Option<String> {
    let Ok(Number::Finite(digits)) = parse(text.as_bytes()) else {
        return None;
    };
    let mut kept: Vec<u8> = [digits.whole, digits.fraction].concat();
    let wanted = digits.whole.len() + scale;
    let up = kept.get(wanted).is_some_and(|&digit| digit >= b'5');
    kept.resize(wanted, b'0');
    if up {
        let mut at = kept.len();
        loop {
            match at.checked_sub(1) {
                None => {
                    kept.insert(0, b'1');
                    break;
                }
                Some(before) if kept[before] == b'9' => kept[before] = b'0',
                Some(before) => {
                    kept[before] += 1;
                    break;
                }
            }
            at -= 1;
        }
    }
    let mut result = String::from(if digits.negative { "-" } else { "" });
    let point = kept.len() - scale;
    result.extend(kept[..point].iter().map(|&digit| char::from(digit)));
    if scale > 0 {
        result.push('.');
        result.extend(kept[point..].iter().map(|&digit| char::from(digit)));
    }
    Some(result)
}

#[cfg(test)]
mod tests;
