//! Alerts, recording rules and the dashboard name what exists, and each alert has its runbook and its tests.
//!
//! Owns: where these files lie. Invariants: a metric that a rule or a panel names is in `docs/METRICS.md`, or is recorded by a rule; each alert
//! names `docs/runbooks/<alert>.md`, which is there, and is in the tests of the rules with each of its severities; a runbook of an alert
//! has its alert. That alerts fire and clear is promtool's to say, in the ring.

use std::collections::BTreeSet;

use super::{Finding, Source, Tree};

const RULES: &str = "deploy/prometheus/rules.yml";
const TESTS: &str = "deploy/prometheus/rules_test.yml";
const METRICS: &str = "docs/METRICS.md";
const RUNBOOKS: &str = "docs/runbooks/";
/// What a histogram is scraped as.
const OF_HISTOGRAMS: &[&str] = &["_bucket", "_sum", "_count"];

pub(super) fn examine(tree: &Tree) -> Vec<Finding> {
    let text = |path| tree.file(path).map(|it| it.text.as_str());
    let (Some(rules), Some(tests), Some(metrics)) = (text(RULES), text(TESTS), text(METRICS))
    else {
        return vec![Finding::fault(
            RULES,
            format!("{RULES}, {TESTS} or {METRICS} is missing"),
        )];
    };
    let known = Known {
        metrics: metrics.split('`').collect(),
        histograms: metrics
            .lines()
            .filter(|it| it.contains("| histogram |"))
            .filter_map(|it| it.split('`').nth(1))
            .collect(),
        recorded: values(rules, "- record:").collect(),
    };
    let mut findings = Vec::new();
    let watched = ["deploy/prometheus/", "deploy/grafana/"];
    let watches = |it: &&Source| watched.iter().any(|folder| it.path.starts_with(folder));
    for file in tree.0.iter().filter(watches) {
        let unknown = names(&file.text).into_iter().filter(|it| !known.has(it));
        findings.extend(unknown.map(|name| {
            let words = format!("{name} is neither in {METRICS} nor recorded by {RULES}");
            Finding::fault(&file.path, words)
        }));
    }
    if rules.contains("expr: *") {
        let words = "an alias stands for an expression; Prometheus reads the alias's name";
        findings.push(Finding::fault(RULES, words));
    }
    let alerts = alerts(rules);
    for alert in &alerts {
        findings.extend(judge(alert, tree, tests));
    }
    for source in &tree.0 {
        let book = source.path.strip_prefix(RUNBOOKS);
        let name = book
            .and_then(|it| it.strip_suffix(".md"))
            .unwrap_or_default();
        if name.starts_with("Walferry") && !alerts.iter().any(|it| it.name == name) {
            findings.push(Finding::fault(&source.path, "is the runbook of no alert"));
        }
    }
    findings
}

struct Known<'a> {
    metrics: BTreeSet<&'a str>,
    histograms: BTreeSet<&'a str>,
    recorded: BTreeSet<&'a str>,
}

impl Known<'_> {
    fn has(&self, name: &str) -> bool {
        let scraped = |end: &&str| {
            name.strip_suffix(*end)
                .is_some_and(|it| self.histograms.contains(it))
        };
        self.metrics.contains(name)
            || self.recorded.contains(name)
            || OF_HISTOGRAMS.iter().any(scraped)
    }
}

/// Words that begin as our metrics and recorded series do.
fn names(text: &str) -> BTreeSet<&str> {
    let of_name = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == ':';
    text.split(|it: char| !of_name(it))
        .filter(|it| {
            let recorded = it.strip_prefix("walferry:");
            // `walferry:9464` is an address.
            it.starts_with("walferry_")
                || recorded.is_some_and(|it| it.starts_with(|it: char| it.is_ascii_lowercase()))
        })
        .collect()
}

struct Alert<'a> {
    name: &'a str,
    severity: &'a str,
    runbook: bool,
}

/// The value behind `key` on each line that has it.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim().strip_prefix(key).map(str::trim))
}

/// Each alert with its severity; whether the first of its name names its runbook holds for the others, which share its words.
fn alerts(rules: &str) -> Vec<Alert<'_>> {
    let mut alerts: Vec<Alert<'_>> = Vec::new();
    for block in rules.split("- alert:").skip(1) {
        let name = block.lines().next().unwrap_or_default().trim();
        let severity = values(block, "labels: { severity:").next();
        let runbook = format!("{RUNBOOKS}{name}.md");
        let named = values(block, "runbook_url:").any(|it| it == runbook);
        let shared = block.contains("annotations: *")
            && alerts.iter().any(|it| it.name == name && it.runbook);
        alerts.push(Alert {
            name,
            severity: severity.unwrap_or_default().trim_end_matches([' ', '}']),
            runbook: named || shared,
        });
    }
    alerts
}

fn judge(alert: &Alert<'_>, tree: &Tree, tests: &str) -> Vec<Finding> {
    let Alert {
        name,
        severity,
        runbook,
    } = alert;
    let mut findings = Vec::new();
    let mut fault = |words: String| findings.push(Finding::fault(RULES, words));
    let book = format!("{RUNBOOKS}{name}.md");
    if !runbook || tree.file(&book).is_none() {
        fault(format!(
            "{name} does not name its runbook {book}, or that is not there"
        ));
    }
    if !["warning", "critical"].contains(severity) {
        fault(format!("{name} has no severity"));
    }
    let fires = format!("{{alertname=\"{name}\", severity=\"{severity}\"");
    if !tests.contains(&fires) {
        fault(format!(
            "{name} with severity {severity} does not fire in {TESTS}"
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "- record: walferry:a:b\n  expr: walferry_a_total\n\
        - alert: WalferryX\n  expr: walferry:a:b + walferry_h_bucket\n  labels: { severity: warning }\n  \
        annotations: &x\n    runbook_url: docs/runbooks/WalferryX.md\n\
        - alert: WalferryX\n  expr: walferry:a:b\n  labels: { severity: critical }\n  annotations: *x\n";
    const FIRES: &str = "'{alertname=\"WalferryX\", severity=\"warning\"}' '{alertname=\"WalferryX\", severity=\"critical\"}'";

    fn findings(rules: &str, tests: &str, panel: &str, books: &[&str]) -> Vec<String> {
        let source = |path: &str, text: &str| Source {
            path: path.into(),
            text: text.into(),
        };
        let mut files = vec![
            source(RULES, rules),
            source(TESTS, tests),
            source(
                METRICS,
                "| `walferry_a_total` | counter |\n| `walferry_h` | histogram |\n",
            ),
            source("deploy/grafana/d.json", panel),
        ];
        files.extend(
            books
                .iter()
                .map(|it| source(&format!("{RUNBOOKS}{it}.md"), "")),
        );
        let found = examine(&Tree(files));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_names_what_exists_passes() {
        let panel = "{\"expr\": \"rate(walferry_h_sum{x=\\\"1\\\"}[5m]) + walferry:a:b\"}";
        let found = findings(GOOD, FIRES, panel, &["WalferryX", "slot-grows"]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn each_planted_fault_is_found() {
        let books: &[&str] = &["WalferryX"];
        let half = FIRES.replace("critical", "page");
        for (rules, tests, panel, books, said) in [
            (
                GOOD.to_owned(),
                FIRES,
                "walferry_b_total",
                books,
                "walferry_b_total is neither",
            ),
            (
                GOOD.to_owned(),
                FIRES,
                "walferry_a_total_sum",
                books,
                "is neither",
            ),
            (
                GOOD.to_owned(),
                FIRES,
                "",
                &[][..],
                "does not name its runbook",
            ),
            (
                GOOD.to_owned(),
                FIRES,
                "",
                &["WalferryX", "WalferryY"],
                "of no alert",
            ),
            (
                GOOD.to_owned(),
                &half,
                "",
                books,
                "with severity critical does not fire",
            ),
            (
                GOOD.replace("WalferryX.md", "other.md"),
                FIRES,
                "",
                books,
                "does not name its runbook",
            ),
            (
                GOOD.replace("severity: critical", "severity: page"),
                FIRES,
                "",
                books,
                "has no severity",
            ),
            (
                GOOD.replace("expr: walferry:a:b\n", "expr: *a\n"),
                FIRES,
                "",
                books,
                "an alias stands",
            ),
        ] {
            let found = findings(&rules, tests, panel, books);
            assert!(
                found.iter().any(|it| it.contains(said)),
                "{said}: {found:?}"
            );
        }
        assert!(examine(&Tree::default())[0].to_string().contains("missing"));
    }
}
