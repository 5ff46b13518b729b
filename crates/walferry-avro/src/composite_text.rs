//! The text of a row of a composite type, field by field.
//!
//! ```text
//! row      ( field , field … )
//! field    nothing, which is NULL  |  token  |  "token with "" and \\"
//! ```
//!
//! Owns: what a field is. Never: what becomes of it; see [`crate::writer::Composite`].
//! Source: PostgreSQL documentation, "Composite Types", section "Composite Type Input and Output Syntax".

use crate::error::{EncodeErrorKind, Written};

/// Row text that is being read.
pub(crate) struct Row<'a> {
    /// What follows the last comma; `None` behind the last field.
    rest: Option<&'a [u8]>,
    /// A field whose quotes are taken out.
    scratch: Vec<u8>,
}

impl<'a> Row<'a> {
    /// Reads what stands between the parentheses.
    pub(crate) fn new(body: &'a [u8]) -> Row<'a> {
        Row {
            rest: Some(body),
            scratch: Vec::new(),
        }
    }

    /// Whether every field has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_none()
    }

    /// One field, NULL as `None`.
    pub(crate) fn field(&mut self) -> Result<Option<&[u8]>, EncodeErrorKind> {
        let text: &'a [u8] = self.rest.ok_or(EncodeErrorKind::Shape)?;
        if text.first() == Some(&b'"') {
            let end = self.quoted(&text[1..])?;
            return self.pass(end + 1).map(|()| Some(&*self.scratch));
        }
        let end = text
            .iter()
            .position(|byte| b",\"\\()".contains(byte))
            .unwrap_or(text.len());
        self.pass(end)?;
        Ok((end > 0).then_some(&text[..end]))
    }

    /// Ends a field at `end`: a comma follows, or nothing.
    fn pass(&mut self, end: usize) -> Written {
        self.rest = match self.rest.and_then(|rest| rest.get(end..)) {
            Some([]) => None,
            Some([b',', rest @ ..]) => Some(rest),
            _ => return Err(EncodeErrorKind::Malformed),
        };
        Ok(())
    }

    /// Reads what follows an opening quote into `scratch`. Where the text after the closing quote begins.
    fn quoted(&mut self, text: &[u8]) -> Result<usize, EncodeErrorKind> {
        self.scratch.clear();
        let mut at = 0;
        loop {
            match &text[at..] {
                [b'"', b'"', ..] => self.scratch.push(b'"'),
                [b'"', ..] => return Ok(at + 1),
                [b'\\', byte, ..] => self.scratch.push(*byte),
                [byte, ..] if *byte != b'\\' => {
                    self.scratch.push(*byte);
                    at += 1;
                    continue;
                }
                _ => return Err(EncodeErrorKind::Malformed),
            }
            at += 2;
        }
    }
}
