//! What a connector is doing, for the admin endpoint: written by every stage, read by `/status`, `/readyz` and `/livez`.
//!
//! Owns the shared state and the answers drawn from it. Never asks a server anything: the monitor does that.
//! Invariant: ready means snapshotting or streaming, every peer reachable, and the slot within its budget.
//! Start reading at `Status::report`.

pub(crate) mod findings;
pub(crate) mod known;
pub mod latency;
pub(crate) mod parked_tables;
pub(crate) mod pause_switch;
pub(crate) mod report;
mod snapshot_rate;
mod snapshots;
pub(crate) mod state;
pub(crate) mod strange;
mod waits;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use walferry_event::Code;

use crate::{
    error::Labels,
    position::{ledger::Ledger, published_record::Lack, snapshot_progress::Progress},
    status::{
        findings::Findings,
        latency::{Latency, totals::Totals},
        parked_tables::ParkedTables,
        pause_switch::PauseSwitch,
        report::{ConnectorStatus, Lag, SourceStatus, TableActivity, TableStatus},
        snapshot_rate::Rates,
        state::{Peer, State},
        waits::{Since, Waits},
    },
    tables::refusals::Refusals,
};

/// One connector's status. Shared by its stages and the admin endpoint.
#[derive(Debug)]
pub struct Status {
    name: String,
    /// How far each stage has come.
    pub(crate) ledger: Ledger,
    /// The tables that wait.
    pub(crate) parking: ParkedTables,
    /// What is wrong with tables that were chosen.
    pub(crate) findings: Findings,
    /// What Kafka does not take.
    pub(crate) refusals: Refusals,
    /// Publishing that an operator holds.
    pub(crate) pausing: PauseSwitch,
    waits: Waits,
    /// Whether commits on the server wait for what we confirm.
    pub(crate) synchronous: AtomicBool,
    inner: Mutex<Inner>,
    /// How long changes take, and where.
    pub(crate) latency: Latency,
    dead_letters: AtomicU64,
    errors: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    state: State,
    reason: Option<String>,
    unreachable: BTreeMap<Peer, Since>,
    source: SourceStatus,
    lag: Lag,
    snapshot: Option<Arc<Progress>>,
    rates: Rates,
    tables: BTreeMap<String, TableStatus>,
    pulses: BTreeMap<&'static str, Pulse>,
}

/// When a stage last showed that it is alive.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    at: Instant,
    limit: Duration,
}

impl Status {
    /// The status of the connector `name`, which is starting.
    pub fn new(name: impl Into<String>) -> Status {
        Status {
            name: name.into(),
            ledger: Ledger::default(),
            parking: ParkedTables::default(),
            findings: Findings::default(),
            refusals: Refusals::default(),
            pausing: PauseSwitch::default(),
            waits: Waits::default(),
            synchronous: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                state: State::Starting,
                reason: None,
                unreachable: BTreeMap::new(),
                source: SourceStatus::default(),
                lag: Lag::default(),
                snapshot: None,
                rates: Rates::default(),
                tables: BTreeMap::new(),
                pulses: BTreeMap::new(),
            }),
            latency: Latency::default(),
            dead_letters: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    /// The connector's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `Ok` when the connector snapshots or streams with every server reachable; otherwise each reason why not.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let inner = self.inner();
        let mut reasons = self.obstacles(&inner);
        if !matches!(inner.state, State::Snapshotting | State::Streaming) {
            reasons.push(match &inner.reason {
                Some(reason) => format!("{}: {reason}", inner.state.name()),
                None => inner.state.name().to_owned(),
            });
        }
        if self.pausing.is_held() {
            reasons.push(
                "paused: publishing is held; `walferry resume -c FILE` lets it go on".to_owned(),
            );
        }
        for (table, finding) in self.findings.seen() {
            if finding.lack == Lack::Incomplete {
                reasons.push(format!("table {table}: {}", finding.reason));
            }
        }
        if let (Some(limit), Some(retained)) = (
            inner.lag.slot_retained_bytes_max,
            inner.lag.slot_retained_bytes,
        ) && retained > limit
        {
            let parked = self.parked();
            let because = match parked.is_empty() {
                true => String::new(),
                false => format!(", because tables are parked: {}", parked.join(", ")),
            };
            reasons.push(Code::SlotGrows.tag(&format!(
                "slot retains {retained} bytes of WAL, more than source.slot_retained_bytes_max = {limit}{because}"
            )));
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }

    /// The tables that wait or catch up.
    pub fn parked(&self) -> Vec<String> {
        self.parking.seen().into_keys().collect()
    }

    /// `Ok` while every stage shows progress within its limit.
    pub fn live(&self) -> Result<(), String> {
        let now = Instant::now();
        let inner = self.inner();
        for (stage, pulse) in &inner.pulses {
            let age = now.saturating_duration_since(pulse.at);
            if age > pulse.limit {
                return Err(Code::Stalled.tag(&format!(
                    "stage {stage} has shown no progress for {} s",
                    age.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// Everything, as the connector's element of `GET /status`.
    pub fn report(&self) -> ConnectorStatus {
        let inner = self.inner();
        let state = self.effective_state(&inner);
        let reason = inner.reason.clone().or_else(|| {
            let obstacles = self.obstacles(&inner);
            (!obstacles.is_empty()).then(|| obstacles.join("; "))
        });
        ConnectorStatus {
            name: self.name.clone(),
            state,
            code: reason.as_deref().and_then(code_of),
            reason,
            source: inner.source.clone(),
            positions: self.ledger.positions(),
            lag: Lag {
                freshness_ms: self.latency.freshness_ms(),
                ..inner.lag.clone()
            },
            latency: self.latency.report(Instant::now()),
            snapshot: inner.snapshots(),
            tables: self.tables(&inner),
            errors: self.errors.load(Ordering::Relaxed),
            dead_letters: self.dead_letters.load(Ordering::Relaxed),
        }
    }

    /// How long transactions were in each stage since the start.
    pub fn stage_totals(&self) -> Totals {
        self.latency.totals()
    }

    /// Whether a server does not answer.
    pub(crate) fn is_away(&self, peer: Peer) -> bool {
        self.inner().unreachable.contains_key(&peer)
    }

    /// Whether rows that were there before are being read, and nothing streams yet.
    pub(crate) fn is_snapshotting(&self) -> bool {
        self.inner().state == State::Snapshotting
    }

    /// What it is doing, whoever answers.
    pub(crate) fn state(&self) -> State {
        self.inner().state
    }

    pub(crate) fn set_state(&self, state: State, reason: Option<String>) {
        let mut inner = self.inner();
        if inner.state != state {
            tracing::info!(
                state = state.name(),
                reason = reason.as_deref(),
                "state changed"
            );
        }
        inner.state = state;
        inner.reason = reason;
        let effective = self.effective_state(&inner);
        drop(inner);
        self.publish_state(effective);
    }

    /// A server answers again, or does not, and why: `kind` is what the error metric calls it.
    pub(crate) fn set_peer(&self, peer: Peer, outcome: Result<(), (&'static str, String)>) {
        let (kind, outcome) = match outcome {
            Ok(()) => ("", Ok(())),
            Err((kind, reason)) => (kind, Err(reason)),
        };
        let mut inner = self.inner();
        let before = inner.unreachable.remove(&peer);
        if let Err(reason) = &outcome {
            let mut since = before.clone().unwrap_or_else(|| Since::now(reason.clone()));
            since.because(reason.clone());
            inner.unreachable.insert(peer, since);
        }
        let effective = self.effective_state(&inner);
        drop(inner);
        match (before, outcome) {
            (None, Err(reason)) => {
                self.count_error(Labels {
                    stage: peer.name(),
                    kind,
                });
                tracing::warn!(peer = peer.name(), error = %reason, "a server does not answer");
            }
            (Some(since), Ok(())) => {
                tracing::info!(peer = peer.name(), was = %since, "the server answers again");
            }
            _ => return,
        }
        metrics::gauge!("walferry_circuit_open", "connector" => self.name.clone(), "stage" => peer.name())
            .set(if self.inner().unreachable.contains_key(&peer) { 1.0 } else { 0.0 });
        self.publish_state(effective);
    }

    /// A stage waits for a server or a session, for this reason; it is alive in that, and tries again by itself.
    pub(crate) fn waits(
        &self,
        stage: &'static str,
        peer: Peer,
        kind: &'static str,
        reason: String,
    ) {
        self.pulse_goes_on(stage);
        if self.waits.set(stage, peer, reason.clone()) {
            let stage_of_error = peer.name();
            self.count_error(Labels {
                stage: stage_of_error,
                kind,
            });
            tracing::warn!(stage, peer = stage_of_error, error = %reason, "waiting; it is tried again until it succeeds");
        }
        self.show_state();
    }

    /// Whether the stage waits.
    pub(crate) fn is_waiting(&self, stage: &'static str) -> bool {
        self.waits.has(stage)
    }

    /// The stage does not wait any more.
    pub(crate) fn waits_no_more(&self, stage: &'static str) {
        if let Some((peer, since)) = self.waits.clear(stage) {
            tracing::info!(stage, peer = peer.name(), was = %since, "the wait is over");
            self.show_state();
        }
    }

    /// Why it cannot go on: servers that do not answer, then what stages wait for besides.
    fn obstacles(&self, inner: &Inner) -> Vec<String> {
        let said = |(peer, since): (&Peer, &Since)| format!("{}: {since}", peer.name());
        let mut obstacles: Vec<String> = inner.unreachable.iter().map(said).collect();
        for (peer, since) in self.waits.seen() {
            let known = inner.unreachable.get(&peer);
            if known.is_none_or(|it| it.reason() != since.reason()) {
                obstacles.push(said((&peer, &since)));
            }
        }
        obstacles
    }

    fn effective_state(&self, inner: &Inner) -> State {
        match inner.state {
            State::Streaming | State::Snapshotting
                if !inner.unreachable.is_empty() || !self.waits.seen().is_empty() =>
            {
                State::Retrying
            }
            State::Streaming | State::Snapshotting if self.pausing.is_held() => State::Paused,
            state => state,
        }
    }

    /// Tells the metric what the state is now.
    pub(crate) fn show_state(&self) {
        let effective = self.effective_state(&self.inner());
        self.publish_state(effective);
    }

    fn publish_state(&self, current: State) {
        for state in State::ALL {
            metrics::gauge!("walferry_state", "connector" => self.name.clone(), "state" => state.name())
                .set(if state == current { 1.0 } else { 0.0 });
        }
    }

    pub(crate) fn set_source(&self, source: SourceStatus) {
        self.inner().source = source;
    }

    pub(crate) fn set_lag(&self, lag: Lag) {
        self.inner().lag = lag;
    }

    pub(crate) fn set_table(&self, table: TableStatus) {
        let mut inner = self.inner();
        let changes = inner.tables.get(&table.name).map_or(0, |t| t.changes);
        inner
            .tables
            .insert(table.name.clone(), TableStatus { changes, ..table });
    }

    /// The tables that it has met, with their topics.
    pub(crate) fn table_topics(&self) -> Vec<(String, String)> {
        let inner = self.inner();
        let tables = inner.tables.values();
        tables
            .map(|it| (it.name.clone(), it.topic.clone()))
            .collect()
    }

    /// A table is there no more under its name, for this reason; without one it is there.
    pub(crate) fn set_gone(&self, name: &str, reason: Option<String>) {
        let mut inner = self.inner();
        let Some(table) = inner.tables.get_mut(name) else {
            return;
        };
        let was_gone = table.state == TableActivity::Gone;
        match reason {
            Some(reason) => {
                if !was_gone {
                    tracing::info!(table = name, reason, "a table is gone");
                }
                (table.state, table.reason) = (TableActivity::Gone, Some(reason));
            }
            None if was_gone => (table.state, table.reason) = (TableActivity::Streaming, None),
            None => {}
        }
    }

    pub(crate) fn count_changes(&self, table: &str, changes: u64) {
        if let Some(table) = self.inner().tables.get_mut(table) {
            table.changes += changes;
        }
    }

    pub(crate) fn count_dead_letter(&self) {
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_error(&self, Labels { stage, kind }: Labels) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("walferry_errors_total", "connector" => self.name.clone(), "stage" => stage, "kind" => kind)
            .increment(1);
    }

    /// A stage tries again after a failure.
    pub(crate) fn count_retries(&self, stage: &'static str, tries: u64) {
        metrics::counter!("walferry_retries_total", "connector" => self.name.clone(), "stage" => stage)
            .increment(tries);
    }

    /// The stage is alive now, and will say so again within `limit`.
    pub(crate) fn pulse(&self, stage: &'static str, limit: Duration) {
        let at = Instant::now();
        self.inner().pulses.insert(stage, Pulse { at, limit });
    }

    /// The stage waits for a server, and is alive in that.
    pub(crate) fn pulse_goes_on(&self, stage: &'static str) {
        if let Some(pulse) = self.inner().pulses.get_mut(stage) {
            pulse.at = Instant::now();
        }
    }

    /// The stage has ended in good order.
    pub(crate) fn pulse_ends(&self, stage: &'static str) {
        self.inner().pulses.remove(stage);
    }

    /// The tables, and what is said of those that wait or lack something; one that has not been met since the start is
    /// known by its name.
    fn tables(&self, inner: &Inner) -> Vec<TableStatus> {
        let mut tables = inner.tables.clone();
        let mut say = |name: String, state, reason: String, since| {
            let table = tables.entry(name.clone()).or_default();
            (table.name, table.state, table.code) = (name, state, code_of(&reason));
            table.reason = Some(reason);
            table.parked_since = since;
        };
        for (name, finding) in self.findings.seen() {
            let state = match finding.lack {
                Lack::LeftOut => TableActivity::LeftOut,
                Lack::Incomplete => TableActivity::Incomplete,
                Lack::Surplus => TableActivity::Surplus,
                Lack::Uneven => TableActivity::Streaming,
            };
            say(name, state, finding.reason, None);
        }
        for (name, seen) in self.parking.seen() {
            let state = match seen.released {
                true => TableActivity::CatchingUp,
                false => TableActivity::Parked,
            };
            say(name, state, seen.reason, Some(seen.since));
        }
        tables.into_values().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A holder that panicked left at worst an old value, which is still worth showing.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The code that a reason has.
fn code_of(reason: &str) -> Option<String> {
    Code::of(reason).map(|it| it.to_string())
}
