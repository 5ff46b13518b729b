//! Reads the text of `test_decoding`, the witness's language.
//!
//! Owns: the grammar of its lines. Never: I/O. A line that does not fit is an error, never a change left out.
//!
//! ```text
//! BEGIN 731
//! table public."My t": INSERT: id[integer]:1 note[text]:'it''s' blob[bytea]:null
//! table public.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 big[text]:unchanged-toast-datum
//! table public.t: DELETE: id[integer]:2            (or: DELETE: (no-tuple-data))
//! table public.a, public.b: TRUNCATE: (no-flags)
//! COMMIT 731 (at 2026-11-24 12:00:00.123456+00)
//! ```
//! Source: `contrib/test_decoding/test_decoding.c` of PostgreSQL 14 to 18.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::canonical;
use super::change::{Op, Row, Value};

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A transaction begins.
    Begin(u32),
    /// A transaction is over.
    Commit(u32),
    /// A row changed, or tables were truncated.
    Change(LineChange),
    /// A logical message, which the checker does not follow.
    Other,
}

/// The change that a line tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineChange {
    /// `schema.table`, several for a truncate.
    pub tables: Vec<String>,
    /// What happened.
    pub op: Op,
    /// Old tuple.
    pub old: Option<Row>,
    /// New tuple.
    pub new: Option<Row>,
}

/// Reads one line.
pub(super) fn parse(line: &str) -> Result<Line> {
    if let Some(rest) = line.strip_prefix("BEGIN") {
        return Ok(Line::Begin(xid(rest)?));
    }
    if let Some(rest) = line.strip_prefix("COMMIT") {
        return Ok(Line::Commit(xid(rest)?));
    }
    let Some(rest) = line.strip_prefix("table ") else {
        if line.starts_with("message:") {
            return Ok(Line::Other);
        }
        bail!("a line of test_decoding begins with neither BEGIN, COMMIT, table nor message");
    };
    let mut cursor = Cursor { text: rest };
    let mut tables = vec![cursor.qualified_name()?];
    while cursor.take(", ") {
        tables.push(cursor.qualified_name()?);
    }
    cursor.expect(": ")?;
    let verb = cursor.until(':')?;
    cursor.take(" ");
    let change = match verb {
        "INSERT" => LineChange {
            tables,
            op: Op::Create,
            old: None,
            new: cursor.tuple()?,
        },
        "DELETE" => LineChange {
            tables,
            op: Op::Delete,
            old: cursor.tuple()?,
            new: None,
        },
        "TRUNCATE" => LineChange {
            tables,
            op: Op::Truncate,
            old: None,
            new: None,
        },
        "UPDATE" => {
            let old = if cursor.take("old-key:") {
                cursor.take(" ");
                let old = cursor.tuple()?;
                cursor.take(" ");
                cursor.expect("new-tuple:")?;
                cursor.take(" ");
                old
            } else {
                None
            };
            LineChange {
                tables,
                op: Op::Update,
                old,
                new: cursor.tuple()?,
            }
        }
        other => bail!("test_decoding tells of an unknown {other}"),
    };
    Ok(Line::Change(change))
}

fn xid(rest: &str) -> Result<u32> {
    let digits = rest
        .split_whitespace()
        .next()
        .context("a BEGIN or COMMIT without xid; set include-xids")?;
    digits.parse().context("the xid is not a number")
}

struct Cursor<'a> {
    text: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.text.strip_prefix(prefix) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, prefix: &str) -> Result<()> {
        if !self.take(prefix) {
            bail!("expected {prefix:?} in a line of test_decoding");
        }
        Ok(())
    }

    fn until(&mut self, end: char) -> Result<&'a str> {
        let (head, tail) = self
            .text
            .split_once(end)
            .with_context(|| format!("no {end:?} in a line of test_decoding"))?;
        self.text = tail;
        Ok(head)
    }

    fn qualified_name(&mut self) -> Result<String> {
        let schema = self.identifier()?;
        self.expect(".")?;
        Ok(format!("{schema}.{}", self.identifier()?))
    }

    /// A name, quoted or not. An unquoted one holds letters, digits and underscores only.
    fn identifier(&mut self) -> Result<String> {
        if self.take("\"") {
            return self.quoted('"');
        }
        let end = self
            .text
            .find(['.', '[', ':', ','])
            .context("a name has no end")?;
        let (name, rest) = self.text.split_at(end);
        self.text = rest;
        Ok(name.to_owned())
    }

    /// What follows an opening quote, up to the closing one; a doubled quote stands for one.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let mut text = String::new();
        loop {
            let at = self.text.find(quote).context("a quoted text has no end")?;
            text.push_str(&self.text[..at]);
            self.text = &self.text[at + 1..];
            if !self.text.starts_with(quote) {
                return Ok(text);
            }
            text.push(quote);
            self.text = &self.text[1..];
        }
    }

    /// Columns up to the end of the line or the `new-tuple:` mark.
    fn tuple(&mut self) -> Result<Option<Row>> {
        if self.take("(no-tuple-data)") {
            return Ok(None);
        }
        let mut row = Vec::new();
        while !self.text.is_empty() && !self.text.starts_with("new-tuple:") {
            let name = self.identifier()?;
            self.expect("[")?;
            let type_name = self.type_name()?;
            self.expect(":")?;
            row.push((
                Arc::from(canonical::column_name(&name)),
                self.literal(type_name)?,
            ));
            if !self.text.is_empty() && !self.text.starts_with(" new-tuple:") {
                self.expect(" ")?;
            } else {
                break;
            }
        }
        Ok(Some(Row(row)))
    }

    /// A type's name up to its closing bracket; it may hold brackets (`integer[]`) and quoted parts.
    fn type_name(&mut self) -> Result<&'a str> {
        let (mut depth, mut in_quotes) = (1, false);
        for (at, letter) in self.text.char_indices() {
            match letter {
                '"' => in_quotes = !in_quotes,
                '[' if !in_quotes => depth += 1,
                ']' if !in_quotes => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let name = &self.text[..at];
                self.text = &self.text[at + 1..];
                return Ok(name);
            }
        }
        bail!("a type's name has no end");
    }

    fn literal(&mut self, type_name: &str) -> Result<Value> {
        let bits = self.text.starts_with("B'");
        if bits {
            self.text = &self.text[1..];
        }
        if self.take("'") {
            let text = self.quoted('\'')?;
            return Ok(Value::Text(canonical::from_postgres(type_name, &text)?));
        }
        let end = self.text.find(' ').unwrap_or(self.text.len());
        let (token, rest) = self.text.split_at(end);
        self.text = rest;
        Ok(match token {
            "null" => Value::Null,
            "unchanged-toast-datum" => Value::Unchanged,
            _ => Value::Text(canonical::from_postgres(type_name, token)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, op: Op, tables: &[&str], old: Option<&str>, new: Option<&str>) {
        let Line::Change(change) = parse(line).unwrap() else {
            panic!("not a change: {line}")
        };
        assert_eq!(change.op, op, "{line}");
        assert_eq!(change.tables, tables, "{line}");
        assert_eq!(
            change.old.map(|row| row.to_string()).as_deref(),
            old,
            "{line}"
        );
        assert_eq!(
            change.new.map(|row| row.to_string()).as_deref(),
            new,
            "{line}"
        );
    }

    #[test]
    fn transactions_are_marked_by_xid() {
        assert_eq!(parse("BEGIN 731").unwrap(), Line::Begin(731));
        assert_eq!(
            parse("COMMIT 731 (at 2026-11-24 12:00:00.1+00)").unwrap(),
            Line::Commit(731)
        );
        assert_eq!(
            parse("message: transactional: 1 prefix: p, sz: 1 content:x").unwrap(),
            Line::Other
        );
    }

    #[test]
    fn names_types_and_literals_in_every_form() {
        check(
            "table public.\"My \"\"t\": INSERT: id[integer]:1 \"a b\"[character varying]:'it''s new-tuple: x' \
             n[numeric]:-1.50 arr[integer[]]:'{1,2}' b[boolean]:true z[text]:null bits[bit]:B'101'",
            Op::Create,
            &["public.My \"t"],
            None,
            Some("id=1 a_b=it's new-tuple: x n=-1.5 arr={1,2} b=true z=null bits=101"),
        );
        check(
            "table s.t: INSERT: e[\"Odd]type\"]:'x'",
            Op::Create,
            &["s.t"],
            None,
            Some("e=x"),
        );
    }

    #[test]
    fn updates_with_and_without_old_key() {
        check(
            "table public.t: UPDATE: id[bigint]:7 big[text]:unchanged-toast-datum",
            Op::Update,
            &["public.t"],
            None,
            Some("id=7 big=(unchanged)"),
        );
        check(
            "table public.t: UPDATE: old-key: id[bigint]:6 new-tuple: id[bigint]:7 t[text]:''",
            Op::Update,
            &["public.t"],
            Some("id=6"),
            Some("id=7 t="),
        );
    }

    #[test]
    fn deletes_and_truncates() {
        check(
            "table public.t: DELETE: id[bigint]:6",
            Op::Delete,
            &["public.t"],
            Some("id=6"),
            None,
        );
        check(
            "table public.t: DELETE: (no-tuple-data)",
            Op::Delete,
            &["public.t"],
            None,
            None,
        );
        check(
            "table public.a, public.b: TRUNCATE: restart_seqs cascade",
            Op::Truncate,
            &["public.a", "public.b"],
            None,
            None,
        );
    }

    #[test]
    fn a_broken_line_is_an_error() {
        for line in [
            "",
            "BEGIN",
            "table public.t",
            "table public.t: INSERT: id",
            "table public.t: INSERT: id[integer:1",
            "table public.t: INSERT: id[text]:'x",
            "table public.t: MERGE: id[integer]:1",
            "table public.t: UPDATE: old-key: id[integer]:1",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
