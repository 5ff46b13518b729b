//! Each situation of `docs/SITUATIONS.md` has a test that exists, or a reason why it cannot come up.
//!
//! Owns: how a situation is written down. It is a row of a table with the columns `Status` and `Ours`, in the document or in
//! a file of `docs/situations/`. `Status` is `covered before`, `new` or `does not apply`. `Ours` has in backticks the tests
//! that hold it (`module::name`), or cases of the recorded corpus (`case NAME`); where it does not apply, the reason.
//! Invariant: the document counts the rows of each file by their status, and the counts are the true ones.

use super::tables::{self, Proofs, Row};
use super::{Finding, Source, Tree};

const DOCUMENT: &str = "docs/SITUATIONS.md";
const FOLDER: &str = "docs/situations/";
/// What a status may be, in the order of the columns of the counts.
const STATUS: [&str; 3] = ["covered before", "new", "does not apply"];

pub(super) fn examine(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else {
        return vec![Finding::fault(DOCUMENT, "is missing")];
    };
    let proofs = Proofs::of(tree);
    let mut findings = Vec::new();
    let mut situations = 0;
    let files = tree.0.iter().filter(|it| it.path.starts_with(FOLDER));
    for file in std::iter::once(document).chain(files) {
        let rows = tables::rows(&file.text, &["Ours"]);
        situations += rows.len();
        for row in &rows {
            let place = format!("{}:{}", file.path, row.line);
            findings.extend(judge(&place, row, &proofs));
        }
        if file.path != DOCUMENT {
            findings.extend(counts(document, file, &rows));
        }
    }
    if situations == 0 {
        findings.push(Finding::fault(DOCUMENT, "holds no situation"));
    }
    findings
}

/// One row: its status is known, and it has what its status asks for.
fn judge(place: &str, row: &Row<'_>, proofs: &Proofs<'_>) -> Vec<Finding> {
    let status = row.cell("Status").unwrap_or_default();
    let named = tables::in_backticks(row.named);
    let fault = match status {
        "does not apply" if row.named.is_empty() => "a situation does not apply and says no reason",
        "does not apply" => return Vec::new(),
        _ if !STATUS.contains(&status) => "a situation has no known status",
        _ if named.is_empty() => "a situation names no test",
        _ => return proofs.missing(place, &named),
    };
    vec![Finding::fault(place, fault)]
}

/// The document's line of this file says how many rows have which status.
fn counts(document: &Source, file: &Source, rows: &[Row<'_>]) -> Vec<Finding> {
    let of = |status: &&str| {
        let count = rows.iter().filter(|row| row.cell("Status") == Some(status));
        count.count().to_string()
    };
    let expected: Vec<String> = STATUS.iter().map(of).collect();
    let name = file.path.trim_start_matches("docs/");
    let told = tables::rows(&document.text, &["new"]);
    let line = told
        .iter()
        .find(|row| row.cell("Where").is_some_and(|it| it.contains(name)));
    let found: Vec<&str> = line
        .map(|row| {
            STATUS
                .iter()
                .filter_map(|status| row.cell(status))
                .collect()
        })
        .unwrap_or_default();
    if found == expected {
        return Vec::new();
    }
    let place = line.map_or_else(
        || DOCUMENT.to_owned(),
        |row| format!("{DOCUMENT}:{}", row.line),
    );
    vec![Finding::fault(
        place,
        format!(
            "{name} has {} situations by status, not {found:?}",
            expected.join(", ")
        ),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "# P\n\n| Situation | Where | Status | Ours |\n|---|---|---|---|\n";
    const COUNTS: &str = "| Where | covered before | new | does not apply |\n|---|---|---|---|\n";

    fn findings(file: &str, counts: &str) -> Vec<String> {
        let source = |path: &str, text: String| Source {
            path: path.into(),
            text,
        };
        let tree = Tree(vec![
            source("a.rs", "#[test]\nfn holds() {}\nfn no_test() {}\n".into()),
            source(
                "crates/walferry-trials/compat/cases/01.sql",
                "-- case odd-names\n".into(),
            ),
            source(DOCUMENT, format!("{COUNTS}{counts}")),
            source("docs/situations/p.md", format!("{ROWS}{file}")),
        ]);
        examine(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn situations_that_name_a_test_a_case_or_a_reason_pass() {
        let file = "| a | b | covered before | `x::holds`, `case odd-names` |\n| c | d | new | `holds` |\n\
                    | e | f | does not apply | it is `about` the subscriber |\n";
        let found = findings(file, "| [p](situations/p.md) | 1 | 1 | 1 |\n");
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn each_planted_violation_is_found_with_its_line() {
        for (row, said) in [
            (
                "| a | b | new | `gone` |",
                "docs/situations/p.md:5: there is no test `gone`",
            ),
            ("| a | b | new | `no_test` |", "no test `no_test`"),
            ("| a | b | new | `case other` |", "no test `case other`"),
            ("| a | b | covered before | by care |", "names no test"),
            ("| a | b | perhaps | `holds` |", "no known status"),
            ("| a | b |  | `holds` |", "no known status"),
            ("| a | b | does not apply |  |", "says no reason"),
            (
                "| a | b | new | `holds` |",
                "docs/SITUATIONS.md:3: situations/p.md has 0, 1, 0",
            ),
        ] {
            let found = findings(
                &format!("{row}\n"),
                "| [p](situations/p.md) | 7 | 7 | 7 |\n",
            );
            assert!(found.iter().any(|it| it.contains(said)), "{row}: {found:?}");
        }
    }

    #[test]
    fn a_document_without_situations_is_found() {
        assert!(findings("", "| [p](situations/p.md) | 0 | 0 | 0 |\n")[0].contains("no situation"));
        assert!(findings("", "").iter().any(|it| it.contains("has 0, 0, 0")));
        assert!(examine(&Tree::default())[0].to_string().contains("missing"));
    }
}
