//! The heads of types as tokens: how many fields a struct has, and which type an `impl` block is of.
//!
//! Owns: the reading of both. Never: looks into a block of code.

use proc_macro2::{Delimiter, TokenTree};

/// How many named fields the struct has that begins here.
pub(super) fn fields_of(tokens: &[TokenTree]) -> usize {
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ';' => return 0,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                return (0..inner.len()).filter(|&i| is_field(&inner, i)).count();
            }
            _ => {}
        }
    }
    0
}

/// A name with one colon behind it, and none before.
fn is_field(tokens: &[TokenTree], i: usize) -> bool {
    let colon = |i: Option<usize>| i.is_some_and(|i| is_punct(tokens.get(i), ':'));
    matches!(tokens[i], TokenTree::Ident(_))
        && colon(Some(i + 1))
        && !colon(Some(i + 2))
        && !colon(i.checked_sub(1))
}

/// The path of the type whose `impl` block begins here; nothing when the block is of a trait.
pub(super) fn implements(tokens: &[TokenTree]) -> Option<Vec<String>> {
    let mut i = 1;
    if is_punct(tokens.get(i), '<') {
        i = behind_generics(tokens, i);
    }
    let (mut path, mut at_path) = (Vec::new(), true);
    while let Some(token) = tokens.get(i) {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                return (!path.is_empty()).then_some(path);
            }
            TokenTree::Punct(punct) if punct.as_char() == '<' => {
                at_path = false;
                i = behind_generics(tokens, i);
                continue;
            }
            TokenTree::Ident(word) if word == "for" => return None,
            TokenTree::Ident(word) if word == "where" => {
                // What follows is about type parameters.
                return (!path.is_empty()).then_some(path);
            }
            TokenTree::Ident(word) if at_path => path.push(word.to_string()),
            _ => {}
        }
        i += 1;
    }
    None
}

/// The place behind the `>` that closes the `<` at `i`.
fn behind_generics(tokens: &[TokenTree], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(i) {
        if is_punct(Some(token), '<') {
            depth += 1;
        } else if is_punct(Some(token), '>') && !is_punct(tokens.get(i.wrapping_sub(1)), '-') {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return i + 1;
            }
        }
        i += 1;
    }
    i
}

fn is_punct(token: Option<&TokenTree>, of: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == of)
}
