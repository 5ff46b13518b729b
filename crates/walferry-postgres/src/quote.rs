//! Names and literals of SQL and of replication commands, quoted so that no name can end them.
//!
//! Owns the quoting of everything that this crate puts into command text. Never: checks that a name exists.
//! Invariant: identifiers and literals from configuration or the catalog enter a command only through here.
//! Source: PostgreSQL documentation, "Lexical Structure", identifiers and string constants.

/// An identifier in double quotes: `we"ird` becomes `"we""ird"`.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant in single quotes; with a backslash inside it becomes an escape string, which means the same under
/// every setting of `standard_conforming_strings`.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// `"schema"."table"`.
pub fn quote_table(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// A string constant of a replication command. Its grammar knows neither `E''` nor backslash escapes.
pub(crate) fn quote_replication_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_their_quotes() {
        assert_eq!(quote_ident("we\"ird"), "\"we\"\"ird\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(quote_table("S", "a.b"), "\"S\".\"a.b\"");
        assert_eq!(quote_replication_literal("\"a\\'b\""), "'\"a\\''b\"'");
    }
}
