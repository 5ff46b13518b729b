//! What a connector is doing, and the servers that it needs, by the names of status, metrics and logs.
//!
//! Owns the words. Never: changes a state.

/// What the connector is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Connecting, deciding, creating.
    Starting,
    /// Reading rows that were there before the slot.
    Snapshotting,
    /// Following the slot.
    Streaming,
    /// Publishing is held by the operator.
    Paused,
    /// A server is away; it goes on by itself.
    Retrying,
    /// Ended, or about to.
    Halted,
}

impl State {
    /// Every state, for the metric with one series each.
    pub const ALL: [State; 6] = [
        State::Starting,
        State::Snapshotting,
        State::Streaming,
        State::Paused,
        State::Retrying,
        State::Halted,
    ];

    /// The name in status, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Snapshotting => "snapshotting",
            State::Streaming => "streaming",
            State::Paused => "paused",
            State::Retrying => "retrying",
            State::Halted => "halted",
        }
    }
}

/// A server that the ring needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    PostgreSql,
    Kafka,
    Registry,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::PostgreSql => "postgresql",
            Peer::Kafka => "kafka",
            Peer::Registry => "registry",
        }
    }
}

impl Peer {
    /// The server that an error's stage is about; the connector's own faults are told with PostgreSQL's.
    pub(crate) fn of_stage(stage: &str) -> Peer {
        match stage {
            "kafka" => Peer::Kafka,
            "registry" => Peer::Registry,
            _ => Peer::PostgreSql,
        }
    }

    /// The stage of a start that waits for it.
    pub(crate) fn stage(self) -> &'static str {
        match self {
            Peer::PostgreSql => "start-postgresql",
            Peer::Kafka => "start-kafka",
            Peer::Registry => "start-registry",
        }
    }
}
