//! `bytea` text to Avro bytes or to text of another base.
//!
//! ```text
//! hex      \x then two digits a byte              (bytea_output = hex, which the session asks for)
//! escape   bytes as they are, \\ for a backslash, \ooo (octal) for what cannot be printed
//! ```
//!
//! Invariant: the length is known before the first byte is written, so nothing is moved.
//! Source: PostgreSQL documentation, "Binary Data Types"; RFC 4648.

use crate::error::{EncodeErrorKind, Written};
use crate::format::BinaryMode;
use crate::wire;

/// Writes a `bytea` in the given mode.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8], mode: BinaryMode) -> Written {
    match text.strip_prefix(b"\\x") {
        Some(hex) => {
            let pairs = self::hex(hex).ok_or(EncodeErrorKind::Malformed)?;
            raw(out, pairs, hex.len() / 2, mode);
        }
        None => {
            let decoded = unescape(text).ok_or(EncodeErrorKind::Malformed)?;
            raw(out, decoded.iter().copied(), decoded.len(), mode);
        }
    }
    Ok(())
}

/// The bytes of hexadecimal digits, two for each.
#[inline]
pub(crate) fn hex(text: &[u8]) -> Option<impl Iterator<Item = u8> + Clone> {
    let valid = text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit);
    let pairs = text.chunks_exact(2);
    valid.then(|| pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])))
}

/// Writes bytes that are not in `bytea` text form.
pub(crate) fn raw(
    out: &mut Vec<u8>,
    mut bytes: impl Iterator<Item = u8>,
    count: usize,
    mode: BinaryMode,
) {
    match mode {
        BinaryMode::Bytes => {
            wire::length(out, count);
            out.extend(bytes);
        }
        BinaryMode::Hex => {
            wire::length(out, count * 2);
            out.extend(bytes.flat_map(|byte| {
                let digits = b"0123456789abcdef";
                [
                    digits[usize::from(byte >> 4)],
                    digits[usize::from(byte & 15)],
                ]
            }));
        }
        BinaryMode::Base64 | BinaryMode::Base64UrlSafe => {
            wire::length(out, count.div_ceil(3) * 4);
            while let Some(first) = bytes.next() {
                let rest = [bytes.next(), bytes.next()];
                out.extend_from_slice(&quartet(first, rest, mode));
            }
        }
    }
}

fn quartet(first: u8, [second, third]: [Option<u8>; 2], mode: BinaryMode) -> [u8; 4] {
    let bits = u32::from(first) << 16
        | u32::from(second.unwrap_or(0)) << 8
        | u32::from(third.unwrap_or(0));
    let digit = |shift: u32| match (bits >> shift & 63) as u8 {
        value @ 0..26 => b'A' + value,
        value @ 26..52 => b'a' + value - 26,
        value @ 52..62 => b'0' + value - 52,
        62 if mode == BinaryMode::Base64UrlSafe => b'-',
        62 => b'+',
        _ if mode == BinaryMode::Base64UrlSafe => b'_',
        _ => b'/',
    };
    [
        digit(18),
        digit(12),
        second.map_or(b'=', |_| digit(6)),
        third.map_or(b'=', |_| digit(0)),
    ]
}

/// The value of a hexadecimal digit, which the caller has checked.
#[inline]
fn nibble(digit: u8) -> u8 {
    // Letters are 0x41 or 0x61 and up: their low half is 1 for `a`, and bit 6 tells them apart.
    (digit & 0x0F) + 9 * (digit >> 6)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match tail {
            [b'\\', after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], mode: BinaryMode, expected: Result<&[u8], EncodeErrorKind>) {
        let mut out = Vec::new();
        let written = write(&mut out, text, mode);
        match expected {
            Ok(expected) => {
                assert_eq!(written, Ok(()));
                let mut rest = &out[..];
                assert_eq!(wire::read_long(&mut rest), Some(expected.len() as i64));
                assert_eq!(rest, expected);
            }
            Err(kind) => assert_eq!(written, Err(kind)),
        }
    }

    #[test]
    fn every_mode_of_the_same_bytes() {
        for (text, mode, expected) in [
            (&b"\\x010203"[..], BinaryMode::Bytes, &[1, 2, 3][..]),
            (b"\\x010203", BinaryMode::Hex, b"010203"),
            (b"\\x010203", BinaryMode::Base64, b"AQID"),
            (b"\\xDEADbeef", BinaryMode::Bytes, &[0xDE, 0xAD, 0xBE, 0xEF]),
            (b"\\xDEADbeef", BinaryMode::Hex, b"deadbeef"),
            (b"\\xfbff", BinaryMode::Base64, b"+/8="),
            (b"\\xfbff", BinaryMode::Base64UrlSafe, b"-_8="),
            (b"\\xfb", BinaryMode::Base64, b"+w=="),
            (b"\\x", BinaryMode::Base64, b""),
            (b"\\x", BinaryMode::Bytes, b""),
            (b"", BinaryMode::Bytes, b""),
            (
                b"a\\\\b\\000\\377",
                BinaryMode::Bytes,
                &[b'a', b'\\', b'b', 0, 255],
            ),
        ] {
            check(text, mode, Ok(expected));
        }
    }

    #[test]
    fn what_is_not_bytea_is_malformed() {
        for text in [&b"\\x0"[..], b"\\x0g", b"\\", b"\\9", b"\\40", b"\\400"] {
            check(text, BinaryMode::Bytes, Err(EncodeErrorKind::Malformed));
        }
    }
}
