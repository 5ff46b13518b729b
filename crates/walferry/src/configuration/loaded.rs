//! What comes out of a configuration, and what the command line adds to it.
//!
//! Owns: [`Loaded`] and [`Choices`].

use walferry_event::Secret;

use super::file::LogFormat;

/// One connector, ready to run.
#[derive(Clone)]
pub(crate) struct Loaded {
    /// For the pipeline.
    pub(crate) pipeline: walferry_pipeline::Config,
    /// Where the admin server listens.
    pub(crate) listen: std::net::SocketAddr,
    /// What control verbs have to show; none: they are switched off.
    pub(crate) token: Option<Secret>,
    /// How the log is written; none: text on a terminal, else JSON.
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged.
    pub(crate) log_level: String,
    /// The keys that are set, in the file or by the environment.
    pub(crate) keys: toml::Table,
}

/// Command-line choices that are not in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// Take over a slot that exists while there is no checkpoint.
    pub(crate) adopt_slot: bool,
    /// Read every table beside the stream of that slot.
    pub(crate) adopt_with_snapshot: bool,
    /// Make the topics agree with all tables again, or with those that are named; then end.
    pub(crate) resync: Option<Vec<String>>,
}
