//! The last hour of each connector, for the page: what a look at the present does not tell.
//!
//! Owns the samples, one every ten seconds; the oldest goes when there is no room. Never: asks a server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::time::{self, MissedTickBehavior};
use walferry_pipeline::{ConnectorStatus, Handle};

/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);
/// An hour of them.
const SAMPLES_MAX: usize = 360;

/// What a connector was like at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Sample {
    /// Seconds since 1970.
    at: u64,
    /// See `lag.freshness_ms` of the status.
    freshness_ms: Option<i64>,
    /// See `lag.source_bytes` of the status.
    source_bytes: Option<u64>,
    /// See `lag.slot_retained_bytes` of the status.
    slot_retained_bytes: Option<u64>,
    /// Changes published since the start, of all tables.
    changes: u64,
}

impl Sample {
    fn of(status: &ConnectorStatus, at: u64) -> Sample {
        Sample {
            at,
            freshness_ms: status.lag.freshness_ms,
            source_bytes: status.lag.source_bytes,
            slot_retained_bytes: status.lag.slot_retained_bytes,
            changes: status.tables.iter().map(|it| it.changes).sum(),
        }
    }
}

/// The samples of every connector, in the order of the connectors.
#[derive(Clone)]
pub(super) struct History(Arc<Mutex<Vec<Past>>>);

/// A connector's name and its samples, the oldest first.
type Past = (String, VecDeque<Sample>);

impl History {
    /// Takes the first samples now and the others from then on.
    pub(super) fn begin(connectors: Arc<[Arc<Handle>]>) -> History {
        let names = connectors
            .iter()
            .map(|it| (it.name().to_owned(), VecDeque::new()));
        let history = History(Arc::new(Mutex::new(names.collect())));
        let kept = history.clone();
        tokio::spawn(async move {
            let mut ticks = time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let at = now.unwrap_or_default().as_secs();
                let reports = connectors.iter().map(|it| it.report());
                kept.add(reports.map(|it| Sample::of(&it, at)));
            }
        });
        history
    }

    fn add(&self, samples: impl Iterator<Item = Sample>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, kept), sample) in all.iter_mut().zip(samples) {
            if kept.len() == SAMPLES_MAX {
                kept.pop_front();
            }
            kept.push_back(sample);
        }
    }

    /// The answer of `GET /status/history`.
    pub(super) fn report(&self) -> Json {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connectors = all
            .iter()
            .map(|(name, samples)| json!({ "name": name, "samples": samples }));
        json!({ "every_seconds": EVERY.as_secs(), "connectors": connectors.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History(Arc::new(Mutex::new(vec![(
            "shop".to_owned(),
            VecDeque::new(),
        )])));
        let sample = |at| Sample {
            at,
            freshness_ms: Some(3),
            source_bytes: None,
            slot_retained_bytes: Some(9),
            changes: at,
        };
        for at in 0..400 {
            history.add([sample(at)].into_iter());
        }
        let report = history.report();
        let samples = report["connectors"][0]["samples"].as_array().unwrap();
        assert_eq!(samples.len(), 360);
        assert_eq!(samples[0]["at"], 40);
        assert_eq!(
            samples[359],
            json!({"at": 399, "freshness_ms": 3, "source_bytes": null, "slot_retained_bytes": 9, "changes": 399})
        );
    }
}
