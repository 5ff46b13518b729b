//! The verb that has tables of a running connector read again, so that their topics agree with them.
//!
//! Owns the shape of the request. Every call needs the token and ends in the audit log, also one that is refused.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;

use super::{
    Shown,
    control::{Body, admitted, said},
};

/// Body of `POST /control/resync`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Each as `schema.table`.
    tables: Vec<String>,
    /// The connector; may be left out when there is only one.
    #[serde(default)]
    connector: Option<String>,
}

/// Has tables read again; answered when that stands in the checkpoint.
pub(super) async fn start(
    State(shown): State<Shown>,
    headers: HeaderMap,
    body: Body<Wanted>,
) -> Response {
    const VERB: &str = "resync";
    let wanted = match admitted(&shown, &headers, VERB, body) {
        Ok(wanted) => wanted,
        Err((status, reason)) => return said(status, "error", &reason),
    };
    let named = |name: &str| wanted.connector.as_ref().is_none_or(|it| it == name);
    let mut chosen = shown.connectors.iter().filter(|it| named(it.name()));
    let (Some(status), None) = (chosen.next(), chosen.next()) else {
        let names: Vec<&str> = shown.connectors.iter().map(|it| it.name()).collect();
        let reason = format!("say which connector: one of {}", names.join(", "));
        return said(StatusCode::NOT_FOUND, "error", &reason);
    };
    if wanted.tables.is_empty() {
        let reason = "no table is named; every table is read again by `walferry resync`, which takes a new slot";
        return said(StatusCode::BAD_REQUEST, "error", reason);
    }
    let outcome = walferry_pipeline::resync(status, &wanted.tables).await;
    let told = outcome
        .as_ref()
        .err()
        .map_or_else(|| "done".to_owned(), ToString::to_string);
    tracing::info!(target: "audit", verb = VERB, tables = wanted.tables.join(", "), connector = status.name(),
        outcome = told, "control call");
    match outcome {
        Ok(()) => said(StatusCode::OK, "message", "the tables are read again"),
        Err(_) => said(StatusCode::CONFLICT, "error", &told),
    }
}
