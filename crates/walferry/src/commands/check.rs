//! `walferry check`: the findings, as text, as JSON, or only the SQL that mends the source.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use walferry_operations::check::{
    examine,
    finding::{Finding, Severity},
};

use super::{admin_client::client, load, one_line, wait};
use crate::{Failure, print, tell};

pub(crate) fn run(path: &Path, fix_sql: bool, as_json: bool) -> Result<(), Failure> {
    let loaded = load(path)?;
    let mut findings = wait(examine(&loaded.pipeline))?;
    findings.extend(wait(port(loaded.listen, &loaded.pipeline.name))?);
    let text = if fix_sql {
        sql(&findings)
    } else if as_json {
        format!("{:#}\n", json!({ "findings": findings }))
    } else {
        table(&findings)
    };
    print(text.as_bytes())?;
    if fix_sql {
        for subject in restarts(&findings) {
            tell(&format!(
                "note: restart PostgreSQL after this SQL: {subject} takes effect with a start"
            ));
        }
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

/// Whether the admin server could listen; the port may be in use by the connector itself, which run takes over from.
async fn port(listen: SocketAddr, name: &str) -> Option<Finding> {
    const SUBJECT: &str = "admin.listen";
    let error = match TcpListener::bind(listen).await {
        Ok(_) => return None,
        Err(error) => error,
    };
    let told = async {
        let url = format!("http://{listen}/status");
        let answer = client(Duration::from_secs(2))
            .ok()?
            .get(url)
            .send()
            .await
            .ok()?;
        answer.json::<Json>().await.ok()
    };
    let told = told.await.unwrap_or_default();
    let connectors = told["connectors"].as_array();
    let named = |it: &Json| it["name"] == name;
    if connectors.is_some_and(|all| all.iter().any(named)) {
        let message = format!(
            "{listen}: a process that runs the connector {name:?} listens there; a second one on this machine needs another port"
        );
        return Some(Finding::new(Severity::Plan, SUBJECT, message));
    }
    let by = match connectors {
        Some(_) => "; another Walferry process listens there",
        None => "",
    };
    Some(
        Finding::new(Severity::Error, SUBJECT, format!("cannot listen on {listen}: {error}{by}"))
            .remedy("choose another port; connectors of one machine need one each, or a folder with run -c DIR"),
    )
}

fn sql(findings: &[Finding]) -> String {
    let mut lines: Vec<&str> = findings
        .iter()
        .filter_map(|finding| finding.fix_sql.as_deref())
        .flat_map(|sql| sql.split_inclusive(";\n").map(str::trim_end))
        .collect();
    // One statement may mend what several findings tell of.
    let mut seen = std::collections::HashSet::new();
    lines.retain(|line| seen.insert(*line));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What takes effect with a start of the server alone.
fn restarts(findings: &[Finding]) -> Vec<&str> {
    let needs = |it: &&Finding| {
        let sql = it.fix_sql.as_deref();
        sql.is_some_and(|sql| sql.contains("then restart the server"))
    };
    let needing = findings.iter().filter(needs);
    needing.map(|it| it.subject.as_str()).collect()
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
