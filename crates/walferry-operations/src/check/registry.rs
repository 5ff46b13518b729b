//! The registry in `walferry check`: whether it is one, whether it takes schemas, and why it refuses one.
//!
//! Owns these findings. Never: registers anything.

use std::sync::Arc;

use walferry_event::Code;
use walferry_registry::Registry;

use crate::{check::finding::Finding, schema};
use walferry_pipeline::config::Config;

const SUBJECT: &str = "registry";

pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Arc<Registry>> {
    let asked = async {
        let registry = Registry::new(config.registry.clone())?;
        registry.ping().await?;
        Ok::<_, walferry_registry::Error>(registry)
    };
    let registry = match asked.await {
        Ok(registry) => registry,
        Err(error) => {
            findings.push(Finding::error(
                Code::RegistryUnreachable,
                SUBJECT,
                error.to_string(),
            ));
            return None;
        }
    };
    findings.push(Finding::ok(SUBJECT, "answers"));
    // A registry without modes takes schemas; what else is wrong comes to light with the first schema.
    if let Ok(Some(mode)) = registry.mode().await
        && mode != "READWRITE"
    {
        findings.push(
            Finding::error(Code::RegistryUnreachable, SUBJECT,
                format!("is in mode {mode}, so that it takes no new schema"),
            )
            .remedy("set it back to READWRITE (PUT /mode), or point registry.url at the registry that takes schemas"),
        );
    }
    if config.registry.urls.iter().any(|url| url.is_readable())
        && (config.registry.password.is_some() || config.registry.token.is_some())
    {
        findings.push(
            Finding::warning(
                Code::ClearText,
                SUBJECT,
                "its password or token goes over the network in clear text (http)",
            )
            .remedy("use https"),
        );
    }
    Some(Arc::new(registry))
}

/// Why a schema is refused: the registry's reasons, or, where it gives none, what differs from its newest version.
pub(super) async fn refusal(
    registry: &Registry,
    subject: &str,
    schema: &str,
    reasons: &[String],
) -> String {
    let told: Vec<&str> = reasons.iter().map(|it| it.trim()).collect();
    let told: Vec<&str> = told.into_iter().filter(|it| !it.is_empty()).collect();
    if !told.is_empty() {
        return told.join("; ");
    }
    let latest = registry.latest(subject).await.ok().flatten();
    let differences = latest.as_ref().map(|latest| {
        let differences = schema::differences(&latest.schema, schema);
        format!(
            "against its version {}: {}",
            latest.version,
            differences.join(", ")
        )
    });
    match differences {
        Some(differences) => format!("the registry gives no reason; {differences}"),
        None => "the registry gives no reason".to_owned(),
    }
}
