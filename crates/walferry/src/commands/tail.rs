//! `walferry tail`: changes as JSON lines until it is interrupted or nobody reads any more.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::anyhow;
use walferry_operations::tail::{Tail, tail};
use walferry_pipeline::config::ConnectConfig;

use super::{interrupted, load, wait};
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
        let stopped = interrupted()?;
        let out = |line: serde_json::Value| writeln!(io::stdout().lock(), "{line}").is_ok();
        tail(what, out, stopped).await.map_err(Failure::from)
    })?
}
