//! Which crate may know which: all arrows point at the vocabulary, and one crate wires the ring.
//!
//! Owns: the table of what is allowed. Never: looks at what tests depend on.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::step;

/// Crate → the crates of ours that it may depend on. See docs/ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("walferry-event", &[]),
    ("walferry-pgoutput", &["walferry-event"]),
    (
        "walferry-postgres",
        &["walferry-event", "walferry-pgoutput"],
    ),
    ("walferry-avro", &["walferry-event"]),
    ("walferry-registry", &["walferry-event"]),
    ("walferry-kafka", &["walferry-event"]),
    (
        "walferry-pipeline",
        &[
            "walferry-event",
            "walferry-pgoutput",
            "walferry-postgres",
            "walferry-avro",
            "walferry-registry",
            "walferry-kafka",
        ],
    ),
    (
        "walferry-operations",
        &[
            "walferry-event",
            "walferry-pgoutput",
            "walferry-postgres",
            "walferry-avro",
            "walferry-registry",
            "walferry-kafka",
            "walferry-pipeline",
        ],
    ),
    // The binary turns its configuration into the pipeline's, which names where PostgreSQL is.
    (
        "walferry",
        &[
            "walferry-event",
            "walferry-postgres",
            "walferry-pipeline",
            "walferry-operations",
        ],
    ),
    // Which OpenSSL librdkafka is linked with.
    ("openssl-sys", &[]),
    // Never shipped. The testkit judges the product from outside, so that it shares no mistake with it.
    ("walferry-stack", &[]),
    ("walferry-testkit", &["walferry-stack"]),
    ("walferry-trials", &["walferry-stack", "walferry-testkit"]),
    // It has to be built in seconds.
    ("xtask", &["walferry-stack"]),
];

/// Crates that may know any crate.
const FOR_TESTS: &[&str] = &["integration-tests"];

/// A crate and those of ours that it is built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrows {
    from: String,
    to: Vec<String>,
}

pub(super) fn examine(all: &[Arrows]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Arrows { from, to } in all {
        if FOR_TESTS.contains(&from.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
            findings.push(Finding::fault(
                from,
                "has no line in the table of allowed dependencies",
            ));
            continue;
        };
        for target in to
            .iter()
            .filter(|target| !allowed.contains(&target.as_str()))
        {
            findings.push(Finding::fault(from, format!("may not depend on {target}")));
        }
    }
    findings
}

/// The arrows of the workspace as cargo sees them; those of tests are left out.
pub(super) fn of_workspace(root: &Path) -> Result<Vec<Arrows>> {
    let mut command = crate::commands::cargo();
    command.args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]);
    command.current_dir(root);
    let text = step::output("cargo metadata", &mut command)?;
    let value = serde_json::from_str(&text).context("cargo metadata wrote what is not JSON")?;
    of_metadata(&value).context("cargo metadata has another form than expected")
}

fn of_metadata(value: &Value) -> Option<Vec<Arrows>> {
    let packages = value["packages"].as_array()?;
    let names: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    packages
        .iter()
        .map(|package| {
            let to = package["dependencies"]
                .as_array()?
                .iter()
                .filter_map(|dependency| {
                    // A dependency that counts for the program has no kind; `dev` and `build` have one.
                    let name = dependency["name"].as_str()?;
                    (dependency["kind"].is_null() && names.contains(&name)).then(|| name.to_owned())
                });
            Some(Arrows {
                from: package["name"].as_str()?.to_owned(),
                to: to.collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arrows(from: &str, to: &[&str]) -> Arrows {
        Arrows {
            from: from.into(),
            to: to.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn a_stage_that_names_another_is_found() {
        assert!(examine(&[arrows("walferry-avro", &["walferry-event"])]).is_empty());
        let findings = examine(&[arrows("walferry-avro", &["walferry-kafka"])]);
        assert_eq!(
            findings[0].to_string(),
            "error: walferry-avro: may not depend on walferry-kafka"
        );
    }

    #[test]
    fn a_crate_that_ships_may_not_depend_on_the_testkit() {
        let findings = examine(&[arrows("walferry", &["walferry-testkit"])]);
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_line_in_the_table() {
        assert_eq!(examine(&[arrows("walferry-new", &[])]).len(), 1);
        assert!(examine(&[arrows("integration-tests", &["walferry-pipeline"])]).is_empty());
    }

    #[test]
    fn metadata_is_read_without_foreign_crates_and_tests() {
        let value = json!({"packages": [
            {"name": "a", "dependencies": [
                {"name": "b", "kind": null},
                {"name": "c", "kind": "dev"},
                {"name": "serde", "kind": null},
            ]},
            {"name": "b", "dependencies": []},
            {"name": "c", "dependencies": []},
        ]});
        let found = of_metadata(&value).unwrap();
        assert_eq!(
            found,
            [arrows("a", &["b"]), arrows("b", &[]), arrows("c", &[])]
        );
    }
}
