//! One row of COPY's text format as values.
//!
//! Owns [`parse_copy_row`]. Never: copies a value that has no escape in it; looks for the end of a row (a line of COPY
//! holds no bare newline).
//! Invariant: unescaped bytes are never more than the escaped ones, so one scratch buffer of the line's length suffices.
//! Source: PostgreSQL documentation, COPY, "Text Format".
//!
//! ```text
//! value ┌──────────────┐ TAB ┌──────────────┐ TAB …     \N alone: NULL; \! alone: left out, see [`shortened`]
//!       └──────────────┘     └──────────────┘           \b \f \n \r \t \v \\ · \ooo · \xhh · \ and any other
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use walferry_event::Datum;

use crate::Error;

/// Appends the values of one row to `out`; `line` is without its newline. A value with escapes is unescaped into
/// `scratch`, whose content before does not matter.
///
/// # Errors
/// The line ends within an escape.
pub fn parse_copy_row<'a>(
    line: &'a [u8],
    scratch: &'a mut Vec<u8>,
    out: &mut Vec<Datum<'a>>,
) -> Result<(), Error> {
    let (held, mut start) = (out.len(), 0);
    for at in memchr::memchr2_iter(b'\t', b'\\', line) {
        if line[at] == b'\\' {
            out.truncate(held);
            return parse_escaped(line, scratch, out);
        }
        out.push(Datum::Text(&line[start..at]));
        start = at + 1;
    }
    out.push(Datum::Text(&line[start..]));
    Ok(())
}

/// A row in which there are NULLs or escapes.
fn parse_escaped<'a>(
    line: &'a [u8],
    scratch: &'a mut Vec<u8>,
    out: &mut Vec<Datum<'a>>,
) -> Result<(), Error> {
    if scratch.len() < line.len() {
        scratch.resize(line.len(), 0);
    }
    let mut free = scratch.as_mut_slice();
    for value in line.split(|&byte| byte == b'\t') {
        out.push(if value == b"\\N" {
            Datum::Null
        } else if value == LEFT_OUT {
            Datum::Unchanged
        } else if value.contains(&b'\\') {
            let len = unescape(value, free)?;
            let (text, rest) = free.split_at_mut(len);
            free = rest;
            Datum::Text(text)
        } else {
            Datum::Text(value)
        });
    }
    Ok(())
}

/// What stands for a value that is left out; no server writes this escape.
const LEFT_OUT: &[u8] = b"\\!";

/// A row without its long values, each of which reads as [`Datum::Unchanged`]: what is left of one that is too long to be kept.
pub(crate) fn shortened(line: &[u8]) -> Bytes {
    let ends = line.ends_with(b"\n");
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut short = BytesMut::new();
    for (at, value) in line.split(|&byte| byte == b'\t').enumerate() {
        if at > 0 {
            short.put_u8(b'\t');
        }
        match value.len() > walferry_pgoutput::VALUE_BYTES_MAX {
            true => short.extend_from_slice(LEFT_OUT),
            false => short.extend_from_slice(value),
        }
    }
    if ends {
        short.put_u8(b'\n');
    }
    short.freeze()
}

/// Writes the value without its escapes to the front of `to`, which is at least as long, and returns its length.
fn unescape(value: &[u8], to: &mut [u8]) -> Result<usize, Error> {
    let mut from = value.iter().copied().peekable();
    let mut len = 0;
    while let Some(byte) = from.next() {
        let plain = if byte != b'\\' {
            byte
        } else {
            match from.next() {
                None => {
                    return Err(Error::protocol(
                        "a row of COPY ends within an escape: expected a byte after the backslash",
                    ));
                }
                Some(b'b') => 0x08,
                Some(b'f') => 0x0C,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 0x0B,
                Some(b'x') => digits(&mut from, 16, 2).unwrap_or(b'x'),
                Some(first @ b'0'..=b'7') => {
                    let more = digits_after(first - b'0', &mut from, 8, 2);
                    // As in the server, only the low eight bits of three octal digits count.
                    (more & 0xFF) as u8
                }
                Some(other) => other,
            }
        };
        // Each turn takes at least one byte of `value` and writes one, and `to` is at least as long.
        to[len] = plain;
        len += 1;
    }
    Ok(len)
}

type Octets<'a> = std::iter::Peekable<std::iter::Copied<std::slice::Iter<'a, u8>>>;

/// Up to `max` digits; `None` when there is not one.
fn digits(from: &mut Octets<'_>, radix: u32, max: usize) -> Option<u8> {
    let first = from.next_if(|&byte| char::from(byte).is_digit(radix))?;
    let first = char::from(first).to_digit(radix)? as u8;
    Some((digits_after(first, from, radix, max - 1) & 0xFF) as u8)
}

fn digits_after(first: u8, from: &mut Octets<'_>, radix: u32, max: usize) -> u32 {
    let mut value = u32::from(first);
    for _ in 0..max {
        let Some(digit) = from
            .peek()
            .and_then(|&byte| char::from(byte).to_digit(radix))
        else {
            break;
        };
        from.next();
        value = value * radix + digit;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let (mut scratch, mut out) = (vec![7; 3], Vec::new());
        parse_copy_row(line, &mut scratch, &mut out)?;
        Ok(out
            .into_iter()
            .map(|datum| match datum {
                Datum::Text(text) => Some(text.to_vec()),
                _ => None,
            })
            .collect())
    }

    #[test]
    fn values_nulls_and_escapes() {
        let text = |text: &[u8]| Some(text.to_vec());
        for (line, values) in [
            (&b""[..], vec![text(b"")]),
            (b"\t", vec![text(b""), text(b"")]),
            (b"1\t\\N\tx", vec![text(b"1"), None, text(b"x")]),
            (
                b"a\\tb\\nc\\\\d\t\\r\\b\\f\\v",
                vec![text(b"a\tb\nc\\d"), text(b"\r\x08\x0C\x0B")],
            ),
            (b"\\\\N", vec![text(b"\\N")]),
            (b"\\N2", vec![text(b"N2")]),
            (b"\\x41\\x4g\\xzz", vec![text(b"A\x04gxzz")]),
            (b"\\101\\7\\0018\\777", vec![text(b"A\x07\x018\xFF")]),
            (b"\\q", vec![text(b"q")]),
            (b"\\\\x00ff", vec![text(b"\\x00ff")]),
        ] {
            assert_eq!(
                parsed(line).unwrap(),
                values,
                "{:?}",
                line.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_kept_without_its_long_values() {
        let long = vec![b'x'; walferry_pgoutput::VALUE_BYTES_MAX + 1];
        let line = [&b"1\t\\N\t"[..], &long, b"\tend\n"].concat();
        let short = shortened(&line);
        assert_eq!(&short[..], b"1\t\\N\t\\!\tend\n");
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        parse_copy_row(&short[..short.len() - 1], &mut scratch, &mut out).unwrap();
        let expected = [
            Datum::Text(b"1"),
            Datum::Null,
            Datum::Unchanged,
            Datum::Text(b"end"),
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn a_line_that_ends_within_an_escape_is_refused() {
        for line in [&b"\\"[..], b"a\t\\", b"\\\\\\", b"\\\tb"] {
            assert!(
                parsed(line).is_err(),
                "{:?}",
                line.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let line: Vec<u8> = (0..12)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"\\\\\\\tNx07af\xFF\0"[(seed >> 16) as usize % 12]
                })
                .collect();
            if let Ok(values) = parsed(&line) {
                let tabs = line.iter().filter(|&&byte| byte == b'\t').count();
                assert_eq!(values.len(), tabs + 1);
            }
        }
    }
}
