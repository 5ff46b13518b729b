//! Avro's primitive values as bytes.
//!
//! ```text
//! int, long   zigzag, then 7 bits a byte, lowest first, the high bit set on all but the last
//! bytes       length as long, then the bytes; string: the same, UTF-8
//! float       4 bytes, little-endian IEEE 754; double: 8
//! boolean     one byte, 0 or 1
//! union       the branch's index as long, then its value
//! array, map  the count as long, the items, then 0; only 0 when there are none
//! ```
//!
//! Source: Avro specification 1.12, "Binary Encoding".

/// Branch index 0 of a union.
pub(crate) const BRANCH_0: u8 = 0;
/// Branch index 1 of a union.
pub(crate) const BRANCH_1: u8 = 2;

/// What stands before each record: magic byte 0 and the schema's id, highest byte first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header([u8; 5]);

impl Header {
    pub(crate) fn new(id: u32) -> Header {
        let [a, b, c, d] = id.to_be_bytes();
        Header([0, a, b, c, d])
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// Writes an `int` or a `long`: both have one encoding.
#[inline]
pub(crate) fn long(out: &mut Vec<u8>, value: i64) {
    let rest = ((value << 1) ^ (value >> 63)) as u64;
    if rest < 0x80 {
        out.push(rest as u8);
    } else {
        groups(out, rest);
    }
}

/// Writes the groups of 7 bits, 8 of them at a time: a record holds a dozen long times and LSNs.
fn groups(out: &mut Vec<u8>, rest: u64) {
    const CONTINUED: u64 = 0x8080_8080_8080_8080;
    let spread = spread(rest);
    if rest < 1 << 56 {
        // 1 to 8 groups: each but the last is continued, and nothing is kept behind the last.
        let count = (64 - rest.leading_zeros() as usize).div_ceil(7).max(1);
        let marks = CONTINUED & ((1 << (8 * (count - 1))) - 1);
        let start = out.len();
        out.extend_from_slice(&(spread | marks).to_le_bytes());
        out.truncate(start + count);
        return;
    }
    out.extend_from_slice(&(spread | CONTINUED).to_le_bytes());
    // 8 bits are left: one group, or two.
    let high = (rest >> 56) as u8;
    if high < 0x80 {
        out.push(high);
    } else {
        out.extend_from_slice(&[high, high >> 7]);
    }
}

/// The lowest 56 bits as 8 groups of 7, each in a byte of its own, by halving three times.
#[inline]
fn spread(bits: u64) -> u64 {
    let bits = (bits & 0x0FFF_FFFF) | (bits & 0x00FF_FFFF_F000_0000) << 4;
    let bits = (bits & 0x0000_3FFF_0000_3FFF) | (bits & 0x0FFF_C000_0FFF_C000) << 2;
    (bits & 0x007F_007F_007F_007F) | (bits & 0x3F80_3F80_3F80_3F80) << 1
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

/// The items of an array or a map, counted while they are written.
#[derive(Debug)]
pub(crate) struct Block {
    at: usize,
    pub(crate) count: usize,
}

impl Block {
    /// Begins one; each item that is written from here on is to be counted.
    pub(crate) fn open(out: &mut Vec<u8>) -> Block {
        let at = out.len();
        out.push(0);
        Block { at, count: 0 }
    }

    /// Puts the count in its place. Up to 63 items it takes the byte that was kept for it.
    pub(crate) fn close(self, out: &mut Vec<u8>) {
        if self.count == 0 {
            return;
        }
        let mut count = Vec::new();
        length(&mut count, self.count);
        out.splice(self.at..=self.at, count);
        out.push(0);
    }
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
        for bits in 0..64 {
            for value in [
                1_i64 << bits,
                -(1_i64 << bits.min(62)),
                (1_i64 << bits).wrapping_sub(1),
            ] {
                for value in [value, value ^ 0x0123_4567_89AB_CDEF] {
                    let mut out = vec![0xEE];
                    long(&mut out, value);
                    let mut rest = &out[1..];
                    assert_eq!(read_long(&mut rest), Some(value));
                    assert!(rest.is_empty());
                    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
                    let shortest = (64 - zigzag.leading_zeros() as usize).div_ceil(7).max(1);
                    assert_eq!(out.len() - 1, shortest, "{value}");
                }
            }
        }
    }
}
