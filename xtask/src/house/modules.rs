//! The modules of a crate as its files name each other: what each defines, imports and mentions.
//!
//! Owns: the reading of `mod`, `use`, paths, and the heads of types from tokens, and where a name comes from when it has been re-exported.
//! A re-export (`pub use`) is a signpost: it is followed, and is no import of its own while its file does not use the name.
//! Never: reads code for tests (`#[cfg(test)]`), or what macros make.
//! Start reading at [`Modules::of`], then [`Modules::imports`].

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Tree;
use super::heads::{fields_of, implements};

/// How many re-exports are followed for one name; more is a name that leads back to itself.
const SIGNPOSTS_MAX: u32 = 16;

/// The modules of one target of a crate (its library, a program, a test), the root first.
pub(super) struct Modules(Vec<Module>);

/// A file uses what another one defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) from: String,
    pub(super) to: String,
    /// As it is written: `crate::status::Report`.
    pub(super) name: String,
}

#[derive(Default)]
struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    defined: BTreeSet<String>,
    /// What `use` lines give a name to.
    named: BTreeMap<String, Vec<String>>,
    /// The modules of `use …::*`.
    globs: Vec<Vec<String>>,
    mentions: Vec<Mention>,
    /// Structs, each with how many fields it has.
    structs: Vec<(String, usize)>,
    /// The types of `impl` blocks that are of no trait.
    impls: Vec<Vec<String>>,
    /// Every identifier outside of `use` lines.
    words: BTreeSet<String>,
}

/// A path that stands in a `use` line or in code.
struct Mention {
    path: Vec<String>,
    /// The name that a `pub use` gives on.
    given_on: Option<String>,
}

/// A type of the target: what it has, and where it says what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) file: String,
    pub(super) name: String,
    /// Named fields; none of an enum.
    pub(super) fields: usize,
    /// The files of its `impl` blocks that are of no trait.
    pub(super) impls: BTreeSet<String>,
}

/// Where a path leads.
#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    /// Something that this module defines.
    Item(usize),
}

impl Modules {
    /// Reads a target from its root file.
    pub(super) fn of(tree: &Tree, root: &str) -> Self {
        let mut modules = Self(Vec::new());
        let folder = root
            .rsplit_once('/')
            .map_or(String::new(), |(it, _)| it.to_owned());
        modules.read(tree, root, 0, &folder);
        modules
    }

    /// What each file uses of another, in order, each once.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = BTreeSet::new();
        for (index, module) in self.0.iter().enumerate() {
            for mention in &module.mentions {
                let signpost = mention.given_on.as_ref();
                if signpost.is_none_or(|name| module.words.contains(name)) {
                    imports.extend(self.import(index, &mention.path));
                }
            }
            for glob in &module.globs {
                for word in &module.words {
                    let path = [glob.as_slice(), std::slice::from_ref(word)].concat();
                    // A word may be anything; only one that is defined there counts.
                    if let Some(Target::Module(target)) = self.resolve(index, glob, 0)
                        && self.walk(target, &path[glob.len()..], 0, false).is_some()
                    {
                        imports.extend(self.import(index, &path));
                    }
                }
            }
        }
        imports.into_iter().collect()
    }

    /// The types that have fields or `impl` blocks.
    pub(super) fn types(&self) -> Vec<Type> {
        let mut types: BTreeMap<(usize, String), Type> = BTreeMap::new();
        let entry = |at: usize, name: &str| Type {
            file: self.0[at].file.clone(),
            name: name.to_owned(),
            fields: 0,
            impls: BTreeSet::new(),
        };
        for (at, module) in self.0.iter().enumerate() {
            for (name, fields) in &module.structs {
                let key = (at, name.clone());
                types.entry(key).or_insert_with(|| entry(at, name)).fields = *fields;
            }
            for path in &module.impls {
                if let (Some(Target::Item(target)), Some(name)) =
                    (self.resolve(at, path, 0), path.last())
                {
                    let key = (target, name.clone());
                    let of = types.entry(key).or_insert_with(|| entry(target, name));
                    of.impls.insert(module.file.clone());
                }
            }
        }
        types.into_values().collect()
    }

    fn import(&self, from: usize, path: &[String]) -> Option<Import> {
        let Some(Target::Item(target)) = self.resolve(from, path, 0) else {
            return None;
        };
        let (from, to) = (&self.0[from].file, &self.0[target].file);
        (from != to).then(|| Import {
            from: from.clone(),
            to: to.clone(),
            name: path.join("::"),
        })
    }

    /// How many files there are.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|module| module.file.as_str())
    }

    fn read(&mut self, tree: &Tree, path: &str, parent: usize, folder: &str) -> Option<usize> {
        let tokens: TokenStream = tree.file(path)?.text.parse().ok()?;
        let index = self.add(path, parent);
        self.body(tree, tokens, index, folder, true);
        Some(index)
    }

    fn add(&mut self, file: &str, parent: usize) -> usize {
        self.0.push(Module {
            file: file.to_owned(),
            parent,
            ..Module::default()
        });
        self.0.len() - 1
    }

    /// Reads what stands in a module, or in a block of one; only the former defines names.
    fn body(&mut self, tree: &Tree, tokens: TokenStream, at: usize, folder: &str, defines: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut i, mut is_pub) = (0, false);
        while let Some(token) = tokens.get(i) {
            let word = word(token);
            match word.as_deref() {
                Some("pub") => {
                    is_pub = true;
                    // What stands in `pub(in …)` says who may see, and uses nothing.
                    i += if group(tokens.get(i + 1), Delimiter::Parenthesis).is_some() {
                        2
                    } else {
                        1
                    };
                    continue;
                }
                Some("use") => {
                    let end = end_of_statement(&tokens, i);
                    let line = tokens.get(i + 1..end).unwrap_or_default();
                    self.use_tree(at, line, &[], is_pub);
                    i = end;
                }
                Some("mod") if self.child(tree, &tokens[i..], at, folder) => i += 2,
                Some(keyword) if defines && DEFINES.contains(&keyword) => {
                    if let Some(name) = tokens.get(i + 1).and_then(self::word) {
                        if keyword == "struct" {
                            let fields = fields_of(&tokens[i..]);
                            self.0[at].structs.push((name.clone(), fields));
                        }
                        self.0[at].defined.insert(name);
                    }
                }
                Some("macro_rules") => {
                    if let Some(name) = tokens.get(i + 2).and_then(self::word) {
                        self.0[at].defined.insert(name);
                    }
                }
                Some(first) => {
                    if defines && first == "impl" {
                        self.0[at].impls.extend(implements(&tokens[i..]));
                    }
                    let first = first.to_owned();
                    i = self.path(at, first, &tokens, i);
                }
                None if is_punct(token, '#') => {
                    i = match attribute(&tokens, i) {
                        Some((true, end)) => end_of_item(&tokens, end),
                        Some((false, end)) => end - 1,
                        None => i,
                    };
                }
                None => {
                    if let TokenTree::Group(inner) = token {
                        self.body(tree, inner.stream(), at, folder, false);
                    }
                }
            }
            is_pub = false;
            i += 1;
        }
    }

    /// A path in code, from its first word; returns the place of its last.
    fn path(&mut self, at: usize, first: String, tokens: &[TokenTree], mut i: usize) -> usize {
        let is_inner = i > 0
            && (is_punct(&tokens[i - 1], '.') || is_punct(&tokens[i - 1], ':'))
            && (is_punct(&tokens[i - 1], '.') || i > 1 && is_punct(&tokens[i - 2], ':'));
        let mut path = vec![first];
        while is_colons(tokens, i + 1)
            && let Some(next) = tokens.get(i + 3).and_then(word)
        {
            path.push(next);
            i += 3;
        }
        let module = &mut self.0[at];
        module.words.insert(path[0].clone());
        if path.len() > 1 && !is_inner {
            module.mentions.push(Mention {
                path,
                given_on: None,
            });
        }
        i
    }

    /// Reads `mod name;` or `mod name { … }`; false when it is neither.
    fn child(&mut self, tree: &Tree, tokens: &[TokenTree], at: usize, folder: &str) -> bool {
        let Some(name) = tokens.get(1).and_then(word) else {
            return false;
        };
        let below = match folder {
            "" => name.clone(),
            folder => format!("{folder}/{name}"),
        };
        let child = if let Some(inner) = group(tokens.get(2), Delimiter::Brace) {
            let child = self.add(&self.0[at].file.clone(), at);
            self.body(tree, inner, child, &below, true);
            Some(child)
        } else {
            self.read(tree, &format!("{below}.rs"), at, &below)
                .or_else(|| self.read(tree, &format!("{below}/mod.rs"), at, &below))
        };
        if let Some(child) = child {
            self.0[at].children.insert(name, child);
        }
        true
    }

    /// Reads `a::{b, c as d, e::*}`.
    fn use_tree(&mut self, at: usize, tokens: &[TokenTree], before: &[String], is_pub: bool) {
        let (mut path, mut i) = (before.to_vec(), 0);
        let mut alias = None;
        while let Some(token) = tokens.get(i) {
            if let Some(word) = word(token) {
                match word.as_str() {
                    "as" => {
                        alias = tokens.get(i + 1).and_then(self::word);
                        break;
                    }
                    // In braces it is the module before them.
                    "self" if !before.is_empty() && path.len() == before.len() => {}
                    _ => path.push(word),
                }
            } else if is_punct(token, '*') {
                self.0[at].globs.push(path);
                return;
            } else if let Some(inner) = group(Some(token), Delimiter::Brace) {
                let inner: Vec<TokenTree> = inner.into_iter().collect();
                for part in inner.split(|token| is_punct(token, ',')) {
                    self.use_tree(at, part, &path, is_pub);
                }
                return;
            }
            i += 1;
        }
        if let Some(name) = alias.or_else(|| path.last().cloned()) {
            let module = &mut self.0[at];
            module.named.insert(name.clone(), path.clone());
            module.mentions.push(Mention {
                path,
                given_on: is_pub.then_some(name),
            });
        }
    }

    fn resolve(&self, at: usize, path: &[String], signposts: u32) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(0, rest, signposts, true),
            "self" => self.walk(at, rest, signposts, true),
            "super" => {
                let (mut at, mut rest) = (self.0[at].parent, rest);
                while let Some((next, after)) = rest.split_first()
                    && next == "super"
                {
                    (at, rest) = (self.0[at].parent, after);
                }
                self.walk(at, rest, signposts, true)
            }
            _ => self.walk(at, path, signposts, false),
        }
    }

    /// Follows a path from a module on. What `is_ours` and cannot be found is made by a macro of that module.
    fn walk(&self, at: usize, path: &[String], signposts: u32, is_ours: bool) -> Option<Target> {
        if signposts > SIGNPOSTS_MAX {
            return None;
        }
        let Some((first, rest)) = path.split_first() else {
            return Some(Target::Module(at));
        };
        let module = &self.0[at];
        if let Some(child) = module.children.get(first) {
            return self.walk(*child, rest, signposts, true);
        }
        if module.defined.contains(first) {
            return Some(Target::Item(at));
        }
        if let Some(named) = module.named.get(first) {
            return match self.resolve(at, named, signposts + 1)? {
                Target::Module(target) => self.walk(target, rest, signposts + 1, true),
                item @ Target::Item(_) => Some(item),
            };
        }
        for glob in &module.globs {
            if let Some(Target::Module(target)) = self.resolve(at, glob, signposts + 1)
                && let Some(found) = self.walk(target, path, signposts + 1, false)
            {
                return Some(found);
            }
        }
        is_ours.then_some(Target::Item(at))
    }
}

/// What gives a name to something, in the word behind it.
const DEFINES: [&str; 8] = [
    "fn", "struct", "enum", "trait", "type", "const", "static", "union",
];

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, of: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == of)
}

fn is_colons(tokens: &[TokenTree], i: usize) -> bool {
    [i, i + 1]
        .iter()
        .all(|it| tokens.get(*it).is_some_and(|token| is_punct(token, ':')))
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// An attribute that begins at `i`: whether it keeps what follows for tests, and the place behind it.
fn attribute(tokens: &[TokenTree], i: usize) -> Option<(bool, usize)> {
    let inner = tokens.get(i + 1).is_some_and(|token| is_punct(token, '!'));
    let at = if inner { i + 2 } else { i + 1 };
    let stream = group(tokens.get(at), Delimiter::Bracket)?;
    let mut parts = stream.into_iter();
    let is_cfg = parts.next().as_ref().and_then(word).as_deref() == Some("cfg");
    let condition = parts.next();
    let condition = group(condition.as_ref(), Delimiter::Parenthesis);
    let says = |wanted: &str, stream: TokenStream| mentions(stream, wanted);
    let for_tests =
        is_cfg && condition.is_some_and(|it| says("test", it.clone()) && !says("not", it));
    Some((for_tests, at + 1))
}

fn mentions(stream: TokenStream, wanted: &str) -> bool {
    stream.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), wanted),
        token => word(&token).as_deref() == Some(wanted),
    })
}

/// The place of the `;` of a statement.
fn end_of_statement(tokens: &[TokenTree], from: usize) -> usize {
    let length = tokens[from..]
        .iter()
        .position(|token| is_punct(token, ';'))
        .unwrap_or(tokens.len() - from);
    from + length
}

/// The place of the last token of an item: its `;`, its `,` or its block.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let mut i = from;
    while let Some(token) = tokens.get(i) {
        match word(token).as_deref() {
            Some("use" | "const" | "static" | "let" | "type")
                if tokens.get(i + 1).and_then(word).as_deref() != Some("fn") =>
            {
                return end_of_statement(tokens, i);
            }
            _ if is_punct(token, ';') || is_punct(token, ',') => return i,
            _ if group(Some(token), Delimiter::Brace).is_some() => return i,
            _ => i += 1,
        }
    }
    i
}
