//! `walferry run`: one or several connectors, the admin server, and the signals that end them or have their files read again.
//!
//! Owns the order of start and end. Invariants: SIGTERM and Ctrl-C end every connector in order; a second signal ends the
//! process at once; no connector's end ends another; the status of the first connector that failed is the process's, at its end.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tracing::Instrument;
use walferry_event::Code;
use walferry_pipeline::Handle;

use super::sighup;
use crate::{
    Failure, admin, certificates,
    configuration::{self, Choices, Loaded},
    logs, metrics,
};

/// Bound of the runtime's end: connectors have ended in order before it.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

pub(crate) fn run(path: &Path, adopt_slot: bool, with_snapshot: bool) -> Result<(), Failure> {
    let choices = Choices {
        adopt_slot,
        adopt_with_snapshot: with_snapshot,
        ..Choices::default()
    };
    let loaded =
        configuration::load_all(path, &choices).map_err(|error| Failure::configuration(&error))?;
    connectors(loaded, Some((path, &choices))).map(drop)
}

/// Runs connectors to their end; where their files are, those are read again on SIGHUP. What they had done then.
pub(super) fn connectors(
    loaded: Vec<Loaded>,
    files: Option<(&Path, &Choices)>,
) -> Result<Vec<Arc<Handle>>, Failure> {
    let screen = logs::start(&loaded).map_err(|error| Failure::configuration(&error))?;
    // Connectors spend their time on threads of their own; these serve the admin endpoint and the supervisors.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let statuses: Vec<Arc<Handle>> = loaded
        .iter()
        .map(|one| Arc::new(Handle::new(&one.pipeline.name)))
        .collect();
    if let Some((path, choices)) = files {
        let running = statuses
            .iter()
            .cloned()
            .zip(loaded.iter().cloned())
            .collect();
        runtime.spawn(sighup::follow(path.to_owned(), choices.clone(), running));
    }
    if let Some(screen) = screen {
        runtime.spawn(screen.follow(statuses.clone()));
    }
    let outcome = runtime.block_on(all(loaded, statuses.clone()));
    runtime.shutdown_timeout(LAST_WORDS);
    outcome.map(|()| statuses)
}

async fn all(loaded: Vec<Loaded>, statuses: Vec<Arc<Handle>>) -> Result<(), Failure> {
    let exporter = metrics::install(&statuses)?;
    tokio::spawn(certificates::watch(certificates::named(&loaded)));
    // One admin server is for all connectors, and so is its token.
    let token = loaded.iter().find_map(|one| one.token.clone());
    let listen = loaded[0].listen;
    let started = admin::start(listen, statuses.clone(), exporter, token).await;
    started.map_err(|error| Failure::coded(1, Code::AdminAddress, &format!("{error:#}")))?;
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let mut connectors = JoinSet::new();
    for (one, status) in loaded.into_iter().zip(statuses) {
        let span = tracing::info_span!("connector", connector = one.pipeline.name);
        let run = walferry_pipeline::run(one.pipeline, status, stopped.clone());
        connectors.spawn(run.instrument(span));
    }
    tokio::spawn(signals(stop.clone()));
    let mut outcome = Ok(());
    while let Some(ended) = connectors.join_next().await {
        let ended = match ended {
            Ok(ended) => ended.map_err(Failure::from),
            Err(error) => Err(anyhow::anyhow!("a connector's task panicked: {error}").into()),
        };
        if ended.is_err() && !connectors.is_empty() {
            // Its reason is in readiness and in its status; the others are no worse for it.
            tracing::error!(
                left = connectors.len(),
                "a connector has ended; the others go on, and the process's exit status will tell"
            );
        }
        outcome = outcome.and(ended);
    }
    outcome
}

/// The first signal asks every connector to end in order, the second one ends the process.
async fn signals(stop: Arc<watch::Sender<bool>>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let name = next().await;
    tracing::info!(signal = name, "asked to stop: the open batch is finished");
    stop.send_replace(true);
    let name = next().await;
    let _ = writeln!(
        io::stderr(),
        "error: {name} a second time: ended at once; the open batch is sent again at the next start"
    );
    std::process::exit(1);
}
