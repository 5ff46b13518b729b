//! The watch while the connector streams: a cheap question every second, a look when its answer is another one.
//!
//! Owns the clock. Never: ends the connector; what cannot be done now is tried again.
//! Invariant: a table that is replaced, and never written again, is noticed within a few seconds.
//! Start reading at `watch`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};
use walferry_event::Code;

use tokio::time::{self, Instant};
use walferry_postgres::Catalog;

use crate::{
    config::InForce,
    connector::{
        choice,
        published::{
            act,
            compare::Difference,
            look::{Look, look},
            plan::plan,
            renewal::Renewal,
        },
    },
    error::Error,
    kept::taken_or_opened,
    position::published_record::{Lack, Mend, Record},
    snapshot::mailbox::{Handle, Refused},
    status::{Status, state::State},
};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);
/// How long a step takes until it is asked what it waits for.
const SLOW: Duration = Duration::from_secs(3);
/// Tables that are left out, because of rights that no question shows, are looked at again after this long.
const AGAIN: Duration = Duration::from_secs(10);

/// Watches what is published of the tables, for as long as the ring turns.
pub(crate) async fn watch(config: InForce, handle: Arc<Handle>) {
    let mut watch = Watch {
        config: config.clone(),
        status: handle.status().clone(),
        handle,
        catalog: None,
        seen: None,
        renewal: None,
        broken: BTreeSet::new(),
    };
    loop {
        time::sleep(EVERY).await;
        if watch.status.state() != State::Streaming {
            continue;
        }
        if let Err(error) = Box::pin(told_when_slow(config.clone(), watch.step())).await {
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

/// Says once for whom a step waits: as long as somebody holds a table, nothing else is looked at.
async fn told_when_slow<T>(config: InForce, step: impl Future<Output = T>) -> T {
    let mut step = Box::pin(step);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            done = &mut step => return done,
            () = time::sleep(SLOW) => {}
        }
        let asked = async {
            let catalog = Catalog::connect(&config.now().source.connect).await?;
            catalog.ours_wait_for().await
        };
        let holders = time::timeout(SLOW, asked).await;
        if let (false, Ok(Ok(Some(holders)))) = (told, holders) {
            told = true;
            tracing::warn!(
                "what is published cannot be looked at: that waits for {holders}; until then tables that come, go or are \
                replaced are not noticed"
            );
        }
    }
}

struct Watch {
    config: InForce,
    status: Arc<Status>,
    handle: Arc<Handle>,
    catalog: Option<Catalog>,
    /// What the cheap question was answered when everything was last looked at, and when.
    seen: Option<(String, Instant)>,
    /// The stream is to begin anew.
    renewal: Option<Renewal>,
    /// Tables that were told of because the application cannot change their rows.
    broken: BTreeSet<String>,
}

impl Watch {
    async fn step(&mut self) -> Result<(), Error> {
        let config = self.config.now();
        let connect = Catalog::connect(&config.source.connect);
        let catalog = taken_or_opened(&mut self.catalog, connect).await?;
        let version = catalog.tables_version(&config.source.publication).await?;
        let status = self.status.clone();
        let handle = self.handle.clone();
        let mut known = handle.published.lock().await;
        let untold = |(table, until): &(String, Mend)| {
            let findings = &status.findings;
            !findings.knows(table, *until, Lack::Incomplete)
        };
        let met = known.meet(&self.handle.strange);
        let due = match &self.seen {
            Some((seen, at)) => {
                *seen != version
                    || self.renewal.is_some()
                    || known.standing.iter().any(untold)
                    || met
                    || ((!known.left_out.is_empty() || known.has_strange())
                        && at.elapsed() >= AGAIN)
            }
            None => true,
        };
        if due {
            known.forget_mended(&status.findings);
            let mut now = look(&config, &catalog).await?;
            // The application comes first: what it cannot change any more is taken out before anything else.
            choice::take_out(&config, &catalog, &now.left_out).await?;
            now.without_refused(Some(&known.record));
            self.tell_broken(&now);
            self.tell_gone(&catalog, &known.record, &now).await?;
            let renewed = self
                .renewal
                .as_ref()
                .map(|it| it.dealt_with(&status.ledger));
            let renewed = Some(renewed.unwrap_or_default());
            let plan = plan(&config, &catalog, &known.record, &now, renewed).await?;
            let stale = plan.stale.clone();
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
                match act::carry_out(&config, &catalog, &self.handle, &mut known, plan).await {
                    Ok(()) => {}
                    // The ring ends, or the next look finds the same again.
                    Err(Refused::NotStreaming | Refused::Unknown) => return Ok(()),
                    Err(Refused::Invalid(reason)) => {
                        return Err(Error::failed(Code::TableOption, reason));
                    }
                }
            }
            self.seen = Some((version, Instant::now()));
            self.renew(&catalog, stale).await?;
        }
        drop(known);
        self.catalog = Some(catalog);
        Ok(())
    }

    /// Lets the stream begin anew for differences that wait for that.
    async fn renew(&mut self, catalog: &Catalog, stale: Vec<Difference>) -> Result<(), Error> {
        let same = self.renewal.take().filter(|it| it.is_of(&stale));
        self.renewal = match same {
            _ if stale.is_empty() => None,
            None => Some(Renewal::of(catalog, stale).await?),
            same => same,
        };
        if let Some(renewal) = &mut self.renewal
            && renewal.ask(&self.handle).is_err()
        {
            self.renewal = None;
        }
        Ok(())
    }

    /// Says of which tables the application cannot change the rows any more, where the publication is not ours to change.
    fn tell_broken(&mut self, now: &Look) {
        let broken = now.broken.keys().cloned().collect();
        let told = std::mem::replace(&mut self.broken, broken);
        for (table, reason) in now.broken.iter().filter(|(name, _)| !told.contains(*name)) {
            tracing::warn!(target: "audit", table, "{reason}");
        }
    }

    /// Says of tables that were met whether they are there no more, and what has become of them.
    async fn tell_gone(&self, catalog: &Catalog, before: &Record, now: &Look) -> Result<(), Error> {
        for (name, topic) in self.status.table_topics() {
            if now.tables.contains_key(&name) || now.refused.contains_key(&name) {
                self.status.set_gone(&name, None);
                continue;
            }
            let Some(entry) = before.tables.get(&name) else {
                continue;
            };
            let is_it = |quoted: &String| quoted.replace('"', "") == name.replace('"', "");
            let reason = match catalog.quoted_name(entry.oid).await? {
                // It is there, and not chosen any more.
                Some(other) if is_it(&other) => continue,
                Some(other) => {
                    format!(
                        "it was renamed to {other}; what was published before stays in topic {topic}"
                    )
                }
                None => format!("it was dropped; what was published of it stays in topic {topic}"),
            };
            self.status.set_gone(&name, Some(reason));
        }
        Ok(())
    }
}
