//! A script of SQL statements, taken apart into its statements.
//!
//! Owns where a statement ends: not in quotes, comments, parentheses or the body of an SQL function. Never judges what a
//! statement does beyond its first words. Whoever runs the statements sends each one by the extended protocol, which
//! takes one statement at a time, so that a mistake here is an error and not a second statement.
//! Source: PostgreSQL documentation, "Lexical Structure".
//! Start reading at [`statements`].

/// A statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Line of its first word, from 1.
    pub line: usize,
    /// Its text, without the semicolon.
    pub text: String,
    /// Its words outside of quotes and comments in capitals, the first few.
    words: Vec<String>,
}

/// Words of a statement that are looked at.
const WORDS_MAX: usize = 4;

impl Statement {
    /// Why the statement cannot be tried in a transaction of ours: it would end it, or it is not SQL of the server's.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.text.starts_with('\\') {
            return Some("is a command of psql; a script may only hold SQL");
        }
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [
                "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT",
                ..,
            ]
            | ["PREPARE", "TRANSACTION", ..] => match words.as_slice() {
                ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..] => None,
                _ => Some("begins or ends a transaction; the script is tried in one of its own"),
            },
            ["COPY", ..] => Some("copies rows, which a trial does not"),
            _ => None,
        }
    }
}

/// The statements of a script, in order. Empty ones are left out.
pub fn statements(script: &str) -> Vec<Statement> {
    let mut lexer = Lexer {
        text: script,
        at: 0,
    };
    let mut found = Vec::new();
    let mut open = Open::default();
    while let Some(token) = lexer.next() {
        match token {
            Token::Blank => {}
            Token::Semicolon if open.may_end() => found.extend(open.take(script)),
            token => open.add(token, &lexer),
        }
    }
    found.extend(open.take(script));
    found
}

/// The statement under way.
#[derive(Default)]
struct Open {
    start: Option<usize>,
    end: usize,
    words: Vec<String>,
    parentheses: u32,
    /// Open BEGIN ATOMIC and CASE in the body of an SQL function.
    blocks: u32,
}

impl Open {
    fn may_end(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }

    fn add(&mut self, token: Token<'_>, lexer: &Lexer<'_>) {
        self.start.get_or_insert(lexer.at - token.len());
        self.end = lexer.at;
        match token {
            Token::Word(word) => {
                let word = word.to_uppercase();
                self.block(&word);
                if self.words.len() < WORDS_MAX {
                    self.words.push(word);
                }
            }
            Token::Other("(") => self.parentheses += 1,
            Token::Other(")") => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
    }

    /// The body of an SQL function is `BEGIN ATOMIC … END`, with semicolons and `CASE … END` in it.
    fn block(&mut self, word: &str) {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let routine = matches!(
            words.as_slice(),
            ["CREATE", "FUNCTION" | "PROCEDURE", ..]
                | ["CREATE", "OR", "REPLACE", "FUNCTION" | "PROCEDURE", ..]
        );
        match word {
            "BEGIN" if routine => self.blocks += 1,
            "CASE" if self.blocks > 0 => self.blocks += 1,
            "END" => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
    }

    fn take(&mut self, script: &str) -> Option<Statement> {
        let open = std::mem::take(self);
        let start = open.start?;
        Some(Statement {
            line: script[..start].matches('\n').count() + 1,
            text: script[start..open.end].to_owned(),
            words: open.words,
        })
    }
}

/// A piece of a script.
enum Token<'a> {
    /// White space or a comment.
    Blank,
    Semicolon,
    /// A key word or a name without quotes.
    Word(&'a str),
    /// Something in quotes.
    Quoted(&'a str),
    Other(&'a str),
}

impl Token<'_> {
    fn len(&self) -> usize {
        match self {
            Token::Blank => 0,
            Token::Semicolon => 1,
            Token::Word(text) | Token::Quoted(text) | Token::Other(text) => text.len(),
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            self.at += first.len_utf8();
            return Some(Token::Blank);
        }
        if rest.starts_with("--") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Some(Token::Blank);
        }
        if rest.starts_with("/*") {
            self.at += comment(rest);
            return Some(Token::Blank);
        }
        let escapes = rest.starts_with(['e', 'E']) && rest[1..].starts_with('\'');
        let (len, make): (usize, fn(&'a str) -> Token<'a>) = match first {
            ';' => (1, |_| Token::Semicolon),
            '\'' => (quoted(rest, '\'', false), Token::Quoted),
            '"' => (quoted(rest, '"', false), Token::Quoted),
            _ if escapes => (1 + quoted(&rest[1..], '\'', true), Token::Quoted),
            '$' => match dollars(rest) {
                Some(len) => (len, Token::Quoted),
                None => (1, Token::Other),
            },
            _ if is_word(first) => {
                let end = rest.find(|c: char| !is_word(c) && c != '$' && !c.is_ascii_digit());
                (end.unwrap_or(rest.len()), Token::Word)
            }
            _ => (first.len_utf8(), Token::Other),
        };
        self.at += len;
        Some(make(&rest[..len]))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Length of a comment, which may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        let Some(next) = rest.find(['/', '*']) else {
            return text.len();
        };
        let rest = &rest[next..];
        at += next;
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Length of a quoted text. A doubled quote reads as the end of one text and the start of the next, which ends at the
/// same place.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Length of a text in dollar quotes; none when the dollar does not open any.
fn dollars(text: &str) -> Option<usize> {
    let tag_end = 1 + text[1..].find('$')?;
    let tag = &text[..=tag_end];
    let name = &tag[1..tag_end];
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    if !starts_well || !name.chars().all(|c| is_word(c) || c.is_ascii_digit()) {
        return None;
    }
    let body = tag.len();
    Some(match text[body..].find(tag) {
        Some(end) => body + end + tag.len(),
        None => text.len(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(script: &str) -> Vec<String> {
        statements(script).into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn statements_end_at_semicolons_that_stand_alone() {
        for (script, expected) in [
            ("", &[][..]),
            (" ; ;-- none\n;", &[]),
            ("select 1", &["select 1"]),
            ("a;b ; c", &["a", "b", "c"]),
            ("select ';', \"x;y\"; b", &["select ';', \"x;y\"", "b"]),
            ("select 'it''s; so'; b", &["select 'it''s; so'", "b"]),
            (r"select e'\';'; b", &[r"select e'\';'", "b"]),
            ("select $$;$$; b", &["select $$;$$", "b"]),
            (
                "do $x$ begin; $$ end; $x$; b",
                &["do $x$ begin; $$ end; $x$", "b"],
            ),
            ("a $1; b", &["a $1", "b"]),
            ("/* ; /* ; */ ; */ a; b", &["a", "b"]),
            ("a -- ;\n, c; b", &["a -- ;\n, c", "b"]),
            (
                "create rule r as on insert to t do (a; b); c",
                &["create rule r as on insert to t do (a; b)", "c"],
            ),
            (
                "create or replace function f() returns int begin atomic; select case when true then 1 end; end; b",
                &[
                    "create or replace function f() returns int begin atomic; select case when true then 1 end; end",
                    "b",
                ],
            ),
            ("select 'open; b", &["select 'open; b"]),
        ] {
            assert_eq!(texts(script), expected, "{script}");
        }
    }

    #[test]
    fn a_statement_knows_its_line() {
        let lines: Vec<usize> = statements("a;\n-- note\n\n b;\nc")
            .iter()
            .map(|it| it.line)
            .collect();
        assert_eq!(lines, [1, 4, 5]);
    }

    #[test]
    fn what_would_end_the_transaction_is_refused() {
        for (script, refused) in [
            ("commit", true),
            ("/* x */ Commit", true),
            ("begin", true),
            ("rollback", true),
            ("rollback to savepoint s", false),
            ("rollback work to s", false),
            ("prepare transaction 'x'", true),
            ("prepare x as select 1", false),
            ("end", true),
            ("\\i file", true),
            ("copy t from stdin", true),
            ("alter table t add column commit int", false),
            ("savepoint s", false),
        ] {
            let statement = &statements(script)[0];
            assert_eq!(statement.refusal().is_some(), refused, "{script}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_panic(script in "[ab;'\"$/*\\-\n\\\\()eE1é]{0,40}") {
            for statement in statements(&script) {
                prop_assert!(script.contains(&statement.text));
                prop_assert!(!statement.text.is_empty());
            }
        }
    }
}
