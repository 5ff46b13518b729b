//! Column defaults: `pg_get_expr` text to a constant.
//!
//! ```text
//! expression   primary { :: type }
//! primary      'text' | E'text' | B'bits' | [-] number | true | false | NULL | ( expression )
//! ```
//!
//! Anything else is a function of something, and no constant. A cast is taken at its word: the
//! column's own writer then refuses what is not in its type's text form (`'now'::text::date`).
//! Source: PostgreSQL documentation, "System Information Functions", `pg_get_expr`.

/// What a default expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// `NULL`: as if there were none.
    Null,
    /// A value in the text form of its type.
    Constant(String),
    /// To be computed for each row.
    Function,
}

/// Reads the text of a default.
pub(crate) fn parse(text: &str) -> Expression {
    match expression(text.trim()) {
        Some((value, rest)) if rest.trim().is_empty() => value,
        _ => Expression::Function,
    }
}

fn expression(text: &str) -> Option<(Expression, &str)> {
    let (value, mut rest) = primary(text.trim_start())?;
    while let Some(cast) = rest.trim_start().strip_prefix("::") {
        rest = after_type_name(cast)?;
    }
    Some((value, rest))
}

fn primary(text: &str) -> Option<(Expression, &str)> {
    if let Some(inner) = text.strip_prefix('(') {
        let (value, rest) = expression(inner)?;
        return Some((value, rest.trim_start().strip_prefix(')')?));
    }
    if let Some(body) = text.strip_prefix('\'') {
        return quoted(body, false);
    }
    if let Some(body) = text.strip_prefix("B'") {
        return quoted(body, false);
    }
    if let Some(body) = text.strip_prefix("E'") {
        return quoted(body, true);
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-'))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word {
        "NULL" => Expression::Null,
        "true" => Expression::Constant("t".to_owned()),
        "false" => Expression::Constant("f".to_owned()),
        number if is_number(number) => Expression::Constant(number.to_owned()),
        _ => return None,
    };
    Some((value, rest))
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.chars().filter(|c| *c == '.').count() <= 1
        && digits.len() > usize::from(digits.starts_with('.'))
}

/// A string whose opening quote has been read.
fn quoted(body: &str, escapes: bool) -> Option<(Expression, &str)> {
    let mut value = String::new();
    let mut chars = body.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
            '\'' => return Some((Expression::Constant(value), &body[at + 1..])),
            // `pg_get_expr` writes no escape but the doubled backslash.
            '\\' if escapes => match chars.next()?.1 {
                '\\' => value.push('\\'),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

/// Skips a type name: words and quoted words with dots between them, then modifiers and brackets.
/// `character varying(10)`, `timestamp(3) with time zone`, `inventory."Order ""Status"""`, `text[]`.
fn after_type_name(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    let mut in_quotes = false;
    let mut depth = 0_u32;
    let mut end = text.len();
    for (at, c) in chars.by_ref() {
        match c {
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' if depth > 0 => {}
            ')' | ':' => {
                end = at;
                break;
            }
            c if c.is_alphanumeric() || "_$. []".contains(c) => {}
            _ => return None,
        }
    }
    (!in_quotes && depth == 0 && !text[..end].trim().is_empty()).then_some(&text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_as_the_catalog_prints_them() {
        for (text, expected) in [
            ("0", "0"),
            ("1.5", "1.5"),
            ("'-5'::integer", "-5"),
            ("'9223372036854775807'::bigint", "9223372036854775807"),
            ("true", "t"),
            ("B'0110'::\"bit\"", "0110"),
            ("'01:00:00'::interval", "01:00:00"),
            ("'x'::text", "x"),
            ("'it''s'::character varying", "it's"),
            ("'abc'::character varying(10)", "abc"),
            ("('abc'::text)::character varying(10)", "abc"),
            ("'new'::inventory.order_status", "new"),
            ("'DRAFT'::\"Quoted \"\"Type\"\"\"", "DRAFT"),
            ("(5)::bigint", "5"),
            ("(0)::numeric(12,2)", "0"),
            ("'NULL'::text", "NULL"),
            ("'text(parens)'::text", "text(parens)"),
            (
                "'2021-03-20 13:44:28+00'::timestamp(3) with time zone",
                "2021-03-20 13:44:28+00",
            ),
            ("E'a\\\\b'::text", "a\\b"),
            ("'žluť 😀'::text", "žluť 😀"),
            ("''::text", ""),
        ] {
            assert_eq!(
                parse(text),
                Expression::Constant(expected.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_else_is_a_function_or_null() {
        assert_eq!(parse("NULL"), Expression::Null);
        assert_eq!(parse("NULL::character varying"), Expression::Null);
        for text in [
            "now()",
            "CURRENT_TIMESTAMP",
            "nextval('t_id_seq'::regclass)",
            "('a'::text || 'b'::text)",
            "'a'::text || 'b'::text",
            "('now'::text)::date || ''",
            "(1 + 2)",
            "1 + 2",
            "div((2)::numeric, (1)::numeric)",
            "ARRAY[1, 2]",
            "'open",
            "(1",
            "1)",
            "'x'::",
            "",
            ".",
            "-",
            "1.2.3",
            "E'\\n'::text",
        ] {
            assert_eq!(parse(text), Expression::Function, "{text}");
        }
    }
}
