//! `bit` and `varbit` text to a boolean or to little-endian bytes.
//!
//! ```text
//! bits    { 0 | 1 }                  the highest bit first
//! bytes   bit 0 is the last digit; as many bytes as the highest set bit needs, none when no bit is set
//! ```
//!
//! The bytes are those of Java's `BitSet`, as Debezium writes them. They do not tell how many zeros stood in front, which
//! loses nothing of a `bit(n)`, whose length the schema says, and loses the length of a `varbit`: one that begins with a
//! zero, and an empty one in the place of a boolean, is of another [`EncodeErrorKind::Shape`], so that it goes out as its text.
//! Source: PostgreSQL documentation, "Bit String Types".

use crate::error::{EncodeErrorKind, Written};
use crate::wire;

/// Writes a string of one bit as a boolean.
pub(crate) fn boolean(out: &mut Vec<u8>, text: &[u8]) -> Written {
    out.push(match text {
        b"1" => 1,
        b"0" => 0,
        b"" => return Err(EncodeErrorKind::Shape),
        _ => return Err(EncodeErrorKind::Malformed),
    });
    Ok(())
}

/// Writes bits as bytes. `whole`: zeros in front mean something.
pub(crate) fn bytes(out: &mut Vec<u8>, text: &[u8], whole: bool) -> Written {
    if !text.iter().all(|byte| matches!(byte, b'0' | b'1')) {
        return Err(EncodeErrorKind::Malformed);
    }
    if whole && text.first() == Some(&b'0') {
        return Err(EncodeErrorKind::Shape);
    }
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let significant = &text[zeros..];
    wire::length(out, significant.len().div_ceil(8));
    out.extend(significant.rchunks(8).map(|chunk| {
        chunk
            .iter()
            .fold(0_u8, |byte, digit| byte << 1 | (digit - b'0'))
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, whole: bool, expected: Result<&[u8], EncodeErrorKind>) {
        let mut out = Vec::new();
        let written = bytes(&mut out, text.as_bytes(), whole).map(|()| &out[1..]);
        assert_eq!(written, expected, "{text}");
    }

    #[test]
    fn bytes_are_little_endian_and_end_with_the_highest_set_bit() {
        for (text, expected) in [
            ("11", &[3][..]),
            ("00", &[]),
            ("1000000", &[0x40]),
            ("000000110000001000000001", &[1, 2, 3]),
            (
                "111011010001000110000001000000001",
                &[0x01, 0x02, 0x23, 0xDA, 0x01],
            ),
            ("", &[]),
        ] {
            check(text, false, Ok(expected));
        }
        check(
            &format!("1{}", "0".repeat(63)),
            true,
            Ok(&[0, 0, 0, 0, 0, 0, 0, 0x80]),
        );
        check("101", true, Ok(&[5]));
        check("", true, Ok(&[]));
        check("01", true, Err(EncodeErrorKind::Shape));
        check("2", false, Err(EncodeErrorKind::Malformed));
    }
}
