//! Composite text to Avro records.
//!
//! ```text
//! row      ( field , field … )
//! field    nothing, which is NULL  |  token  |  "token with "" and \\"
//! ```
//!
//! A row with another number of fields than the type has now, or with one that is not in its type's text form, was
//! written by an earlier or later version of the type: it is of another [`EncodeErrorKind::Shape`].
//! Source: PostgreSQL documentation, "Composite Types", section "Composite Type Input and Output Syntax".

use crate::error::{EncodeErrorKind, Written};
use crate::writer::Slot;

/// How the rows of one composite type are written.
#[derive(Clone, Debug)]
pub(crate) struct Composite {
    pub(crate) fields: Box<[Slot]>,
}

impl Composite {
    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        let [b'(', body @ .., b')'] = text else {
            return Err(EncodeErrorKind::Malformed);
        };
        // A type without fields has rows without any; one field that is NULL looks the same.
        if self.fields.is_empty() {
            return if body.is_empty() {
                Ok(())
            } else {
                Err(EncodeErrorKind::Shape)
            };
        }
        let mut row = Row {
            rest: Some(body),
            scratch: Vec::new(),
        };
        for slot in &self.fields {
            slot.write(out, row.field()?).map_err(|kind| match kind {
                EncodeErrorKind::Malformed => EncodeErrorKind::Shape,
                kind => kind,
            })?;
        }
        match row.rest {
            None => Ok(()),
            Some(_) => Err(EncodeErrorKind::Shape),
        }
    }
}

/// Row text that is being read.
struct Row<'a> {
    /// What follows the last comma; `None` behind the last field.
    rest: Option<&'a [u8]>,
    /// A field whose quotes are taken out.
    scratch: Vec<u8>,
}

impl<'a> Row<'a> {
    /// One field, NULL as `None`.
    fn field(&mut self) -> Result<Option<&[u8]>, EncodeErrorKind> {
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
