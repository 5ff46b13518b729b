//! The outcome in words: the summary of a pass, and `docs/COMPAT.md`.
//!
//! Owns: the counting and the document's text. Never: decides what is equal.
//! Start reading at [`Pass`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::corpus::Group;
use super::difference::{self, Difference};
use super::recording::Recorded;
use super::review::{Entry, Review};

/// One case of one pass.
#[derive(Debug)]
pub struct Outcome {
    /// Its group.
    pub group: String,
    /// Its name.
    pub case: String,
    /// Entries of the reviewed list that cover differences.
    pub listed: Vec<Entry>,
    /// Differences that none covers.
    pub unlisted: Vec<Difference>,
}

impl Outcome {
    fn is_equal(&self) -> bool {
        self.listed.is_empty() && self.unlisted.is_empty()
    }
}

/// All cases with one choice of quirks.
#[derive(Debug)]
pub struct Pass {
    /// `all` or `none`.
    pub name: &'static str,
    /// In the order of the groups.
    pub outcomes: Vec<Outcome>,
}

impl Pass {
    /// An empty one.
    pub fn new(name: &'static str) -> Pass {
        Pass {
            name,
            outcomes: Vec::new(),
        }
    }

    /// Compares a group's cases.
    pub fn add(
        &mut self,
        group: &str,
        debezium: &Recorded,
        walferry: &Recorded,
        review: &mut Review,
    ) {
        let topics = |side: &Recorded, case: &str| {
            let found = side.iter().find(|(name, _)| name == case);
            found.map(|(_, topics)| topics.clone()).unwrap_or_default()
        };
        let mut names: Vec<&String> = debezium.iter().map(|(name, _)| name).collect();
        names.extend(
            walferry
                .iter()
                .map(|(name, _)| name)
                .filter(|it| !debezium.iter().any(|(name, _)| name == *it)),
        );
        for case in names {
            let differences = difference::between(&topics(debezium, case), &topics(walferry, case));
            let (listed, unlisted) = review.judge((group, case, self.name), &differences);
            self.outcomes.push(Outcome {
                group: group.to_owned(),
                case: case.clone(),
                listed,
                unlisted: unlisted.into_iter().cloned().collect(),
            });
        }
    }

    /// `cases N, equal N, differences listed N, unlisted N`.
    pub fn summary(&self) -> String {
        let count =
            |test: &dyn Fn(&Outcome) -> bool| self.outcomes.iter().filter(|it| test(it)).count();
        let cases = self.outcomes.len();
        let equal = count(&Outcome::is_equal);
        format!(
            "quirks {}: cases {cases}, equal {equal} ({:.1} %), differences listed {}, unlisted {}",
            self.name,
            100.0 * equal as f64 / cases.max(1) as f64,
            count(&|it| it.unlisted.is_empty() && !it.listed.is_empty()),
            count(&|it| !it.unlisted.is_empty()),
        )
    }

    /// One line for each unlisted difference.
    pub fn unlisted(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for outcome in &self.outcomes {
            for it in &outcome.unlisted {
                let place = format!(
                    "[{}] {} / {} / {}",
                    self.name, outcome.group, outcome.case, it.path
                );
                lines.push(format!(
                    "{place}\n    debezium {}\n    walferry {}",
                    cut(&it.debezium),
                    cut(&it.walferry)
                ));
            }
        }
        lines
    }

    fn outcome(&self, group: &str, case: &str) -> Option<&Outcome> {
        self.outcomes
            .iter()
            .find(|it| it.group == group && it.case == case)
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The document.
pub fn document(groups: &[Group], all: &Pass, none: &Pass, debezium: &str) -> String {
    let mut out = HEAD.replace("{VERSION}", debezium);
    let _ = writeln!(out, "```text\n{}\n{}\n```\n", all.summary(), none.summary());
    let mut reasons: Vec<(String, String)> = Vec::new();
    let mut families: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for group in groups {
        for case in &group.cases {
            let mut words = |pass: &Pass| match pass.outcome(&group.name, &case.name) {
                None => "not run".to_owned(),
                Some(it) if it.is_equal() => "equal".to_owned(),
                Some(it) => {
                    let mut marks: Vec<String> = it
                        .listed
                        .iter()
                        .map(|entry| mark(&mut reasons, entry))
                        .collect();
                    if !it.unlisted.is_empty() {
                        marks.push("**not reviewed**".to_owned());
                    }
                    marks.join(" ")
                }
            };
            let (with, without) = (words(all), words(none));
            let line = format!(
                "| {} | {} | {} | {with} | {without} |",
                case.name, group.name, case.covers
            );
            families.entry(&case.family).or_default().push(line);
        }
    }
    out.push_str("## Deliberate differences\n\n| | quirk that takes it away | what Walferry does instead, and why |\n|---|---|---|\n");
    for (at, (quirk, reason)) in reasons.iter().enumerate() {
        let _ = writeln!(out, "| {} | {quirk} | {reason} |", at + 1);
    }
    out.push_str("\n## Settings of the groups\n\n| group | Debezium | Walferry |\n|---|---|---|\n");
    for group in groups {
        let pairs = |map: &serde_json::Map<String, serde_json::Value>| {
            let pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| match value.as_str() {
                    Some(text) => format!("`{key} = {text}`"),
                    None => format!("`{key} = {value}`"),
                })
                .collect();
            pairs.join(" ").replace('|', "\\|")
        };
        let tables = group
            .tables
            .iter()
            .map(|it| format!(" `[[table]] {}`", it.replace('\n', "; ")));
        let tables: String = tables.collect();
        let _ = writeln!(
            out,
            "| {} | {} | {}{tables} |",
            group.name,
            pairs(&group.debezium),
            pairs(&group.walferry)
        );
    }
    out.push_str("\n## Cases\n");
    for (family, lines) in families {
        let _ = write!(
            out,
            "\n### {family}\n\n{CASES_HEAD}\n{}\n",
            lines.join("\n")
        );
    }
    out
}

fn mark(reasons: &mut Vec<(String, String)>, entry: &Entry) -> String {
    let quirk = entry
        .quirk
        .as_ref()
        .map_or("none".to_owned(), |quirk| format!("`{quirk}`"));
    let pair = (quirk, entry.reason.replace('\n', " "));
    let at = reasons
        .iter()
        .position(|it| *it == pair)
        .unwrap_or_else(|| {
            reasons.push(pair);
            reasons.len() - 1
        });
    format!("({})", at + 1)
}

const SHOWN_MAX: usize = 400;
const CASES_HEAD: &str = "| case | group | shows | all quirks | no quirks |\n|---|---|---|---|---|";
const HEAD: &str = "# Compatibility with Debezium

<!-- written by `cargo xtask compat`; edit compat/differences.toml of walferry-trials, not this file -->

A live Debezium {VERSION} (Kafka Connect in exactly-once mode, Avro in Confluent's wire format) and Walferry follow the
same database. Compared are key, value, both schemas to the order of their properties, headers, tombstones, order and
partition; where both are live also LSN, transaction and commit time. Not compared: clocks, the version's name, ids of
schemas and runs. Walferry runs twice: with `quirks = [\"all\"]` and with none. A number in a table names a deliberate difference.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_by_their_outcome() {
        let outcome = |listed: usize, unlisted: usize| Outcome {
            group: "g".to_owned(),
            case: format!("{listed}{unlisted}"),
            listed: vec![
                Entry {
                    cases: vec![],
                    groups: vec![],
                    passes: vec![],
                    paths: vec![],
                    quirk: None,
                    reason: String::new(),
                };
                listed
            ],
            unlisted: vec![
                Difference {
                    path: "p".to_owned(),
                    debezium: "a".to_owned(),
                    walferry: "b".to_owned(),
                };
                unlisted
            ],
        };
        let pass = Pass {
            name: "all",
            outcomes: vec![outcome(0, 0), outcome(1, 0), outcome(1, 1), outcome(0, 2)],
        };
        let expected = "quirks all: cases 4, equal 1 (25.0 %), differences listed 1, unlisted 2";
        assert_eq!(pass.summary(), expected);
        assert_eq!(pass.unlisted().len(), 3);
    }
}
