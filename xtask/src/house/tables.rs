//! Tables of documents whose rows name the tests that hold them.
//!
//! Owns: how a row is read, and which names there are: of tests, and of the cases of the recorded corpus of Debezium's
//! answers (`case NAME`). Never: which documents there are, and what their rows mean.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// Where the cases of the corpus are.
const CASES: &str = "crates/walferry-trials/compat/cases/";

/// A row of a table that has the column that was asked for.
pub(super) struct Row<'a> {
    /// Its line, from 1.
    pub(super) line: usize,
    /// The cell of the column that was asked for.
    pub(super) named: &'a str,
    /// The heads of the table, and the row's cells.
    heads: Vec<&'a str>,
    cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// The cell under another head.
    pub(super) fn cell(&self, head: &str) -> Option<&'a str> {
        let index = self.heads.iter().position(|it| *it == head)?;
        self.cells.get(index).copied()
    }
}

/// The rows of all tables of a text that have one of these columns.
pub(super) fn rows<'a>(text: &'a str, columns: &[&str]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    // The heads of the table and the column, while inside of a table that has one.
    let mut table: Option<(Vec<&str>, usize)> = None;
    for (line, text) in (1_usize..).zip(text.lines()) {
        let Some(cells) = cells(text) else {
            table = None;
            continue;
        };
        let Some((heads, column)) = &table else {
            let column = cells.iter().position(|cell| columns.contains(cell));
            table = column.map(|column| (cells, column));
            continue;
        };
        if is_rule(&cells) {
            continue;
        }
        rows.push(Row {
            line,
            named: cells.get(*column).copied().unwrap_or_default(),
            heads: heads.clone(),
            cells,
        });
    }
    rows
}

/// Whether it is the rule under the head of a table.
fn is_rule(cells: &[&str]) -> bool {
    let dashes = |cell: &&str| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':');
    cells.iter().all(dashes)
}

/// What may be named as a proof.
pub(super) struct Proofs<'a> {
    tests: BTreeSet<&'a str>,
    cases: BTreeSet<&'a str>,
}

impl<'a> Proofs<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let corpus = tree.0.iter().filter(|it| it.path.starts_with(CASES));
        let lines = corpus.flat_map(|it| it.text.lines());
        Self {
            tests: tests_of(tree),
            cases: lines.filter_map(|it| it.strip_prefix("-- case ")).collect(),
        }
    }

    /// A fault for each name that nothing has.
    pub(super) fn missing(&self, place: &str, names: &[&str]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for name in names {
            let known = match name.strip_prefix("case ") {
                Some(case) => self.cases.contains(case.trim()),
                None => self
                    .tests
                    .contains(name.rsplit("::").next().unwrap_or(name)),
            };
            if !known {
                findings.push(Finding::fault(place, format!("there is no test `{name}`")));
            }
        }
        findings
    }
}

/// The cells of a row: `| a | b |`.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// What stands between backticks.
pub(super) fn in_backticks(text: &str) -> Vec<&str> {
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
