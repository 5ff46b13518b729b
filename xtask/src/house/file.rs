//! Rules about single files: header, size, name, ignored tests, unsafe code, lints.
//!
//! Owns: the limits. Invariant: a file that warns is still allowed, one at the fault limit is not.

use super::{Finding, Source, Tree};

/// A file should stay below this many lines, its inline tests not counted.
const LINES_WARN: usize = 500;
/// A file must stay below this many lines, its inline tests not counted.
const LINES_FAIL: usize = 800;
/// Inline tests longer than this belong into a sibling `tests.rs`.
const TEST_LINES_WARN: usize = 150;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "types", "misc"];
/// The crate that holds the one module with unsafe code.
const UNSAFE_CRATE: &str = "crates/walferry-kafka/src/";

pub(super) fn examine(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Source { path, text } = source;
    if !text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("//! "))
    {
        findings.push(Finding::fault(
            path,
            "does not open with a `//!` line that says what it does",
        ));
    }
    findings.extend(size(path, text));
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let name = stem.rsplit('/').next().unwrap_or(stem);
    if EMPTY_NAMES.contains(&name) {
        findings.push(Finding::fault(
            path,
            format!("`{name}` is no noun of the domain"),
        ));
    }
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim_start();
        // Built from parts so that this file passes its own rule.
        if line.starts_with(concat!("#[", "ignore")) {
            findings.push(Finding::fault(
                format!("{path}:{number}"),
                "a test is ignored",
            ));
        }
    }
    findings
}

fn size(path: &str, text: &str) -> Option<Finding> {
    let all = text.lines().count();
    let tests = text
        .lines()
        .position(|line| line == "mod tests {")
        .map_or(0, |first| all - first);
    let lines = all - tests;
    if lines >= LINES_FAIL {
        return Some(Finding::fault(
            path,
            format!("{lines} lines; {LINES_FAIL} are too many"),
        ));
    }
    if lines >= LINES_WARN {
        return Some(Finding::warning(
            path,
            format!("{lines} lines; aim for 400"),
        ));
    }
    (tests > TEST_LINES_WARN).then(|| {
        Finding::warning(
            path,
            format!("{tests} lines of inline tests; move them to tests.rs"),
        )
    })
}

/// Unsafe code is denied by lint; this finds where the lint is lifted.
pub(super) fn unsafe_places(tree: &Tree) -> Vec<Finding> {
    let lifts = |source: &&Source| {
        source.text.lines().map(str::trim_start).any(|line| {
            line.starts_with('#')
                && line.contains("unsafe_code")
                && (line.contains("allow(") || line.contains("expect("))
        })
    };
    let places: Vec<&Source> = tree.rust().filter(lifts).collect();
    let mut findings = Vec::new();
    for source in &places {
        if !source.path.starts_with(UNSAFE_CRATE) {
            let words = format!("unsafe code is allowed only in one module of {UNSAFE_CRATE}");
            findings.push(Finding::fault(&source.path, words));
        }
    }
    if places.len() > 1 {
        let paths: Vec<&str> = places.iter().map(|source| source.path.as_str()).collect();
        findings.push(Finding::fault(
            paths.join(", "),
            "unsafe code in more than one module",
        ));
    }
    findings
}

/// The workspace's lints hold only where a manifest asks for them.
pub(super) fn lint_tables(tree: &Tree) -> Vec<Finding> {
    tree.manifests()
        .filter(|source| !source.path.starts_with("fuzz/"))
        .filter(|source| !source.text.contains("[lints]\nworkspace = true"))
        .map(|source| Finding::fault(&source.path, "does not take the workspace's lints"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
        }
    }

    fn words(findings: &[Finding]) -> String {
        findings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert!(examine(&source("a.rs", "//! Reads.\n")).is_empty());
        assert!(words(&examine(&source("a.rs", "use std::fs;\n"))).contains("`//!`"));
        assert!(words(&examine(&source("a.rs", ""))).contains("`//!`"));
    }

    #[test]
    fn long_files_warn_and_then_fail() {
        let of = |lines: usize| {
            examine(&source(
                "a.rs",
                &format!("//! Long.\n{}", "x\n".repeat(lines - 1)),
            ))
        };
        assert!(of(499).is_empty());
        assert!(!of(500)[0].is_fault());
        assert!(of(800)[0].is_fault());
    }

    #[test]
    fn inline_tests_are_counted_apart() {
        let text = |tests: usize| {
            format!(
                "//! Long.\n{}mod tests {{\n{}",
                "x\n".repeat(398),
                "x\n".repeat(tests - 1)
            )
        };
        assert!(examine(&source("a.rs", &text(150))).is_empty());
        let findings = examine(&source("a.rs", &text(151)));
        assert!(words(&findings).contains("tests.rs"), "{findings:?}");
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for path in ["src/utils.rs", "src/common/mod.rs"] {
            assert!(
                words(&examine(&source(path, "//! X.\n"))).contains("no noun"),
                "{path}"
            );
        }
        assert!(examine(&source("src/slot/mod.rs", "//! X.\n")).is_empty());
    }

    #[test]
    fn ignored_tests_are_found_with_their_line() {
        let text = format!(
            "//! X.\n#[test]\n    {}]\nfn a() {{}}\n",
            concat!("#[", "ignore")
        );
        assert!(words(&examine(&source("a.rs", &text))).starts_with("error: a.rs:3:"));
    }

    #[test]
    fn unsafe_code_has_one_home() {
        let lifted = "//! X.\n#![allow(unsafe_code)]\n";
        let at = |paths: &[&str]| {
            unsafe_places(&Tree(
                paths.iter().map(|path| source(path, lifted)).collect(),
            ))
        };
        assert!(at(&["crates/walferry-kafka/src/timing.rs"]).is_empty());
        assert!(words(&at(&["crates/walferry-avro/src/plan.rs"])).contains("only in one module"));
        let two = [
            "crates/walferry-kafka/src/a.rs",
            "crates/walferry-kafka/src/b.rs",
        ];
        assert!(words(&at(&two)).contains("more than one"));
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let tree = Tree(vec![
            source(
                "crates/a/Cargo.toml",
                "[package]\n\n[lints]\nworkspace = true\n",
            ),
            source("crates/b/Cargo.toml", "[package]\n"),
            source("Cargo.toml", "[workspace]\n"),
        ]);
        assert!(words(&lint_tables(&tree)).starts_with("error: crates/b/Cargo.toml"));
        assert_eq!(lint_tables(&tree).len(), 1);
    }
}
