//! The corpus: SQL cases by family, and the groups of settings that they run under.
//!
//! Owns: the text format of `compat/cases/*.sql` and `compat/groups.json`. Never: runs SQL.
//!
//! ```text
//! -- case integers                     a name of [a-z0-9-]
//! -- covers: what it shows
//! -- groups: default, decimal-string   settings to run it under; without the line: default
//! -- schemas: "Odd Name"               schemas whose topics are its own; without the line: its name with _ for -
//! -- topics: message                   more topics that are its own, after the prefix
//! create table t (...);                before the start: what the snapshot sees
//! -- stream
//! insert into t ...;                   while both sides follow
//! -- step                              both have published all that is above before it goes on
//! alter table t ...;
//! ```
//! A statement ends with `;` at the end of a line, outside of `$$`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json};

/// Settings that cases share, so that they share one connector run.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Debezium's settings beyond the common ones.
    pub debezium: Map<String, Json>,
    /// Walferry's, as paths to TOML literals.
    pub walferry: Map<String, Json>,
    /// `[[table]]` sections of Walferry.
    pub tables: Vec<String>,
    /// Topics have this many partitions.
    pub partitions: u32,
    /// The snapshot's markers (first, last) are compared as they are.
    pub markers: bool,
    /// Partitions are published as their partitioned table.
    pub via_root: bool,
    /// Walferry does not have its settings yet.
    pub not_yet: bool,
    /// Cases that belong to it.
    pub cases: Vec<Case>,
}

/// A case of one group.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in the corpus.
    pub name: String,
    /// The file that it stands in.
    pub family: String,
    /// What it shows.
    pub covers: String,
    /// The first is the one that its SQL runs in.
    pub schemas: Vec<String>,
    /// Topics beyond those of its schemas, without the prefix.
    pub topics: Vec<String>,
    /// Before the start.
    pub setup: Vec<String>,
    /// Steps, each a list of statements.
    pub steps: Vec<Vec<String>>,
}

/// The folder of cases, groups, recordings and the reviewed list.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")
}

/// All groups with their cases, in the order of the groups' file; without those whose settings Walferry does not have yet
/// (`"not_yet": true`).
pub fn load() -> Result<Vec<Group>> {
    let text = fs::read_to_string(folder().join("groups.json")).context("compat/groups.json")?;
    let Json::Object(described) = serde_json::from_str(&text).context("compat/groups.json")? else {
        bail!("compat/groups.json is not an object");
    };
    let mut groups: Vec<Group> = described.iter().map(|(name, it)| group(name, it)).collect();
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("cases"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "sql"))
        .collect();
    files.sort();
    for path in files {
        let family = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path)?;
        for (case, names) in parse(&family, &text).with_context(|| format!("{family}.sql"))? {
            for name in names {
                let found = groups.iter_mut().find(|group| group.name == name);
                let group =
                    found.with_context(|| format!("case {}: no group {name}", case.name))?;
                if group.cases.iter().any(|it| it.name == case.name) {
                    bail!("there are two cases {} in group {name}", case.name);
                }
                group.cases.push(case.clone());
            }
        }
    }
    groups.retain(|group| !group.cases.is_empty() && !group.not_yet);
    Ok(groups.into_iter().flat_map(by_family).collect())
}

/// The large group of the default settings is run file by file: `default-numbers`, `default-text`.
fn by_family(mut group: Group) -> Vec<Group> {
    if group.name != DEFAULT {
        return vec![group];
    }
    let mut parts: Vec<Group> = Vec::new();
    for case in std::mem::take(&mut group.cases) {
        let family = case.family.trim_start_matches(|c: char| c.is_ascii_digit());
        let name = format!("{DEFAULT}{family}");
        match parts.last_mut().filter(|part| part.name == name) {
            Some(part) => part.cases.push(case),
            None => parts.push(Group {
                name,
                cases: vec![case],
                ..group.clone()
            }),
        }
    }
    parts
}

const DEFAULT: &str = "default";

fn group(name: &str, described: &Json) -> Group {
    let object = |key: &str| described[key].as_object().cloned().unwrap_or_default();
    let tables = described["tables"].as_array().cloned().unwrap_or_default();
    Group {
        name: name.to_owned(),
        debezium: object("debezium"),
        walferry: object("walferry"),
        tables: tables
            .iter()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect(),
        partitions: described["partitions"]
            .as_u64()
            .map_or(1, |count| count as u32),
        markers: described["markers"] == true,
        via_root: described["via_root"] == true,
        not_yet: described["not_yet"] == true,
        cases: Vec::new(),
    }
}

fn parse(family: &str, text: &str) -> Result<Vec<(Case, Vec<String>)>> {
    let mut cases: Vec<(Case, Vec<String>)> = Vec::new();
    for block in text.split("-- case ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or((block, ""));
        let name = name.trim();
        let mut case = Case {
            name: name.to_owned(),
            family: family.to_owned(),
            covers: String::new(),
            schemas: vec![name.replace('-', "_")],
            topics: Vec::new(),
            setup: Vec::new(),
            steps: Vec::new(),
        };
        let mut groups = vec![DEFAULT.to_owned()];
        let mut sql = String::new();
        for line in rest.lines() {
            if let Some(covers) = line.strip_prefix("-- covers:") {
                case.covers = covers.trim().to_owned();
            } else if let Some(names) = line.strip_prefix("-- groups:") {
                groups = list(names);
            } else if let Some(names) = line.strip_prefix("-- schemas:") {
                case.schemas = list(names);
            } else if let Some(names) = line.strip_prefix("-- topics:") {
                case.topics = list(names);
            } else if matches!(line.trim(), "-- stream" | "-- step") {
                close(&mut case, &mut sql);
                case.steps.push(Vec::new());
            } else {
                statement_line(&mut case, &mut sql, line);
            }
        }
        close(&mut case, &mut sql);
        if case.covers.is_empty() || case.steps.is_empty() {
            bail!("case {name} has no `-- covers:` or no `-- stream`");
        }
        cases.push((case, groups));
    }
    Ok(cases)
}

fn statement_line(case: &mut Case, sql: &mut String, line: &str) {
    sql.push_str(line);
    sql.push('\n');
    if line.trim_end().ends_with(';') && sql.matches("$$").count().is_multiple_of(2) {
        close(case, sql);
    }
}

fn close(case: &mut Case, sql: &mut String) {
    let statement = std::mem::take(sql);
    if !statement.trim().is_empty() {
        case.steps
            .last_mut()
            .unwrap_or(&mut case.setup)
            .push(statement.trim().to_owned());
    }
}

fn list(names: &str) -> Vec<String> {
    names
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_its_parts() {
        let text = "-- case a-b\n-- covers: x\n-- groups: p, q\ncreate table t\n (a int);\n\
                    -- stream\ninsert 1;\ninsert 2;\n-- step\ndo $$ a;\n b; $$;\n";
        let (case, groups) = parse("f", text).unwrap().remove(0);
        assert_eq!(groups, ["p", "q"]);
        assert_eq!(case.schemas, ["a_b"]);
        assert_eq!(case.setup, ["create table t\n (a int);"]);
        assert_eq!(
            case.steps,
            [vec!["insert 1;", "insert 2;"], vec!["do $$ a;\n b; $$;"]]
        );
    }

    #[test]
    fn the_committed_corpus_is_readable_and_large() {
        let groups = load().unwrap();
        let cases: usize = groups.iter().map(|group| group.cases.len()).sum();
        assert!(cases >= 120, "{cases} cases");
    }
}
