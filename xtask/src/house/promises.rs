//! Each promise of `docs/GUARANTEES.md` names a test that exists.
//!
//! Owns: how a promise is written down. A promise is a row of a table there whose head names a column `Test` or
//! `Tests`; in that column stand, in backticks, the tests that hold it, as `name` or `module::name`. What begins with
//! `cargo ` is a command for a longer proof and may stand beside them.
//! Invariant: a document without a promise is a fault too, so that the check cannot be passed by an empty file.

use std::collections::BTreeSet;

use super::{Finding, Tree};

const DOCUMENT: &str = "docs/GUARANTEES.md";

pub(super) fn examine(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else {
        return vec![Finding::fault(DOCUMENT, "is missing")];
    };
    let tests = tests_of(tree);
    let mut findings = Vec::new();
    let mut promises = 0;
    // The column of tests, while inside a table that has one.
    let mut column = None;
    for (number, line) in (1_usize..).zip(document.text.lines()) {
        let Some(cells) = cells(line) else {
            column = None;
            continue;
        };
        let Some(index) = column else {
            column = cells
                .iter()
                .position(|cell| *cell == "Test" || *cell == "Tests");
            continue;
        };
        if cells
            .iter()
            .all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':'))
        {
            continue; // The rule under the head of a table.
        }
        promises += 1;
        let place = format!("{DOCUMENT}:{number}");
        let named = cells
            .get(index)
            .map_or_else(Vec::new, |cell| in_backticks(cell));
        let named: Vec<&str> = named
            .into_iter()
            .filter(|n| !n.starts_with("cargo "))
            .collect();
        if named.is_empty() {
            findings.push(Finding::fault(&place, "a promise names no test"));
        }
        for name in named {
            let last = name.rsplit("::").next().unwrap_or(name);
            if !tests.contains(last) {
                findings.push(Finding::fault(&place, format!("there is no test `{name}`")));
            }
        }
    }
    if promises == 0 {
        findings.push(Finding::fault(
            DOCUMENT,
            "holds no table of promises with a column `Test`",
        ));
    }
    findings
}

/// The cells of a row: `| a | b |`.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The names of all functions that an attribute such as `#[test]` or `#[tokio::test(...)]` stands before.
fn tests_of(tree: &Tree) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    for source in tree.rust() {
        let mut marked = false;
        for line in source.text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some(at) = function(line) {
                if marked {
                    tests.insert(at);
                }
                marked = false;
            }
        }
    }
    tests
}

/// The name in `fn name(` or `async fn name(`, with any visibility.
fn function(line: &str) -> Option<&str> {
    let at = if line.starts_with("fn ") {
        3
    } else {
        line.find(" fn ")? + 4
    };
    if line.starts_with("//") {
        return None;
    }
    line[at..].split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn findings(document: &str) -> Vec<String> {
        let code = "#[test]\nfn holds() {}\n#[tokio::test(flavor = \"x\")]\n#[cfg(unix)]\n\
                    async fn holds_too() {}\nfn no_test() {}\n";
        let source = |path: &str, text: &str| Source {
            path: path.into(),
            text: text.into(),
        };
        let tree = Tree(vec![source("a.rs", code), source(DOCUMENT, document)]);
        examine(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn promises_that_name_their_tests_pass() {
        let text = "# G\n\n| Promise | Test |\n|---|:---|\n| A | `x::holds`, `holds_too` |\n\
                    | B | `holds`; `cargo xtask chaos` |\n\n| other | table |\n|---|---|\n| a | b |\n";
        assert!(findings(text).is_empty(), "{:?}", findings(text));
    }

    #[test]
    fn a_promise_without_a_test_is_found_with_its_line() {
        let found = findings("| Promise | Tests |\n|---|---|\n| A | by care |\n");
        assert_eq!(
            found,
            ["error: docs/GUARANTEES.md:3: a promise names no test"]
        );
        assert_eq!(
            findings("| P | Test |\n|---|---|\n| A | `cargo xtask chaos` |\n").len(),
            1
        );
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let found = findings("| Promise | Test |\n|---|---|\n| A | `no_test` |\n| B | `gone` |\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].contains("no test `gone`"));
    }

    #[test]
    fn a_document_without_promises_is_found() {
        assert!(findings("# Guarantees\n")[0].contains("no table"));
        assert!(examine(&Tree::default())[0].to_string().contains("missing"));
    }
}
