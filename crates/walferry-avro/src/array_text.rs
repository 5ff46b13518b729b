//! The text of an array, token by token.
//!
//! ```text
//! array     [ bounds = ] level
//! bounds    one [low:high] for each dimension, only when a lower bound is not 1
//! level     { }  |  { item delimiter item … }
//! item      level  |  NULL  |  token  |  "token with \" and \\"
//! ```
//!
//! Owns: what a token is. Never: what becomes of it; see [`crate::writer::Array`].
//! Source: PostgreSQL documentation, "Arrays", section "Array Input and Output Syntax".

use crate::error::{EncodeErrorKind, Written};

/// Array text that is being read.
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    delimiter: u8,
    /// A token whose backslashes are taken out.
    scratch: Vec<u8>,
}

impl<'a> Items<'a> {
    pub(crate) fn new(text: &'a [u8], delimiter: u8) -> Items<'a> {
        Items {
            rest: text,
            delimiter,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn take(&mut self, byte: u8) -> Written {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(EncodeErrorKind::Malformed),
        }
    }

    pub(crate) fn end(&self) -> Written {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(EncodeErrorKind::Malformed)
        }
    }

    /// Whether another item follows; the level ends otherwise.
    pub(crate) fn another(&mut self) -> Result<bool, EncodeErrorKind> {
        let next = self.peek();
        if next == Some(self.delimiter) {
            self.take(self.delimiter)?;
            return Ok(true);
        }
        self.take(b'}').map(|()| false)
    }

    /// One token, NULL as `None`.
    pub(crate) fn token(&mut self) -> Result<Option<&[u8]>, EncodeErrorKind> {
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
    pub(crate) fn skip_level(&mut self) -> Written {
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
