//! What mends the findings, alone: SQL for the source, lines of Kafka's tools for topics and rights.
//!
//! Owns their order, and what is said beside them on standard error. Never: runs any of it.

use std::collections::HashSet;

use walferry_operations::check::finding::{Finding, NOBODY, Severity};

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines for people.
    Text,
    /// All of it, for programs.
    Json,
    /// The SQL that mends the source, alone.
    Sql,
    /// The lines of Kafka's tools that mend topics and rights, alone.
    Kafka,
}

pub(super) fn sql(findings: &[Finding]) -> String {
    let fixes = findings.iter().filter_map(|it| it.fix_sql.as_deref());
    let statements = fixes.flat_map(|sql| sql.split_inclusive(";\n").map(str::trim_end));
    once(statements.collect())
}

/// Topics are there before they are changed, and changed before rights on them are granted.
pub(super) fn kafka(findings: &[Finding]) -> String {
    let fixes = findings.iter().filter_map(|it| it.fix_kafka.as_deref());
    let mut lines: Vec<&str> = fixes.flat_map(str::lines).collect();
    let tools = ["kafka-topics ", "kafka-configs ", "kafka-acls "];
    lines.sort_by_key(|line| tools.iter().position(|tool| line.starts_with(tool)));
    once(lines)
}

/// One line may mend what several findings tell of.
fn once(mut lines: Vec<&str>) -> String {
    let mut seen = HashSet::new();
    lines.retain(|line| seen.insert(*line));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What has to be known beside the fixes, and what none of them mends, which would else fail without a word.
pub(super) fn notes(form: Form, findings: &[Finding], text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let fix = |it: &Finding| match form {
        Form::Sql => it.fix_sql.is_some(),
        Form::Kafka => it.fix_kafka.is_some(),
        Form::Text | Form::Json => true,
    };
    if form == Form::Sql {
        notes.extend(restarts(findings).map(|subject| {
            format!("note: restart PostgreSQL after this SQL: {subject} takes effect with a start")
        }));
    }
    if form == Form::Kafka && !text.is_empty() {
        notes.push(
            "note: run these lines as an administrator of Kafka (with --command-config FILE where a log-in is asked for); \
             Apache's own scripts have names that end in .sh"
                .to_owned(),
        );
    }
    if form == Form::Kafka && text.contains(NOBODY) {
        notes.push(format!(
            "note: put the name that the brokers know this connector by in the place of {NOBODY}"
        ));
    }
    let unmended = |it: &&Finding| it.severity == Severity::Error && !fix(it);
    for finding in findings.iter().filter(unmended) {
        let remedy = finding.remedy.as_ref();
        let remedy = remedy.map_or_else(String::new, |it| format!("; {it}"));
        let other = match (&finding.fix_sql, &finding.fix_kafka) {
            (Some(_), None) => " (--fix-sql mends it)",
            (None, Some(_)) => " (--fix-kafka mends it)",
            _ => "",
        };
        notes.push(format!(
            "error: {}: {}{remedy}{other}",
            finding.subject, finding.message
        ));
    }
    notes
}

/// What takes effect with a start of the server alone.
fn restarts(findings: &[Finding]) -> impl Iterator<Item = &str> {
    let needs = |it: &&Finding| {
        let sql = it.fix_sql.as_deref();
        sql.is_some_and(|sql| sql.contains("then restart the server"))
    };
    findings.iter().filter(needs).map(|it| it.subject.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, kafka: Option<&str>) -> Finding {
        Finding {
            severity,
            code: None,
            subject: "topic t".into(),
            message: "is wrong".into(),
            remedy: Some("mend it".into()),
            fix_sql: None,
            fix_kafka: kafka.map(str::to_owned),
        }
    }

    #[test]
    fn topics_come_before_settings_and_settings_before_rights_each_line_once() {
        let findings = [
            finding(Severity::Error, Some("kafka-acls a")),
            finding(Severity::Warning, Some("kafka-configs c")),
            finding(
                Severity::Error,
                Some("kafka-topics --delete t\nkafka-topics --create t"),
            ),
            finding(Severity::Error, Some("kafka-acls a")),
        ];
        assert_eq!(
            kafka(&findings),
            "kafka-topics --delete t\nkafka-topics --create t\nkafka-configs c\nkafka-acls a\n"
        );
    }

    #[test]
    fn what_no_line_mends_is_said_and_who_is_to_be_named() {
        let findings = [finding(Severity::Error, None)];
        assert_eq!(
            notes(Form::Kafka, &findings, ""),
            ["error: topic t: is wrong; mend it"]
        );
        let line = format!("kafka-acls --allow-principal {NOBODY}");
        let findings = [finding(Severity::Error, Some(&line))];
        let told = notes(Form::Kafka, &findings, &kafka(&findings));
        assert!(told.len() == 2 && told[1].contains(NOBODY), "{told:?}");
        let told = notes(Form::Sql, &findings, "");
        assert!(told[0].contains("--fix-kafka mends it"), "{told:?}");
    }
}
