//! The end of a command that goes on until somebody has had enough of it.
//!
//! Owns: [`interrupted`].

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::Failure;

/// Becomes `true` with Ctrl-C or SIGTERM, and stays so.
pub(super) fn interrupted() -> Result<watch::Receiver<bool>, Failure> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(anyhow::Error::from)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        // The receiver must never see the sender gone before it has seen the stop.
        stop.closed().await;
    });
    Ok(stopped)
}
