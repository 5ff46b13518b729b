//! The rules of this source tree that a program can hold.
//!
//! Owns: one module for each kind of rule, each a function from the tree to findings, tested with planted faults.
//! Never: changes a file.
//! Start reading at [`examine`]. The rules themselves are in `docs/STYLE.md`.

mod arrows;
mod file;
mod promises;
mod situations;
mod tables;
mod tree;

use std::fmt;
use std::path::Path;

use anyhow::Result;

pub use tree::{Source, Tree};

/// A place where a rule is broken, or nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    severity: Severity,
    place: String,
    words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning,
    Fault,
}

impl Finding {
    fn fault(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fault,
            place: place.into(),
            words: words.into(),
        }
    }

    fn warning(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            place: place.into(),
            words: words.into(),
        }
    }

    /// Whether it must be mended; else it is a warning.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_fault() { "error" } else { "warning" };
        write!(f, "{severity}: {}: {}", self.place, self.words)
    }
}

/// Holds the tree at `root` to every rule.
///
/// # Errors
/// The tree cannot be read, or cargo cannot describe it.
pub fn examine(root: &Path) -> Result<Vec<Finding>> {
    let tree = Tree::read(root)?;
    let mut findings = examine_tree(&tree);
    findings.extend(arrows::examine(&arrows::of_workspace(root)?));
    Ok(findings)
}

/// Holds a tree to the rules that its files alone decide.
#[must_use]
pub fn examine_tree(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.rust() {
        findings.extend(file::examine(source));
    }
    findings.extend(file::unsafe_places(tree));
    findings.extend(file::lint_tables(tree));
    findings.extend(promises::examine(tree));
    findings.extend(situations::examine(tree));
    findings
}
