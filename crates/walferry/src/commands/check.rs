//! `walferry check`: the findings, as text, as JSON, or only the SQL that mends the source.

use std::path::Path;

use serde_json::json;
use walferry_pipeline::{Finding, Severity};

use super::{load, one_line, wait};
use crate::{Failure, print, tell};

pub(crate) fn run(path: &Path, fix_sql: bool, as_json: bool) -> Result<(), Failure> {
    let loaded = load(path)?;
    let findings = wait(walferry_pipeline::examine(&loaded.pipeline))?;
    let text = if fix_sql {
        sql(&findings)
    } else if as_json {
        format!("{:#}\n", json!({ "findings": findings }))
    } else {
        table(&findings)
    };
    print(text.as_bytes())?;
    if fix_sql {
        // What no SQL mends would otherwise fail without a word.
        let unmended = |it: &&Finding| it.severity == Severity::Error && it.fix_sql.is_none();
        for finding in findings.iter().filter(unmended) {
            let remedy = finding.remedy.as_ref();
            let remedy = remedy.map_or_else(String::new, |it| format!("; {it}"));
            tell(&format!(
                "error: {}: {}{remedy}",
                finding.subject, finding.message
            ));
        }
    }
    let failed = findings.iter().any(|it| it.severity == Severity::Error);
    if failed { Err(Failure::told()) } else { Ok(()) }
}

fn sql(findings: &[Finding]) -> String {
    let mut lines: Vec<&str> = findings
        .iter()
        .filter_map(|finding| finding.fix_sql.as_deref())
        .collect();
    lines.dedup();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Ok => "ok     ",
            Severity::Plan => "plan   ",
            Severity::Warning => "warning",
            Severity::Error => "ERROR  ",
        };
        text.push_str(&format!(
            "{word}  {}: {}\n",
            one_line(&finding.subject),
            one_line(&finding.message)
        ));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("         remedy: {}\n", one_line(remedy)));
        }
        if let Some(sql) = &finding.fix_sql {
            text.push_str(&format!("         {sql}\n"));
        }
    }
    let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
    text.push_str(&format!(
        "{} errors, {} warnings\n",
        count(Severity::Error),
        count(Severity::Warning)
    ));
    text
}
