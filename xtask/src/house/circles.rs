//! No two files of a crate use each other, not even through others.
//!
//! Owns: the targets of each crate, the circles among their files, and the words for one. What a file uses is read in
//! [`super::modules`]. Never: looks at what one crate uses of another; see [`super::arrows`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::{Import, Modules, Type};
use super::{Finding, Tree};

/// How many names tell why one file uses another.
const NAMES_MAX: usize = 3;

/// What the files of a tree use of each other.
pub(super) struct Imports {
    /// Folder of the crate → its imports.
    pub(super) by_crate: BTreeMap<String, BTreeSet<Import>>,
    /// The types of every target, each with the folder of its crate.
    pub(super) types: Vec<(String, Type)>,
    /// How many files have been read.
    pub(super) files: usize,
}

impl Imports {
    /// Reads every target of every crate.
    pub(super) fn of(tree: &Tree) -> Self {
        let (mut by_crate, mut files) = (BTreeMap::new(), BTreeSet::new());
        let mut types = Vec::new();
        for manifest in tree.manifests() {
            let folder = manifest.path.trim_end_matches("/Cargo.toml");
            let mut imports = BTreeSet::new();
            for root in roots(tree, folder, &manifest.text) {
                let modules = Modules::of(tree, root);
                files.extend(modules.files().map(str::to_owned));
                imports.extend(modules.imports());
                types.extend(
                    modules
                        .types()
                        .into_iter()
                        .map(|it| (folder.to_owned(), it)),
                );
            }
            by_crate.insert(folder.to_owned(), imports);
        }
        Self {
            by_crate,
            types,
            files: files.len(),
        }
    }

    /// How many pairs of files there are of which one uses the other.
    pub(super) fn arrows(&self) -> usize {
        let imports = self.by_crate.values();
        imports
            .flat_map(|it| graph(it).into_values().map(|to| to.len()))
            .sum()
    }
}

/// The root files of a crate's targets: where cargo looks for them, and where the manifest says.
fn roots<'a>(tree: &'a Tree, folder: &str, manifest: &str) -> Vec<&'a str> {
    let named: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'))
        .collect();
    let is_root = |path: &&str| {
        let Some(path) = path
            .strip_prefix(folder)
            .and_then(|it| it.strip_prefix('/'))
        else {
            return false;
        };
        let parts: Vec<&str> = path.split('/').collect();
        named.contains(&path)
            || matches!(
                parts.as_slice(),
                ["src", "lib.rs" | "main.rs"]
                    | ["src", "bin", _]
                    | ["src", "bin", _, "main.rs"]
                    | ["tests" | "benches" | "examples", _]
                    | ["tests" | "benches" | "examples", _, "main.rs"]
            )
    };
    tree.rust()
        .map(|source| source.path.as_str())
        .filter(is_root)
        .collect()
}

/// Every circle of every crate.
pub(super) fn examine(imports: &Imports) -> Vec<Finding> {
    imports.by_crate.values().flat_map(of_crate).collect()
}

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn graph(imports: &BTreeSet<Import>) -> Graph<'_> {
    let mut graph = Graph::new();
    for import in imports {
        graph.entry(&import.from).or_default().insert(&import.to);
    }
    graph
}

fn of_crate(imports: &BTreeSet<Import>) -> Vec<Finding> {
    let graph = graph(imports);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for start in graph.keys().copied() {
        if seen.contains(start) {
            continue;
        }
        // Those that it reaches and that reach it.
        let knot: BTreeSet<&str> = reached(&graph, start)
            .into_iter()
            .filter(|file| reached(&graph, file).contains(start))
            .collect();
        if knot.is_empty() {
            continue;
        }
        findings.push(Finding::fault(
            start,
            tell(imports, &graph, start, knot.len()),
        ));
        seen.extend(knot);
    }
    findings
}

/// Every file that one uses, also through others.
fn reached<'a>(graph: &Graph<'a>, start: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(file) = waiting.pop() {
        for next in graph.get(file).into_iter().flatten().copied() {
            if found.insert(next) {
                waiting.push(next);
            }
        }
    }
    found
}

/// The shortest way from a file back to itself, with the names that tie it.
fn tell(imports: &BTreeSet<Import>, graph: &Graph<'_>, start: &str, files: usize) -> String {
    let mut words = format!("{files} files use each other: ");
    let mut way = shortest(graph, start);
    way.push(start);
    for pair in way.windows(2) {
        let names: Vec<&str> = imports
            .iter()
            .filter(|import| import.from == pair[0] && import.to == pair[1])
            .map(|import| import.name.as_str())
            .take(NAMES_MAX)
            .collect();
        words += &format!("{} uses {} of ", pair[0], names.join(", "));
    }
    words + start
}

fn shortest<'a>(graph: &Graph<'a>, start: &'a str) -> Vec<&'a str> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for next in graph.get(file).into_iter().flatten().copied() {
            if next == start {
                let mut way = vec![file];
                while let Some(earlier) = before.get(way[way.len() - 1]) {
                    way.push(earlier);
                }
                way.reverse();
                return way;
            }
            if next != start && !before.contains_key(next) {
                before.insert(next, file);
                waiting.push_back(next);
            }
        }
    }
    vec![start]
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let manifest = ("crates/a/Cargo.toml", "[package]\n");
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Tree(files.iter().chain([&manifest]).map(source).collect())
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let findings = examine(&Imports::of(&tree(files)));
        findings.iter().map(ToString::to_string).collect()
    }

    const LIB: (&str, &str) = (
        "crates/a/src/lib.rs",
        "mod b;\nmod c;\npub use b::B;\npub use c::C;\n",
    );

    #[test]
    fn two_files_that_use_each_other_are_found() {
        let b = (
            "crates/a/src/b.rs",
            "use super::c::{C, other};\npub struct B(C);\n",
        );
        let c = (
            "crates/a/src/c.rs",
            "use crate::b::B as Bee;\npub struct C; fn c(_: Bee) {}\npub fn other() {}\n",
        );
        let told = found(&[LIB, b, c]);
        assert_eq!(
            told,
            [
                "error: crates/a/src/b.rs: 2 files use each other: crates/a/src/b.rs uses super::c::C, super::c::other of \
              crates/a/src/c.rs uses crate::b::B of crates/a/src/b.rs"
            ]
        );
        let c = ("crates/a/src/c.rs", "pub struct C; pub fn other() {}\n");
        assert_eq!(found(&[LIB, b, c]), [""; 0]);
    }

    #[test]
    fn a_name_is_followed_to_where_it_is_defined() {
        let b = ("crates/a/src/b.rs", "use crate::C;\npub struct B(C);\n");
        let c = ("crates/a/src/c.rs", "use crate::B;\npub struct C(B);\n");
        assert_eq!(found(&[LIB, b, c]).len(), 1);
        let c = ("crates/a/src/c.rs", "use crate::*;\npub struct C(B);\n");
        assert_eq!(found(&[LIB, b, c]).len(), 1, "through a glob as well");
    }

    #[test]
    fn a_path_in_code_counts_also_inside_of_a_macro() {
        let b = (
            "crates/a/src/b.rs",
            "pub struct B; fn b() { format!(\"{}\", crate::c::f()); }\n",
        );
        let c = (
            "crates/a/src/c.rs",
            "use super::b;\npub struct C; pub fn f() { b::B::new(); }\n",
        );
        assert_eq!(found(&[LIB, b, c]).len(), 1);
    }

    #[test]
    fn a_file_and_its_child_count_and_a_signpost_does_not() {
        let child = ("crates/a/src/b/d.rs", "use super::B;\npub fn d(_: B) {}\n");
        let c = ("crates/a/src/c.rs", "pub struct C;\n");
        let signpost = (
            "crates/a/src/b.rs",
            "mod d;\npub use d::d;\npub struct B;\n",
        );
        assert_eq!(found(&[LIB, signpost, c, child]), [""; 0]);
        let user = (
            "crates/a/src/b.rs",
            "mod d;\npub use d::d;\npub struct B; fn b() { d(B) }\n",
        );
        assert_eq!(found(&[LIB, user, c, child]).len(), 1);
        let relative = (
            "crates/a/src/b.rs",
            "mod d;\npub struct B; fn b() { d::d(B) }\n",
        );
        assert_eq!(found(&[LIB, relative, c, child]).len(), 1);
    }

    #[test]
    fn tests_may_use_what_they_test() {
        let b = (
            "crates/a/src/b.rs",
            "pub struct B;\n#[cfg(test)]\nmod tests { use crate::c::C; }\n#[cfg(test)]\nuse crate::c::C;\n",
        );
        let c = ("crates/a/src/c.rs", "use crate::b::B;\npub struct C(B);\n");
        assert_eq!(found(&[LIB, b, c]), [""; 0]);
    }
}
