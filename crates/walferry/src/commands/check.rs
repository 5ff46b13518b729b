//! `walferry check`: the findings, as text, as JSON, or only what mends the source or Kafka.

mod fixes;

pub(crate) use fixes::Form;

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use walferry_event::Code;
use walferry_operations::check::{
    examine,
    finding::{Finding, Severity},
};

use super::{admin_client::client, load, one_line, wait};
use crate::{Failure, print, tell};

pub(crate) fn run(path: &Path, form: Form) -> Result<(), Failure> {
    let loaded = load(path)?;
    let mut findings = wait(examine(&loaded.pipeline))?;
    findings.extend(wait(port(loaded.listen, &loaded.pipeline.name))?);
    let text = match form {
        Form::Text => table(&findings),
        Form::Json => format!("{:#}\n", json!({ "findings": findings })),
        Form::Sql => fixes::sql(&findings),
        Form::Kafka => fixes::kafka(&findings),
    };
    print(text.as_bytes())?;
    for note in fixes::notes(form, &findings, &text) {
        tell(&note);
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
        return Some(Finding::plan(SUBJECT, message));
    }
    let by = match connectors {
        Some(_) => "; another Walferry process listens there",
        None => "",
    };
    Some(
        Finding::error(Code::AdminAddress, SUBJECT, format!("cannot listen on {listen}: {error}{by}"))
            .remedy("choose another port; connectors of one machine need one each, or a folder with run -c DIR"),
    )
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
        for fix in [&finding.fix_sql, &finding.fix_kafka].into_iter().flatten() {
            for line in fix.lines() {
                text.push_str(&format!("         {line}\n"));
            }
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
