//! Rows off a COPY, gathered to blocks.
//!
//! Owns [`CopyRows`] and [`CopyBlock`]. Never: parses a row ([`parse_copy_row`](crate::parse_copy_row) does).
//! Invariant: a block holds whole rows and at least one.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::{Error, copy_row::shortened};

/// The rows of one COPY.
pub struct CopyRows {
    stream: Pin<Box<CopyOutStream>>,
    doing: String,
    ended: bool,
    /// A row above this many bytes is handed on without its long values.
    row_bytes_max: u64,
}

impl CopyRows {
    pub(super) fn new(stream: CopyOutStream, doing: String, row_bytes_max: u64) -> CopyRows {
        CopyRows {
            stream: Box::pin(stream),
            doing,
            ended: false,
            row_bytes_max,
        }
    }

    /// The next rows; nothing after the last or after an error.
    pub async fn next(&mut self) -> Option<Result<CopyBlock, Error>> {
        if self.ended {
            return None;
        }
        let mut block = CopyBlock::default();
        while block.bytes.len() < BLOCK_BYTES {
            match self.stream.next().await {
                Some(Ok(row)) if row.len() as u64 > self.row_bytes_max => {
                    block.push(&shortened(&row));
                }
                Some(Ok(row)) => block.push(&row),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(Error::client(&self.doing, error)));
                }
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        (!block.bytes.is_empty()).then_some(Ok(block))
    }
}

/// Rows are gathered to blocks of about this size.
const BLOCK_BYTES: usize = 128 << 10;

/// Several rows, for [`parse_copy_row`](crate::parse_copy_row).
#[derive(Clone, Debug, Default)]
pub struct CopyBlock {
    /// Whole lines; each ends with a newline, and holds no other.
    bytes: BytesMut,
}

impl CopyBlock {
    fn push(&mut self, row: &Bytes) {
        if self.bytes.is_empty() {
            self.bytes.reserve(BLOCK_BYTES + row.len());
        }
        self.bytes.extend_from_slice(row);
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.bytes).count()
    }

    /// Each row without its newline. A row without columns is an empty line.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        Lines { rest: &self.bytes }
    }
}

/// The lines of a block from both ends.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(line)
    }
}

impl<'a> DoubleEndedIterator for Lines<'a> {
    fn next_back(&mut self) -> Option<&'a [u8]> {
        let whole = self.rest.strip_suffix(b"\n")?;
        let start = memchr::memrchr(b'\n', whole).map_or(0, |end| end + 1);
        self.rest = &self.rest[..start];
        Some(&whole[start..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_its_rows() {
        let mut block = CopyBlock::default();
        for row in [&b"1\ta\n"[..], b"\n", b"3\t\\n\n"] {
            block.push(&Bytes::copy_from_slice(row));
        }
        let lines: Vec<&[u8]> = block.lines().collect();
        assert_eq!(lines, [&b"1\ta"[..], b"", b"3\t\\n"]);
        let back: Vec<&[u8]> = block.lines().rev().collect();
        assert_eq!(back, [&b"3\t\\n"[..], b"", b"1\ta"]);
        assert_eq!((block.rows(), block.lines().count()), (3, 3));
    }
}
