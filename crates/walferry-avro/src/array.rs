//! Array text to Avro arrays.
//!
//! ```text
//! array     [ bounds = ] level
//! bounds    one [low:high] for each dimension, only when a lower bound is not 1
//! level     { }  |  { item delimiter item … }
//! item      level  |  NULL  |  token  |  "token with \" and \\"
//! ```
//!
//! Every array that a schema of `depth` levels holds is written; any other (more or fewer dimensions, lower bounds) is of
//! another [`EncodeErrorKind::Shape`], because it must not be mistaken for one without. An empty array has no dimensions
//! and fits every depth. `int2vector` and `oidvector` are lists: tokens with spaces between them.
//! Invariant: the items are one block whose count stands before it, as Java's encoder writes it, so that equal keys have
//! equal bytes.
//! Source: PostgreSQL documentation, "Arrays", section "Array Input and Output Syntax".

use crate::error::{EncodeErrorKind, Written};
use crate::wire::{self, Block};
use crate::writer::{Slot, Writer};

/// How the arrays of one type are written.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) element: Slot,
    pub(crate) delimiter: u8,
    /// Levels of the schema, 1 or more.
    pub(crate) depth: u32,
    /// Lower bounds are dropped, and what lies a level too deep is NULL ([`crate::Quirk::FlatArrays`]).
    pub(crate) flat: bool,
    /// The placeholder of an unchanged TOAST value has to look like a UUID.
    pub(crate) of_uuid: bool,
    /// There is a placeholder at all.
    pub(crate) has_placeholder: bool,
    /// One NULL among the elements and the array has no value ([`crate::Quirk::OutOfRangeAsNull`]).
    pub(crate) null_spoils: bool,
}

/// The name-based UUID (version 3, RFC 9562) of [`NAMED`], which consumers of Debezium know as the placeholder.
const UUID_OF_NAMED: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";
const NAMED: &str = "__debezium_unavailable_value";

impl Array {
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        let body = match text {
            [b'[', rest @ ..] => {
                let equals = rest.iter().position(|&byte| byte == b'=');
                let equals = equals.ok_or(EncodeErrorKind::Malformed)?;
                if !self.flat {
                    return Err(EncodeErrorKind::Shape);
                }
                &rest[equals + 1..]
            }
            _ => text,
        };
        let mut items = Items {
            rest: body,
            delimiter: self.delimiter,
            scratch: Vec::new(),
        };
        self.level(&mut items, self.depth, out)?;
        items.end()
    }

    fn level(&self, items: &mut Items<'_>, depth: u32, out: &mut Vec<u8>) -> Written {
        items.take(b'{')?;
        let mut block = Block::open(out);
        if items.peek() == Some(b'}') {
            items.take(b'}')?;
            block.close(out);
            return Ok(());
        }
        loop {
            match (items.peek(), depth) {
                (Some(b'{'), 2..) => self.level(items, depth - 1, out)?,
                (Some(b'{'), _) if self.flat => {
                    items.skip_level()?;
                    self.element.write(out, None)?;
                }
                (Some(b'{'), _) | (_, 2..) => return Err(EncodeErrorKind::Shape),
                _ => match items.token()? {
                    None if self.null_spoils => return Err(EncodeErrorKind::OutOfRange),
                    token => self.element.write(out, token)?,
                },
            }
            block.count += 1;
            if !items.another()? {
                block.close(out);
                return Ok(());
            }
        }
    }

    /// The placeholder as the only item; numbers that have room for it are its bytes, one by one.
    pub(crate) fn unavailable(&self, placeholder: &str) -> Option<Box<[u8]>> {
        if self.depth != 1 || !self.has_placeholder {
            return None;
        }
        let placeholder = match placeholder {
            NAMED if self.of_uuid => UUID_OF_NAMED,
            other => other,
        };
        let mut out = Vec::new();
        let mut block = Block::open(&mut out);
        match self.element.writer() {
            Writer::Date => self.codes(placeholder, &mut block, &mut out),
            Writer::Bent(bent) if bent.is_days() => {
                self.codes(placeholder, &mut block, &mut out);
            }
            Writer::Integer { max, .. } if *max >= i64::from(i32::MAX) => {
                self.codes(placeholder, &mut block, &mut out);
            }
            writer => {
                let item = writer.unavailable(placeholder)?;
                self.element.raw(&mut out, &item);
                block.count = 1;
            }
        }
        block.close(&mut out);
        Some(out.into())
    }

    fn codes(&self, placeholder: &str, block: &mut Block, out: &mut Vec<u8>) {
        for byte in placeholder.bytes() {
            let mut item = Vec::new();
            wire::long(&mut item, i64::from(byte));
            self.element.raw(out, &item);
            block.count += 1;
        }
    }
}

/// Array text that is being read.
struct Items<'a> {
    rest: &'a [u8],
    delimiter: u8,
    /// A token whose backslashes are taken out.
    scratch: Vec<u8>,
}

impl Items<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self, byte: u8) -> Written {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(EncodeErrorKind::Malformed),
        }
    }

    fn end(&self) -> Written {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(EncodeErrorKind::Malformed)
        }
    }

    /// Whether another item follows; the level ends otherwise.
    fn another(&mut self) -> Result<bool, EncodeErrorKind> {
        let next = self.peek();
        if next == Some(self.delimiter) {
            self.take(self.delimiter)?;
            return Ok(true);
        }
        self.take(b'}').map(|()| false)
    }

    /// One token, NULL as `None`.
    fn token(&mut self) -> Result<Option<&[u8]>, EncodeErrorKind> {
        if self.peek() == Some(b'"') {
            return self.quoted().map(Some);
        }
        let ends = |&byte: &u8| byte == self.delimiter || b"{}\"\\".contains(&byte);
        let end = self.rest.iter().position(ends);
        let (token, rest) = self.rest.split_at(end.ok_or(EncodeErrorKind::Malformed)?);
        self.rest = rest;
        match token {
            b"" => Err(EncodeErrorKind::Malformed),
            b"NULL" => Ok(None),
            token => Ok(Some(token)),
        }
    }

    fn quoted(&mut self) -> Result<&[u8], EncodeErrorKind> {
        self.take(b'"')?;
        let body = self.rest;
        let special = |from: usize| {
            let found = body[from..].iter().position(|b| matches!(b, b'"' | b'\\'));
            found.map(|at| from + at).ok_or(EncodeErrorKind::Malformed)
        };
        let mut at = special(0)?;
        if body[at] == b'"' {
            self.rest = &body[at + 1..];
            return Ok(&body[..at]);
        }
        self.scratch.clear();
        let mut from = 0;
        while body[at] == b'\\' {
            self.scratch.extend_from_slice(&body[from..at]);
            // The byte after the backslash stands for itself, whatever it is.
            from = at + 1;
            if from == body.len() {
                return Err(EncodeErrorKind::Malformed);
            }
            at = special(from + 1)?;
        }
        self.scratch.extend_from_slice(&body[from..at]);
        self.rest = &body[at + 1..];
        Ok(&self.scratch)
    }

    /// Passes over a level with all that is in it.
    fn skip_level(&mut self) -> Written {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.take(b'{')?;
                    depth += 1;
                }
                Some(b'}') => {
                    self.take(b'}')?;
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Some(byte) if byte == self.delimiter => self.take(byte)?,
                _ => {
                    self.token()?;
                }
            }
        }
    }
}

/// Writes `int2vector` and `oidvector`: an array of integers with spaces between them, no NULL among them.
pub(crate) fn spaced(out: &mut Vec<u8>, text: &[u8], element: &Slot) -> Written {
    let mut block = Block::open(out);
    if !text.is_empty() {
        for token in text.split(|&byte| byte == b' ') {
            element.write(out, Some(token))?;
            block.count += 1;
        }
    }
    block.close(out);
    Ok(())
}
