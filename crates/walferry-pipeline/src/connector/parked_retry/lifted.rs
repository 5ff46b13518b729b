//! The note of a subject's compatibility level that is lifted for one registration.
//!
//! Owns the note, a record of the checkpoint topic under the key `<name>.level`: it is there before the level is lifted, and says
//! nothing any more when it is put back. Invariant: whatever moment a process ends at, the next one finds what it has to put back.
//! Start reading at `LevelNote::put_back`.

use walferry_kafka::{BlockPool, Noted};
use walferry_registry::{Lifted, Registry};

use crate::{blocking::blocking, config::InForce};

const NAME: &str = "level";

/// Keeps the note of one connector.
pub(crate) struct LevelNote {
    config: InForce,
    /// Whether what an earlier process left has been looked at.
    looked: bool,
}

impl LevelNote {
    pub(crate) fn new(config: InForce) -> LevelNote {
        LevelNote {
            config,
            looked: false,
        }
    }

    /// Puts back what an earlier process has lifted and not put back, once.
    pub(crate) async fn put_back(&mut self, registry: &Registry) -> Result<(), String> {
        if self.looked {
            return Ok(());
        }
        if let Some(lifted) = self.read().await? {
            let put_back = registry.put_back(&lifted).await;
            let put_back = put_back.map_err(|error| {
                format!(
                    "the level of subject {:?} was lifted by a process that has ended, and is to be put back first: {error}",
                    lifted.subject
                )
            })?;
            tracing::warn!(target: "audit", subject = lifted.subject, level = lifted.level, put_back,
                "an earlier process has ended while the subject's level was lifted");
            self.write(None).await?;
        }
        self.looked = true;
        Ok(())
    }

    async fn read(&self) -> Result<Option<Lifted>, String> {
        let kafka = self.config.now().kafka.clone();
        let note = said(move || Noted::read(&kafka, NAME)).await?;
        match note {
            Some(note) => serde_json::from_slice(&note)
                .map_err(|error| format!("the note of a lifted level cannot be read: {error}")),
            None => Ok(None),
        }
    }

    /// Notes that a level is lifted, or that none is.
    pub(crate) async fn write(&self, lifted: Option<&Lifted>) -> Result<(), String> {
        let kafka = self.config.now().kafka.clone();
        let note = serde_json::to_vec(&lifted).map_err(|error| error.to_string())?;
        said(move || {
            let (mut noted, _) = Noted::open(&kafka, NAME)?;
            noted.publish(BlockPool::new(0, 0).block(), &note)
        })
        .await
    }
}

async fn said<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, walferry_kafka::Error> + Send + 'static,
) -> Result<T, String> {
    let done = blocking("the note of lifted levels", move || Ok(body())).await;
    done.map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}
