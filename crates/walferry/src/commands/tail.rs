//! `walferry tail`: changes as JSON lines until it is interrupted or nobody reads any more.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::anyhow;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use walferry_operations::tail::{Tail, tail};
use walferry_pipeline::config::ConnectConfig;

use super::{load, wait};
use crate::Failure;

pub(crate) fn run(
    config: Option<&Path>,
    source: Option<&str>,
    tables: Vec<String>,
) -> Result<(), Failure> {
    let what = match (config, source) {
        (Some(path), _) => {
            let loaded = load(path)?;
            Tail {
                connect: loaded.pipeline.source.connect.clone(),
                tables: loaded.pipeline.source.tables.clone(),
                config: Some(loaded.pipeline),
            }
        }
        (None, url) => Tail {
            connect: ConnectConfig::from_url(url.unwrap_or_default())
                .map_err(|error| Failure::usage(&anyhow!("--source: {error}")))?,
            tables,
            config: None,
        },
    };
    wait(async {
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
        let out = |line: serde_json::Value| writeln!(io::stdout().lock(), "{line}").is_ok();
        tail(what, out, stopped).await.map_err(Failure::from)
    })?
}
