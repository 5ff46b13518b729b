//! The verbs about snapshots of the admin server: start one, list them, hold, resume and cancel one.
//!
//! Owns the shapes of the requests and answers. Every call needs the token and ends in the audit log, also one that is refused.
//! Start reading at [`start`].

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use walferry_pipeline::{Handle, Refused, snapshot::control as snapshot};

use super::{
    Shown,
    control::{Body, admitted, authorised, said},
};

/// Body of `POST /snapshots`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Each as `schema.table`.
    tables: Vec<String>,
    /// SQL that a row has to fit.
    #[serde(default, rename = "where")]
    condition: Option<String>,
    /// Those with a higher one are read first.
    #[serde(default)]
    priority: i32,
    /// The connector; may be left out when there is only one.
    #[serde(default)]
    connector: Option<String>,
}

/// Begins a snapshot.
pub(super) async fn start(
    State(shown): State<Shown>,
    headers: HeaderMap,
    body: Body<Wanted>,
) -> Response {
    let wanted = match admitted(&shown, &headers, "snapshot start", body) {
        Ok(wanted) => wanted,
        Err((status, reason)) => return said(status, "error", &reason),
    };
    let chosen = match (&wanted.connector, &*shown.connectors) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), all) => all.iter().find(|it| it.name() == name),
    };
    let Some(status) = chosen else {
        let names: Vec<&str> = shown.connectors.iter().map(|it| it.name()).collect();
        let reason = format!("say which connector: one of {}", names.join(", "));
        return said(StatusCode::BAD_REQUEST, "error", &reason);
    };
    let tables = wanted.tables.join(", ");
    let outcome = snapshot::start(status, wanted.tables, wanted.condition, wanted.priority).await;
    tracing::info!(target: "audit", verb = "snapshot start", tables, connector = status.name(),
        outcome = told(&outcome), "control call");
    match outcome {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(refused) => refusal(&refused),
    }
}

/// Lists the snapshots that this process knows.
pub(super) async fn list(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&shown, &headers, "snapshot list") {
        return refused;
    }
    let of = |status: &Arc<Handle>| {
        let name = status.name().to_owned();
        let tables = status.report().snapshot.into_iter();
        tables.map(move |table| {
            let (rate, left) = (table.rows_per_second, table.seconds_left);
            let table = table.table;
            json!({ "connector": name, "id": table.id, "table": table.name, "state": table.state,
            "rows": table.rows, "rows_estimated": table.rows_estimated, "deletes": table.deletes,
            "priority": table.priority, "rows_per_second": rate, "seconds_left": left })
        })
    };
    let all: Vec<_> = shown.connectors.iter().flat_map(of).collect();
    Json(json!({ "snapshots": all })).into_response()
}

/// What to do about a snapshot that is under way.
#[derive(Clone, Copy)]
enum Verb {
    Cancel,
    Pause,
    Resume,
}

/// Ends a snapshot.
pub(super) async fn cancel(
    State(shown): State<Shown>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    about(&shown, &headers, &id, Verb::Cancel).await
}

/// Holds a snapshot.
pub(super) async fn pause(
    State(shown): State<Shown>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    about(&shown, &headers, &id, Verb::Pause).await
}

/// Lets a snapshot go on.
pub(super) async fn resume(
    State(shown): State<Shown>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    about(&shown, &headers, &id, Verb::Resume).await
}

/// Does something about one snapshot, in each connector that knows it.
async fn about(shown: &Shown, headers: &HeaderMap, id: &str, verb: Verb) -> Response {
    let (name, done) = match verb {
        Verb::Cancel => ("snapshot cancel", "cancelled"),
        Verb::Pause => ("snapshot pause", "paused"),
        Verb::Resume => ("snapshot resume", "resumed"),
    };
    if let Some(refused) = refused(shown, headers, name) {
        return refused;
    }
    let mut outcome = Err(Refused::Unknown);
    for status in shown.connectors.iter() {
        if !status
            .report()
            .snapshot
            .iter()
            .any(|it| it.table.id.as_str() == id)
        {
            continue;
        }
        outcome = match verb {
            Verb::Cancel => snapshot::cancel(status, id).await,
            Verb::Pause => snapshot::pause(status, id).await,
            Verb::Resume => snapshot::resume(status, id).await,
        };
    }
    tracing::info!(target: "audit", verb = name, id, outcome = told(&outcome), "control call");
    match outcome {
        Ok(()) => said(StatusCode::OK, "message", done),
        Err(refused) => refusal(&refused),
    }
}

fn refused(shown: &Shown, headers: &HeaderMap, verb: &str) -> Option<Response> {
    let (status, reason) = authorised(shown.token.as_ref(), headers).err()?;
    tracing::warn!(target: "audit", verb, outcome = reason, "control call refused");
    Some(said(status, "error", &reason))
}

fn told<T>(outcome: &Result<T, Refused>) -> String {
    outcome
        .as_ref()
        .map_or_else(Refused::to_string, |_| "done".to_owned())
}

fn refusal(refused: &Refused) -> Response {
    let status = match refused {
        Refused::Unknown => StatusCode::NOT_FOUND,
        Refused::NotStreaming => StatusCode::CONFLICT,
        Refused::Invalid(_) => StatusCode::BAD_REQUEST,
    };
    said(status, "error", &refused.to_string())
}
