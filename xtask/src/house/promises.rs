//! Each promise of `docs/GUARANTEES.md` names a test that exists.
//!
//! Owns: how a promise is written down. A promise is a row of a table there whose head names a column `Test` or
//! `Tests`; in that column stand, in backticks, the tests that hold it, as `name` or `module::name`. What begins with
//! `cargo ` is a command for a longer proof and may stand beside them.
//! Invariant: a document without a promise is a fault too, so that the check cannot be passed by an empty file.

use super::tables::{self, Proofs};
use super::{Finding, Tree};

const DOCUMENT: &str = "docs/GUARANTEES.md";

pub(super) fn examine(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else {
        return vec![Finding::fault(DOCUMENT, "is missing")];
    };
    let proofs = Proofs::of(tree);
    let mut findings = Vec::new();
    let rows = tables::rows(&document.text, &["Test", "Tests"]);
    for row in &rows {
        let place = format!("{DOCUMENT}:{}", row.line);
        let named = tables::in_backticks(row.named);
        let named: Vec<&str> = named
            .into_iter()
            .filter(|name| !name.starts_with("cargo "))
            .collect();
        if named.is_empty() {
            findings.push(Finding::fault(&place, "a promise names no test"));
        }
        findings.extend(proofs.missing(&place, &named));
    }
    if rows.is_empty() {
        findings.push(Finding::fault(
            DOCUMENT,
            "holds no table of promises with a column `Test`",
        ));
    }
    findings
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
