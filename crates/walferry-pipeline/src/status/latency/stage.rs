//! The stages of a change's way from its commit in PostgreSQL to the commit in Kafka, and what one batch spent in each.
//!
//! Owns their names, which are a contract, and their order. Invariant: each ends where the next begins, so their sum is the whole.
//!
//! ```text
//!  commit ─ source ─▶ sent by the server ─ network ─▶ received ─ queue ─▶ taken up ─ catalog, registry, encode ─▶ encoded
//!         ─ batch, send ─▶ acknowledged ─ commit ─▶ committed in Kafka
//! ```

/// How many there are.
pub(crate) const STAGES: usize = 9;

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// PostgreSQL has not sent it yet: it decodes.
    Source,
    /// It is on its way to this machine.
    Network,
    /// It waits for the encoder, here or, where there is no room for it, at the server.
    Queue,
    /// The encoder waits for PostgreSQL's catalog.
    Catalog,
    /// The encoder waits for the schema registry.
    Registry,
    /// It is decoded and encoded, in one pass.
    Encode,
    /// It waits for the others of its batch.
    Batch,
    /// Its records are given to Kafka, until the last is acknowledged.
    Send,
    /// The Kafka transaction is committed.
    Commit,
}

impl Stage {
    /// In the order of the way.
    pub(crate) const ALL: [Stage; STAGES] = [
        Stage::Source,
        Stage::Network,
        Stage::Queue,
        Stage::Catalog,
        Stage::Registry,
        Stage::Encode,
        Stage::Batch,
        Stage::Send,
        Stage::Commit,
    ];

    /// As status and metrics have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Source => "source",
            Stage::Network => "network",
            Stage::Queue => "queue",
            Stage::Catalog => "catalog",
            Stage::Registry => "registry",
            Stage::Encode => "encode",
            Stage::Batch => "batch",
            Stage::Send => "send",
            Stage::Commit => "commit",
        }
    }
}

/// Microseconds in each stage, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts(pub(crate) [u64; STAGES]);

impl Parts {
    /// The whole way.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// In one stage.
    pub(crate) fn of(&self, stage: Stage) -> u64 {
        self.0[stage as usize]
    }

    /// In one stage, to be changed.
    pub(crate) fn of_mut(&mut self, stage: Stage) -> &mut u64 {
        &mut self.0[stage as usize]
    }
}
