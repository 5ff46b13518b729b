//! The page for people at `/`, and what it is made of: style, script, the cause and remedy of a code, the runbooks.
//!
//! Owns the files, which are part of the binary, and their headers. Never: loads or names anything of another host.

use axum::{
    Json, Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use walferry_event::Code;

use super::shown::Shown;
use crate::{commands::explain, runbooks};

/// What the page may do: ask the process that it came from, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The paths of the page.
pub(super) fn routes() -> Router<Shown> {
    const HTML: &str = "text/html; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Router::new()
        .route("/", get(|| file(HTML, include_str!("page/page.html"))))
        .route(
            "/page.css",
            get(|| file(CSS, include_str!("page/page.css"))),
        )
        .route(
            "/page.js",
            get(|| file(SCRIPT, include_str!("page/page.js"))),
        )
        .route("/explain/{code}", get(explained))
        .route("/runbooks/{name}", get(runbook))
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer binary brings a newer page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn explained(Path(code): Path<String>) -> Response {
    match code.parse::<Code>() {
        Ok(code) => Json(explain::object(code)).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    }
}

async fn runbook(Path(name): Path<String>) -> Response {
    match runbooks::text(&name) {
        Some(text) => file("text/plain; charset=utf-8", text).await,
        None => (StatusCode::NOT_FOUND, "there is no such runbook\n").into_response(),
    }
}
