//! The watch while the connector streams: a cheap question every second, a look when its answer is another one.
//!
//! Owns the clock. Never: ends the connector; what cannot be done now is tried again.
//! Invariant: a table that is replaced, and never written again, is noticed within a few seconds.
//! Start reading at [`watch`].

use std::{sync::Arc, time::Duration};

use tokio::time::{self, Instant};
use walferry_postgres::Catalog;

use super::{act, look::look, plan::plan};
use crate::{
    config::Config,
    error::Error,
    snapshot::Refused,
    status::{State, Status},
};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);
/// Tables that are left out, because of rights that no question shows, are looked at again after this long.
const AGAIN: Duration = Duration::from_secs(10);

/// Watches what is published of the tables, for as long as the ring turns.
pub(crate) async fn watch(config: Arc<Config>, status: Arc<Status>) {
    let mut watch = Watch {
        config,
        status,
        catalog: None,
        seen: None,
    };
    loop {
        time::sleep(EVERY).await;
        if watch.status.state() != State::Streaming {
            continue;
        }
        if let Err(error) = watch.step().await {
            // Whether the server is there is told by others.
            match error.is_away() {
                true => tracing::debug!(%error, "what is published could not be looked at"),
                false => tracing::warn!(%error, "what is published could not be looked at"),
            }
            watch.catalog = None;
            watch.seen = None;
        }
    }
}

struct Watch {
    config: Arc<Config>,
    status: Arc<Status>,
    catalog: Option<Catalog>,
    /// What the cheap question was answered when everything was last looked at, and when.
    seen: Option<(String, Instant)>,
}

impl Watch {
    async fn step(&mut self) -> Result<(), Error> {
        let config = self.status.config().unwrap_or_else(|| self.config.clone());
        let catalog = match self.catalog.take() {
            Some(open) => open,
            None => Catalog::connect(&config.source.connect).await?,
        };
        let version = catalog.tables_version(&config.source.publication).await?;
        let status = self.status.clone();
        let mut known = status.published.lock().await;
        let due = match &self.seen {
            Some((seen, at)) => {
                *seen != version || (!known.left_out.is_empty() && at.elapsed() >= AGAIN)
            }
            None => true,
        };
        if due {
            known.forget_mended(&status);
            let mut now = look(&config, &catalog).await?;
            now.without_refused(Some(&known.record));
            let plan = plan(&config, &catalog, &known.record, &now).await?;
            plan.tell(&status, &mut known);
            known.left_out.retain(|it| {
                let there = now.tables.contains_key(it) || now.refused.contains_key(it);
                if !there {
                    status.findings.clear(it);
                }
                there
            });
            let version = now.version.clone();
            if !plan.is_empty() {
                match act::carry_out(&config, &catalog, &status, &mut known, plan).await {
                    Ok(()) => {}
                    // The ring ends, or the next look finds the same again.
                    Err(Refused::NotStreaming | Refused::Unknown) => return Ok(()),
                    Err(Refused::Invalid(reason)) => return Err(Error::failed(reason)),
                }
            }
            self.seen = Some((version, Instant::now()));
        }
        drop(known);
        self.catalog = Some(catalog);
        Ok(())
    }
}
