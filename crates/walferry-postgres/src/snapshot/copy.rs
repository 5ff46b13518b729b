//! Rows off a COPY, gathered to blocks.
//!
//! Owns [`CopyRows`] and [`CopyBlock`]. Never: parses a row ([`parse_copy_row`](crate::parse_copy_row) does).
//! Invariant: a block holds whole rows and at least one.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::Error;

/// The rows of one COPY.
pub struct CopyRows {
    stream: Pin<Box<CopyOutStream>>,
    doing: String,
    ended: bool,
}

impl CopyRows {
    pub(super) fn new(stream: CopyOutStream, doing: String) -> CopyRows {
        CopyRows {
            stream: Box::pin(stream),
            doing,
            ended: false,
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

    /// Each row without its newline.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let whole = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        // A row without columns is an empty line; a block without rows is never handed out.
        whole.split(|&byte| byte == b'\n')
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
    }
}
