//! The rules of this source tree that a program can hold.
//!
//! Owns: one module for each kind of rule, each a function from the tree to findings, tested with planted faults.
//! Never: changes a file.
//! Start reading at [`examine`]. The rules themselves are in `docs/STYLE.md`.

mod alerts;
mod arrows;
mod circles;
mod file;
mod finding;
mod floors;
mod heads;
mod large;
mod modules;
mod promises;
mod situations;
mod tables;
mod tree;

use std::path::Path;

use anyhow::Result;

pub use finding::Finding;
pub use tree::{Source, Tree};

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
    findings.extend(alerts::examine(tree));
    findings.extend(situations::examine(tree));
    let imports = circles::Imports::of(tree);
    findings.extend(circles::examine(&imports));
    findings.extend(floors::examine(&imports));
    findings.extend(large::examine(&imports.types));
    findings
}

/// How many files there are, and how many pairs of them of which one uses the other.
#[must_use]
pub fn size(tree: &Tree) -> (usize, usize) {
    let imports = circles::Imports::of(tree);
    (imports.files, imports.arrows())
}
