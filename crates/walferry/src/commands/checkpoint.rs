//! `walferry checkpoint show`: the record as it stands in Kafka.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::{load, wait};
use crate::{Failure, print};

pub(crate) fn show(path: &Path) -> Result<(), Failure> {
    let loaded = load(path)?;
    let config = &loaded.pipeline;
    match wait(walferry_pipeline::checkpoint(config))?? {
        Some(checkpoint) => {
            let text = serde_json::to_string_pretty(&checkpoint).context("the checkpoint")?;
            print(format!("{text}\n").as_bytes())
        }
        None => Err(anyhow!(
            "topic {:?} has no checkpoint of connector {:?}: it has never been started, or under another name",
            config.kafka.checkpoint_topic,
            config.name
        )
        .into()),
    }
}
