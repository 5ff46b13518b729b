//! What the status says of the latency: plain data, serialised as it stands.
//!
//! Owns: [`LatencyStatus`]. Its names are a contract.

use serde::Serialize;

use crate::status::latency::{
    bottleneck::{Bottleneck, sentence},
    figures::{Figures, WINDOW},
    server_clock::Comparison,
    spread::Spread,
    stage::Stage,
};

/// Where the time of the last minute went.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyStatus {
    /// Seconds that the figures are of.
    pub window_seconds: u64,
    /// Transactions that were published in them.
    pub transactions: u64,
    /// From the commit in PostgreSQL to the commit in Kafka; none when nothing was published.
    pub end_to_end: Option<Quantiles>,
    /// The stages of that way, in its order; their means add up to that of the whole.
    pub stages: Vec<StageLatency>,
    /// What takes most of the time: `source decoding`, `network`, `catalog`, `registry`, `encode`, `batch interval` or `broker`.
    pub bottleneck: Option<&'static str>,
    /// The same in one sentence.
    pub sentence: String,
    /// The server's clock is ahead of ours by so much; it is taken out of every figure. None until they have been compared.
    pub clock_skew_ms: Option<f64>,
    /// It may be as much more or less.
    pub clock_skew_error_ms: Option<f64>,
}

/// One stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageLatency {
    /// `source`, `network`, `queue`, `catalog`, `registry`, `encode`, `batch`, `send` or `commit`.
    pub stage: &'static str,
    /// How long transactions are in it.
    #[serde(flatten)]
    pub figures: Quantiles,
    /// Its part of the whole time, 0 to 1.
    pub share: f64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// Half of the transactions take no longer.
    pub p50_ms: f64,
    /// All but one of a hundred take no longer.
    pub p99_ms: f64,
    /// On average.
    pub mean_ms: f64,
}

impl LatencyStatus {
    pub(super) fn of(all: &Figures, clocks: Option<Comparison>) -> LatencyStatus {
        let whole_us = all.sums.sum();
        let known = all.transactions > 0;
        let stages = Stage::ALL.iter().zip(&all.spreads).filter(|_| known);
        let stage = |(stage, spread): (&Stage, &Spread)| StageLatency {
            stage: stage.name(),
            figures: Quantiles::of(spread, all.sums.of(*stage), all.transactions),
            share: (all.sums.of(*stage) as f64 / whole_us.max(1) as f64 * 1e4).round() / 1e4,
        };
        let bottleneck = Bottleneck::of(&all.sums, &all.work).filter(|_| known);
        LatencyStatus {
            window_seconds: WINDOW.as_secs(),
            transactions: all.transactions,
            end_to_end: known.then(|| Quantiles::of(&all.whole, whole_us, all.transactions)),
            stages: stages.map(stage).collect(),
            sentence: sentence(bottleneck, whole_us, all.transactions),
            bottleneck: bottleneck.map(|(it, _)| it.name()),
            clock_skew_ms: clocks.map(|it| milliseconds(it.ahead_us as f64)),
            clock_skew_error_ms: clocks.map(|it| milliseconds(it.error_us as f64)),
        }
    }
}

impl Quantiles {
    fn of(spread: &Spread, sum_us: u64, transactions: u64) -> Quantiles {
        Quantiles {
            p50_ms: milliseconds(spread.quantile(50) as f64),
            p99_ms: milliseconds(spread.quantile(99) as f64),
            mean_ms: milliseconds(sum_us as f64 / transactions.max(1) as f64),
        }
    }
}

/// To the microsecond.
fn milliseconds(us: f64) -> f64 {
    us.round() / 1e3
}
