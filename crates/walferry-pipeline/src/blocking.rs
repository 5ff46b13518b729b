//! What blocks, beside what waits.
//!
//! Owns the one way to run it. Never: bounds it, nor judges what comes back; whoever calls does.

use crate::error::Error;

/// Runs what blocks on a thread of its own; its log names the connector. Whoever judges its errors wraps them in `Ok`.
///
/// # Errors
/// Its own, and that `what` has panicked.
pub async fn blocking<T: Send + 'static>(
    what: &str,
    body: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || {
        let _named = span.enter();
        body()
    });
    done.await
        .map_err(|error| Error::internal(format!("{what}: {error}")))?
}
