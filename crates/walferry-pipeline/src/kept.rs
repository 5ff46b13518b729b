//! A connection that is kept from one question to the next.
//!
//! Owns the rule: it is taken out for a question, and put back by whoever had an answer; one that failed, or was given up in the middle of
//! a question, is not used again.

/// What is kept, or a new one.
pub(crate) async fn taken_or_opened<T, E>(
    kept: &mut Option<T>,
    open: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match kept.take() {
        Some(kept) => Ok(kept),
        None => open.await,
    }
}
