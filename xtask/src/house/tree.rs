//! The files that rules look at.
//!
//! Owns: which they are. Never: keeps a file open.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A file: its path from the root, with `/`, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// From the root of the tree.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// All files that rules look at: Rust, manifests, documents, the corpus of SQL, and what lies in `deploy`.
#[derive(Debug, Clone, Default)]
pub struct Tree(pub Vec<Source>);

impl Tree {
    /// Reads the tree at `root`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        read_folder(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self(files))
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().filter(|source| source.path.ends_with(".rs"))
    }

    pub(super) fn manifests(&self) -> impl Iterator<Item = &Source> {
        self.0
            .iter()
            .filter(|source| source.path.ends_with("/Cargo.toml"))
    }

    pub(super) fn file(&self, path: &str) -> Option<&Source> {
        self.0.iter().find(|source| source.path == path)
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<Source>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            // What cargo builds and what git keeps is not the tree; nor is what tools leave in hidden folders.
            if name != "target" && !name.starts_with('.') {
                read_folder(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if path.starts_with("deploy/")
            || [".rs", ".toml", ".md", ".sql"]
                .iter()
                .any(|end| name.ends_with(end))
        {
            let text = fs::read_to_string(entry.path()).with_context(|| path.clone())?;
            files.push(Source { path, text });
        }
    }
    Ok(())
}
