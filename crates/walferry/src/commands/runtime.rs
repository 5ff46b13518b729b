//! The runtime of a short command.
//!
//! Owns: [`wait`].

use std::future::Future;

use anyhow::Context;

use crate::Failure;

/// Runs a short command to its end.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let outcome = runtime.block_on(work);
    // A client's thread that still waits for a server must not hold the command up.
    runtime.shutdown_background();
    Ok(outcome)
}
