//! The admin server: health, metrics, status, one page for people, and control verbs.
//!
//! Owns the paths and the shapes of their answers. Never changes anything but by the verbs of `control`.
//! Invariant: every other answer is drawn from what the pipeline has noted; no such request makes it ask a server.

mod control;
mod history;
mod page;
mod resync;
mod server;
mod shown;
mod snapshots;

use std::{net::SocketAddr, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::json;
use tokio::net::TcpListener;
use walferry_event::Secret;
use walferry_pipeline::{Handle, Status};

use crate::metrics::Exporter;

use history::History;
use shown::Shown;

/// Listens, and answers from then on.
pub(crate) async fn start(
    listen: SocketAddr,
    connectors: Vec<Arc<Handle>>,
    exporter: Exporter,
    token: Option<Secret>,
) -> Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("admin.listen: cannot listen on {listen}; stop the process that does, or choose another port"))?;
    let connectors: Arc<[Arc<Handle>]> = connectors.into();
    let shown = Shown {
        history: History::begin(connectors.clone()),
        since: Instant::now(),
        connectors,
        exporter,
        token,
    };
    tracing::info!(%listen, "the admin server listens");
    tokio::spawn(server::serve(listener, router(shown)));
    Ok(())
}

fn router(shown: Shown) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/livez", get(livez))
        .route("/healthz", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/status/history", get(past))
        .route("/control/pause", post(control::pause))
        .route("/control/resume", post(control::resume))
        .route("/control/schema/approve", post(control::approve_schema))
        .route("/control/resync", post(resync::start))
        .route("/snapshots", post(snapshots::start).get(snapshots::list))
        .route("/snapshots/{id}", delete(snapshots::cancel))
        .route("/snapshots/{id}/pause", post(snapshots::pause))
        .route("/snapshots/{id}/resume", post(snapshots::resume))
        .with_state(shown)
}

async fn livez(State(shown): State<Shown>) -> Response {
    let reasons = reasons(&shown, |it| it.live().map_err(|reason| vec![reason]));
    answer("live", reasons)
}

async fn readyz(State(shown): State<Shown>) -> Response {
    answer("ready", reasons(&shown, Status::ready))
}

/// Each connector's reasons, with its name when there are several.
fn reasons(shown: &Shown, ask: impl Fn(&Status) -> Result<(), Vec<String>>) -> Vec<String> {
    let several = shown.connectors.len() > 1;
    let of = |status: &Arc<Handle>| {
        let reasons = ask(status).err().unwrap_or_default();
        let name = status.name().to_owned();
        reasons.into_iter().map(move |reason| match several {
            true => format!("{name}: {reason}"),
            false => reason,
        })
    };
    shown.connectors.iter().flat_map(of).collect()
}

fn answer(word: &str, reasons: Vec<String>) -> Response {
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ word: reasons.is_empty(), "reasons": reasons })),
    )
        .into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, PROMETHEUS)], shown.exporter.text()).into_response()
}

async fn status(State(shown): State<Shown>) -> Response {
    let reports: Vec<_> = shown.connectors.iter().map(|it| it.report()).collect();
    let process = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": shown.since.elapsed().as_secs(),
    });
    Json(json!({ "process": process, "connectors": reports })).into_response()
}

async fn past(State(shown): State<Shown>) -> Response {
    Json(shown.history.report()).into_response()
}
