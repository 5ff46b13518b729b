//! Avro's primitive values as bytes.
//!
//! ```text
//! int, long   zigzag, then 7 bits a byte, lowest first, the high bit set on all but the last
//! bytes       length as long, then the bytes; string: the same, UTF-8
//! float       4 bytes, little-endian IEEE 754; double: 8
//! boolean     one byte, 0 or 1
//! union       the branch's index as long, then its value
//! ```
//!
//! Source: Avro specification 1.12, "Binary Encoding".

/// Branch index 0 of a union.
pub(crate) const BRANCH_0: u8 = 0;
/// Branch index 1 of a union.
pub(crate) const BRANCH_1: u8 = 2;

/// Writes an `int` or a `long`: both have one encoding.
#[inline]
pub(crate) fn long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    if rest < 0x80 {
        out.push(rest as u8);
        return;
    }
    // 64 bits in groups of 7 are at most 10 bytes.
    let mut buffer = [0_u8; 10];
    let mut used = 0;
    while rest >= 0x80 {
        buffer[used] = rest as u8 | 0x80;
        rest >>= 7;
        used += 1;
    }
    buffer[used] = rest as u8;
    out.extend_from_slice(&buffer[..=used]);
}

/// Writes a length; a slice is never longer than `i64` can say.
#[inline]
pub(crate) fn length(out: &mut Vec<u8>, bytes: usize) {
    long(out, bytes as i64);
}

/// Writes `bytes`, or a `string` that is known to be UTF-8.
#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    length(out, value.len());
    out.extend_from_slice(value);
}

/// Reads a `long` back; for the defaults of a schema, which are rendered from their encoding.
pub(crate) fn read_long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_zigzag_varints() {
        for (value, expected) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7E]),
            (64, &[0x80, 0x01]),
            (-64, &[0x7F]),
            (-65, &[0x81, 0x01]),
            (
                i64::MIN,
                &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            ),
        ] {
            let mut out = Vec::new();
            long(&mut out, value);
            assert_eq!(out, expected, "{value}");
            assert_eq!(read_long(&mut &out[..]), Some(value));
        }
        for value in [i64::MAX, i64::MIN + 1, 1 << 55, -(1 << 55)] {
            let mut out = Vec::new();
            long(&mut out, value);
            assert_eq!(read_long(&mut &out[..]), Some(value));
        }
    }
}
