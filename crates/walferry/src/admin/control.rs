//! The control verbs of the admin server: what an operator tells a running process to do.
//!
//! Owns the check of the bearer token and the shapes of the requests. Every call ends in the audit log, also one that is
//! refused. Invariant: without `admin.token` no verb does anything.
//! Start reading at [`approve_schema`].

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use walferry_event::Secret;
use walferry_pipeline::Handle;

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

/// A body as the verb wants it, or why it is not.
pub(super) type Body<T> = Result<Json<T>, JsonRejection>;

/// Lets a parked table go on with the schema that the registry has refused.
pub(super) async fn approve_schema(
    State(shown): State<Shown>,
    headers: HeaderMap,
    body: Body<Approval>,
) -> Response {
    const VERB: &str = "schema approve";
    let approval = match admitted(&shown, &headers, VERB, body) {
        Ok(approval) => approval,
        Err((status, reason)) => return said(status, "error", &reason),
    };
    let status = match chosen(&shown.connectors, &approval) {
        Ok(status) => status,
        Err((code, reason)) => {
            tracing::warn!(target: "audit", verb = VERB, table = approval.table, connector = approval.connector,
                outcome = reason, "control call refused");
            return said(code, "error", &reason);
        }
    };
    let outcome = status.approve(&approval.table).await;
    tracing::info!(target: "audit", verb = VERB, table = approval.table, connector = status.name(),
        outcome = outcome.as_ref().map_or_else(String::as_str, String::as_str), "control call");
    match outcome {
        Ok(message) => said(StatusCode::OK, "message", &message),
        Err(reason) => said(StatusCode::CONFLICT, "error", &reason),
    }
}

/// Body of `POST /control/pause` and `/control/resume`; it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// The connector; may be left out when there is only one.
    connector: Option<String>,
}

/// Holds publishing at the end of a transaction.
pub(super) async fn pause(State(shown): State<Shown>, headers: HeaderMap, body: Bytes) -> Response {
    const VERB: &str = "pause";
    let status = match which(&shown, &headers, VERB, &body) {
        Ok(status) => status,
        Err((status, reason)) => return said(status, "error", &reason),
    };
    let outcome = status.pause().await;
    tracing::info!(target: "audit", verb = VERB, connector = status.name(),
        outcome = outcome.as_ref().map_or_else(String::as_str, String::as_str), "control call");
    match outcome {
        Ok(message) => said(StatusCode::OK, "message", &message),
        Err(reason) => said(StatusCode::CONFLICT, "error", &reason),
    }
}

/// Lets publishing go on.
pub(super) async fn resume(
    State(shown): State<Shown>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    const VERB: &str = "resume";
    let status = match which(&shown, &headers, VERB, &body) {
        Ok(status) => status,
        Err((status, reason)) => return said(status, "error", &reason),
    };
    let message = status.resume();
    tracing::info!(target: "audit", verb = VERB, connector = status.name(), outcome = message, "control call");
    said(StatusCode::OK, "message", &message)
}

/// The connector that a call of a verb means, when it shows the token.
fn which<'a>(
    shown: &'a Shown,
    headers: &HeaderMap,
    verb: &str,
    body: &[u8],
) -> Result<&'a Arc<Handle>, (StatusCode, String)> {
    let chosen = || {
        authorised(shown.token.as_ref(), headers)?;
        let which = match body {
            [] => Which::default(),
            body => serde_json::from_slice(body)
                .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?,
        };
        match (&which.connector, &*shown.connectors) {
            (None, [only]) => Ok(only),
            (None, all) => {
                let names: Vec<&str> = all.iter().map(|it| it.name()).collect();
                let reason = format!("say which connector: one of {}", names.join(", "));
                Err((StatusCode::BAD_REQUEST, reason))
            }
            (Some(name), all) => all.iter().find(|it| it.name() == name).ok_or_else(|| {
                let reason = format!("there is no connector {name:?} in this process");
                (StatusCode::NOT_FOUND, reason)
            }),
        }
    };
    chosen().inspect_err(|(_, reason)| {
        tracing::warn!(target: "audit", verb, outcome = reason, "control call refused");
    })
}

/// The body of a call that shows the token. The token is looked at first: to who has none, nothing is said of the body.
pub(super) fn admitted<T>(
    shown: &Shown,
    headers: &HeaderMap,
    verb: &str,
    body: Body<T>,
) -> Result<T, (StatusCode, String)> {
    let refused = match (authorised(shown.token.as_ref(), headers), body) {
        (Ok(()), Ok(Json(body))) => return Ok(body),
        (Ok(()), Err(rejection)) => (rejection.status(), rejection.body_text()),
        (Err(refused), _) => refused,
    };
    tracing::warn!(target: "audit", verb, outcome = refused.1, "control call refused");
    Err(refused)
}

/// The connector that is meant: the one that is named, else the one that has the table parked.
fn chosen<'a>(
    connectors: &'a [Arc<Handle>],
    approval: &Approval,
) -> Result<&'a Arc<Handle>, (StatusCode, String)> {
    let absent = |reason: String| Err((StatusCode::NOT_FOUND, reason));
    let table = &approval.table;
    let parks = |it: &&Arc<Handle>| it.parked().contains(table);
    if let Some(name) = &approval.connector {
        return match connectors.iter().find(|it| it.name() == name) {
            Some(named) if parks(&named) => Ok(named),
            Some(_) => absent(format!(
                "table {table:?} of connector {name:?} is not parked"
            )),
            None => absent(format!("there is no connector {name:?} in this process")),
        };
    }
    let found: Vec<_> = connectors.iter().filter(parks).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => absent(format!("no connector has table {table:?} parked")),
        several => Err((
            StatusCode::BAD_REQUEST,
            format!(
                "{} connectors have table {table:?} parked: say which",
                several.len()
            ),
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
    fn a_table_or_a_connector_that_is_not_there_is_not_found() {
        let connectors = [Arc::new(Handle::new("a")), Arc::new(Handle::new("b"))];
        for (connector, part) in [
            (Some("b"), "is not parked"),
            (Some("c"), "no connector \"c\""),
            (None, "no connector has table"),
        ] {
            let approval = Approval {
                table: "public.t".into(),
                connector: connector.map(str::to_owned),
            };
            let (status, reason) = chosen(&connectors, &approval).unwrap_err();
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
