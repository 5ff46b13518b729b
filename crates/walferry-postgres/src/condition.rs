//! A condition that somebody wrote, before it becomes a part of a command: one expression and nothing else.
//!
//! Owns the lexical rules. The text is put into parentheses in a command that can do more than look at rows, so before the server sees
//! it, it must be certain that it cannot end them. Where the server would read a text in another way than these rules, it is refused
//! rather than guessed: strings that go on in the next line, names with Unicode escapes, parameters.
//! Never: knows what a function does ([`Catalog::check_condition`](crate::Catalog) asks the server).
//! Invariant: in a condition that is taken, brackets are balanced outside of quotes and comments, and nothing is left open.
//! Source: PostgreSQL documentation, "Lexical Structure", with `standard_conforming_strings` on as all sessions here have it.
//! Start reading at [`functions`].

/// A function that an expression calls: its schema when that is written, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

/// Longer ones are not taken.
const BYTES_MAX: usize = 16 << 10;
/// Brackets inside each other.
const DEPTH_MAX: usize = 100;
/// Words of a question inside the expression. Each is reserved, so that none is a column's name unless it is quoted.
const QUESTIONS: [&str; 3] = ["select", "table", "values"];

/// The functions that a condition calls, or why it is not one expression over the columns of a table.
pub(crate) fn functions(sql: &str) -> Result<Vec<Call>, String> {
    if sql.len() > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    let mut lexer = Lexer { rest: sql };
    let mut brackets = Vec::new();
    let mut calls = Vec::new();
    // The name that ends here, with what was written before its last point.
    let (mut name, mut before): (Option<String>, Option<String>) = (None, None);
    let (mut point, mut string, mut any) = (false, false, false);
    while let Some(token) = lexer.next()? {
        any = true;
        if string && token == Token::String {
            return Err("a string follows another one: write both as one".into());
        }
        string = token == Token::String;
        match token {
            Token::Word(word) if QUESTIONS.contains(&&*word) && !point => {
                return Err(format!(
                    "it has a question of its own ({}): a condition may only look at columns of its table",
                    word.to_uppercase()
                ));
            }
            Token::Word(word) | Token::Name(word) => {
                before = name.take().filter(|_| point);
                name = Some(word);
                point = false;
                continue;
            }
            Token::Point => {
                point = name.is_some();
                continue;
            }
            Token::Open(bracket) => {
                if brackets.len() == DEPTH_MAX {
                    return Err(format!("its brackets are more than {DEPTH_MAX} deep"));
                }
                brackets.push(bracket);
                if let Some(name) = name.take().filter(|_| bracket == '(') {
                    let schema = before.take();
                    calls.push(Call { schema, name });
                }
            }
            Token::Close(bracket) => {
                let open = if bracket == ')' { '(' } else { '[' };
                if brackets.pop() != Some(open) {
                    return Err(format!("a {bracket} closes nothing"));
                }
            }
            Token::String | Token::Other => {}
        }
        (name, before, point) = (None, None, false);
    }
    match brackets.last() {
        Some(bracket) => Err(format!("a {bracket} is not closed")),
        None if !any => Err("it is empty".into()),
        None => Ok(calls),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A name or key word, as the server folds it.
    Word(String),
    /// A name in double quotes.
    Name(String),
    String,
    Point,
    Open(char),
    Close(char),
    Other,
}

struct Lexer<'a> {
    rest: &'a str,
}

impl Lexer<'_> {
    /// The next token; white space and comments are passed over.
    fn next(&mut self) -> Result<Option<Token>, String> {
        loop {
            // No other characters are white space to the server.
            let blank = |c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
            self.rest = self.rest.trim_start_matches(blank);
            if self.rest.starts_with("--") {
                let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if self.rest.starts_with("/*") {
                self.comment()?;
            } else {
                break;
            }
        }
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '\'' => self.quoted(false)?,
            '"' => Token::Name(self.name()?),
            '$' => self.dollars()?,
            ';' => return Err("a semicolon ends it: it has to be one expression".into()),
            '\\' => return Err("a backslash stands outside of a string".into()),
            '\0' => return Err("it has a zero byte".into()),
            '(' | '[' => self.take(Token::Open(first)),
            ')' | ']' => self.take(Token::Close(first)),
            '.' => self.take(Token::Point),
            _ if is_name(first) => return self.word().map(Some),
            _ => {
                self.rest = &self.rest[first.len_utf8()..];
                Token::Other
            }
        };
        Ok(Some(token))
    }

    fn take(&mut self, token: Token) -> Token {
        self.rest = &self.rest[1..];
        token
    }

    fn word(&mut self) -> Result<Token, String> {
        let more = |c: char| is_name(c) || c.is_ascii_digit() || c == '$';
        let end = self.rest.find(|c| !more(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let word = word.to_ascii_lowercase();
        if rest.starts_with('\'') && matches!(&*word, "e" | "b" | "x" | "n") {
            self.rest = rest;
            return self.quoted(word == "e");
        }
        if word == "u" && rest.starts_with('&') {
            return Err("it has Unicode escapes (U&): write the characters themselves".into());
        }
        self.rest = rest;
        Ok(Token::Word(word))
    }

    /// A string; a doubled quote reads as its end and the start of another, so it is looked for here.
    fn quoted(&mut self, escapes: bool) -> Result<Token, String> {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if escapes => {
                    chars.next();
                }
                '\'' if chars.next_if(|next| next.1 == '\'').is_none() => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Token::String);
                }
                '\0' => return Err("it has a zero byte".into()),
                _ => {}
            }
        }
        Err("a string is not closed".into())
    }

    fn name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if chars.next_if(|next| next.1 == '"').is_none() => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(name);
                }
                '\0' => return Err("it has a zero byte".into()),
                c => name.push(c),
            }
        }
        Err("a name in quotes is not closed".into())
    }

    fn dollars(&mut self) -> Result<Token, String> {
        let bad = || "a $ that opens no string".to_owned();
        let tag_end = 1 + self.rest[1..].find('$').ok_or_else(bad)?;
        let tag = &self.rest[..=tag_end];
        let inner = &tag[1..tag_end];
        let whole = inner.chars().all(|c| is_name(c) || c.is_ascii_digit());
        if !whole || inner.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let body = &self.rest[tag.len()..];
        let end = body.find(tag).ok_or("a string in $ is not closed")?;
        if body[..end].contains('\0') {
            return Err("it has a zero byte".into());
        }
        self.rest = &body[end + tag.len()..];
        Ok(Token::String)
    }

    /// Passes over a comment, which may hold others.
    fn comment(&mut self) -> Result<(), String> {
        let mut depth = 0;
        loop {
            if let Some(rest) = self.rest.strip_prefix("/*") {
                (depth, self.rest) = (depth + 1, rest);
            } else if let Some(rest) = self.rest.strip_prefix("*/") {
                (depth, self.rest) = (depth - 1, rest);
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let mut chars = self.rest.chars();
                chars.next().ok_or("a comment is not closed")?;
                self.rest = chars.as_str();
            }
        }
    }
}

/// What a name may begin with: every character beyond ASCII is a letter to the server.
fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests;
