//! The control verbs of the admin server: what an operator tells a running process to do.
//!
//! Owns the check of the bearer token and the shapes of the requests. Every call ends in the audit log, also one that is
//! refused. Invariant: without `admin.token` no verb does anything.
//! Start reading at [`approve_schema`].

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use walferry_event::Secret;
use walferry_pipeline::Status;

use super::Shown;

/// Body of `POST /control/schema/approve`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// `schema.table`.
    table: String,
    /// The connector; may be left out when only one has this table parked.
    connector: Option<String>,
}

/// Lets a parked table go on with the schema that the registry has refused.
pub(super) async fn approve_schema(
    State(shown): State<Shown>,
    headers: HeaderMap,
    Json(approval): Json<Approval>,
) -> Response {
    const VERB: &str = "schema approve";
    if let Err((status, reason)) = authorised(shown.token.as_ref(), &headers) {
        tracing::warn!(target: "audit", verb = VERB, outcome = reason, "control call refused");
        return said(status, "error", &reason);
    }
    let outcome = match chosen(&shown.connectors, &approval) {
        Ok(status) => status.approve(&approval.table).await,
        Err(reason) => Err(reason),
    };
    tracing::info!(target: "audit", verb = VERB, table = approval.table, connector = approval.connector,
        outcome = outcome.as_ref().map_or_else(String::as_str, String::as_str), "control call");
    match outcome {
        Ok(message) => said(StatusCode::OK, "message", &message),
        Err(reason) => said(StatusCode::CONFLICT, "error", &reason),
    }
}

/// The connector that is meant: the one that is named, else the one that has the table parked, else the only one.
fn chosen<'a>(
    connectors: &'a [Arc<Status>],
    approval: &Approval,
) -> Result<&'a Arc<Status>, String> {
    if let Some(name) = &approval.connector {
        let named = connectors.iter().find(|it| it.name() == name);
        return named.ok_or_else(|| format!("there is no connector {name:?} in this process"));
    }
    let parks = |it: &&Arc<Status>| it.parked().contains(&approval.table);
    let found: Vec<_> = connectors.iter().filter(parks).collect();
    match (found.as_slice(), connectors) {
        ([one], _) => Ok(one),
        ([], [only]) => Ok(only),
        ([], _) => Err(format!(
            "no connector has table {:?} parked",
            approval.table
        )),
        (several, _) => Err(format!(
            "{} connectors have table {:?} parked: say which",
            several.len(),
            approval.table
        )),
    }
}

/// Whether the request shows the token.
pub(super) fn authorised(
    token: Option<&Secret>,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, String)> {
    let off = |reason: String| (StatusCode::FORBIDDEN, reason);
    let token =
        token.ok_or_else(|| off("control verbs are switched off: set admin.token".into()))?;
    let token = token
        .read()
        .map_err(|reason| off(format!("admin.token: {reason}")))?;
    if token.is_empty() {
        return Err(off("admin.token is empty".into()));
    }
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|it| it.as_bytes().strip_prefix(b"Bearer "))
        .unwrap_or_default();
    match same(token.as_bytes(), shown) {
        true => Ok(()),
        false => Err((
            StatusCode::UNAUTHORIZED,
            "the bearer token is not the one of admin.token".into(),
        )),
    }
}

/// Compares in a time that does not tell how much is right.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |sum, (l, r)| sum | (l ^ r));
    left.len() == right.len() && differing == 0
}

pub(super) fn said(status: StatusCode, word: &str, text: &str) -> Response {
    (status, Json(json!({ word: text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_token_opens_a_verb() {
        let token = Secret::literal("open");
        for (authorization, status) in [
            (Some("Bearer open"), None),
            (Some("Bearer ope"), Some(401)),
            (Some("Bearer opens"), Some(401)),
            (Some("open"), Some(401)),
            (None, Some(401)),
        ] {
            let outcome = authorised(Some(&token), &headers(authorization));
            let refused = outcome.err().map(|it| it.0.as_u16());
            assert_eq!(refused, status, "{authorization:?}");
        }
        for token in [None, Some(Secret::literal(""))] {
            let outcome = authorised(token.as_ref(), &headers(Some("Bearer ")));
            assert_eq!(outcome.unwrap_err().0, 403);
        }
    }

    #[test]
    fn the_connector_that_is_meant_is_found() {
        let connectors = [Arc::new(Status::new("a")), Arc::new(Status::new("b"))];
        let approval = |connector: Option<&str>| Approval {
            table: "public.t".into(),
            connector: connector.map(str::to_owned),
        };
        assert_eq!(
            chosen(&connectors, &approval(Some("b"))).unwrap().name(),
            "b"
        );
        assert!(chosen(&connectors, &approval(Some("c"))).is_err());
        assert!(chosen(&connectors, &approval(None)).is_err());
        assert_eq!(
            chosen(&connectors[..1], &approval(None)).unwrap().name(),
            "a"
        );
    }
}
