//! `hstore` text to a JSON object or an Avro map.
//!
//! ```text
//! hstore   nothing  |  pair, pair …
//! pair     "key"=>"value"  |  "key"=>NULL         \" and \\ inside the quotes
//! ```
//!
//! Pairs keep PostgreSQL's order (shorter keys first), unless [`Order::Java`] asks for the order of a Java `HashMap`.
//! Source: PostgreSQL documentation, "hstore", section "External Representation".

use crate::error::{EncodeErrorKind, Written};
use crate::java;
use crate::json::quoted;
use crate::wire::{self, BRANCH_0, BRANCH_1, Block};

/// What an `hstore` becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string that holds a JSON object of strings and nulls.
    Json(Order),
    /// A map of strings and nulls.
    Map(Order),
}

/// In which order the pairs stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As PostgreSQL sends them.
    AsSent,
    /// As a Java `HashMap` holds them.
    Java,
}

type Pair = (String, Option<String>);

/// Writes an `hstore`.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8], form: Form) -> Written {
    let text = std::str::from_utf8(text).map_err(|_| EncodeErrorKind::NotUtf8)?;
    let mut pairs = parse(text).ok_or(EncodeErrorKind::Malformed)?;
    let (Form::Json(order) | Form::Map(order)) = form;
    if order == Order::Java {
        java::hash_order(&mut pairs, |(key, _)| key);
    }
    raw(out, &pairs, form);
    Ok(())
}

/// An `hstore` that says only that its value is not known.
pub(crate) fn unavailable(placeholder: &str, form: Form) -> Box<[u8]> {
    let mut out = Vec::new();
    let pair = (placeholder.to_owned(), Some(placeholder.to_owned()));
    raw(&mut out, &[pair], form);
    out.into()
}

fn raw(out: &mut Vec<u8>, pairs: &[Pair], form: Form) {
    match form {
        Form::Json(_) => {
            let mut json = vec![b'{'];
            for (key, value) in pairs {
                if json.len() > 1 {
                    json.push(b',');
                }
                quoted(key.as_bytes(), &mut json);
                json.push(b':');
                match value {
                    Some(value) => quoted(value.as_bytes(), &mut json),
                    None => json.extend_from_slice(b"null"),
                }
            }
            json.push(b'}');
            wire::bytes(out, &json);
        }
        Form::Map(_) => {
            let mut block = Block::open(out);
            for (key, value) in pairs {
                wire::bytes(out, key.as_bytes());
                match value {
                    Some(value) => {
                        out.push(BRANCH_1);
                        wire::bytes(out, value.as_bytes());
                    }
                    None => out.push(BRANCH_0),
                }
                block.count += 1;
            }
            block.close(out);
        }
    }
}

fn parse(mut text: &str) -> Option<Vec<Pair>> {
    let mut pairs = Vec::new();
    if text.is_empty() {
        return Some(pairs);
    }
    loop {
        let (key, rest) = token(text)?;
        let rest = rest.strip_prefix("=>")?;
        let (value, rest) = match rest.strip_prefix("NULL") {
            Some(rest) => (None, rest),
            None => {
                let (value, rest) = token(rest)?;
                (Some(value), rest)
            }
        };
        pairs.push((key, value));
        if rest.is_empty() {
            return Some(pairs);
        }
        text = rest.strip_prefix(", ")?;
    }
}

/// A quoted token, and what follows it.
fn token(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &body[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_with_their_escapes() {
        let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(ToOwned::to_owned));
        assert_eq!(parse(""), Some(vec![]));
        assert_eq!(
            parse(r#""a"=>"b", "c \"d\""=>NULL, "\\"=>"NULL""#),
            Some(vec![
                pair("a", Some("b")),
                pair("c \"d\"", None),
                pair("\\", Some("NULL")),
            ])
        );
        for text in [
            " ",
            "a=>b",
            r#""a"=>"#,
            r#""a"=>"b","#,
            r#""a"=>"b", "#,
            r#""a"#,
            r#""a"=>"\"#,
            r#""a"=>null"#,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
